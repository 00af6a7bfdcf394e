/** A key is read once, when the call begins: what its owner does to a record afterwards changes nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, CircuitBreaker, RateLimiter, Rejection, RemoteStore, Resilience, Retry } from "../../src/index.ts"
import * as memoryStore from "../../src/internal/memoryStore.ts"
import { transactions } from "../../src/internal/memoryTransactions.ts"
import type { Store } from "../../src/Store.ts"
import { limiterOn, recorder, settle } from "./support.ts"

type Record1 = Record<string, string>

/** A record that counts how often each of its fields is asked for. */
const counting = (record: Record1) => {
  const reads: Record<string, number> = {}
  const key = new Proxy(record, {
    get: (target, field, receiver) => {
      reads[String(field)] = (reads[String(field)] ?? 0) + 1
      return Reflect.get(target, field, receiver) as unknown
    }
  })
  return { key, reads }
}

const boom = (): never => {
  throw new Error("not any more")
}

/** What its owner may do to a record, once a call has begun. */
const later: Record<string, (key: Record1) => void> = {
  "loses the field": (key) => delete key["user"],
  "holds null": (key) => Object.assign(key, { user: null }),
  "holds another user": (key) => Object.assign(key, { user: "eve" }),
  "has one field more": (key) => Object.assign(key, { more: 5 }),
  "has a getter that throws": (key) => Object.defineProperty(key, "user", { get: boom }),
  "has a getter that throws, in a field that no policy looks at": (key) =>
    Object.defineProperty(key, "other", { enumerable: true, get: boom }),
  "has an own toJSON that throws": (key) => Object.assign(key, { toJSON: boom }),
  "has another prototype": (key) => Object.setPrototypeOf(key, { user: "eve" }),
  "is frozen": (key) => Object.freeze(key)
}

const policies = {
  attemptTimeout: 50,
  bulkhead: Bulkhead.policy({ maxConcurrent: 2 }),
  circuitBreaker: CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.consecutive(2),
    openDuration: "1 hour",
    by: "user"
  }),
  rateLimiter: RateLimiter.every({ user: RateLimiter.tokenBucket({ limit: 10, window: "1 hour" }) }),
  retry: Retry.policy({ maxAttempts: 2 })
}

describe("while its call runs, a record", () => {
  // without a sink the key's name is not asked for before the change
  const cases = Object.entries(later).flatMap(([what, change]) => [true, false].map((sink) => ({ what, change, sink })))
  for (const { change, sink, what } of cases) {
    it.effect(`${what}: the call ends as if it had not changed, and so do others (${sink ? "a" : "no"} sink)`, () =>
      Effect.gen(function* () {
        const { events, record: recorded } = recorder()
        const record: typeof recorded = sink ? recorded : (effect) => effect
        const service = yield* Resilience.make("s", policies)
        const session: Record1 & { user: string } = { user: "ada" }
        const ada = yield* Effect.forkChild(record(service.resilient(Effect.never, session)))
        yield* settle
        change(session)
        const bob = yield* Effect.forkChild(Effect.exit(service.resilient(Effect.never, { user: "bob" })))
        yield* TestClock.adjust("10 seconds")
        const exit = ada.pollUnsafe()
        assert.isDefined(exit)
        const error = Exit.isFailure(exit!) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(error, Rejection.TimeoutExceeded)
        assert.strictEqual((error as Rejection.TimeoutExceeded).key, '[["user","ada"]]')
        assert.isDefined(bob.pollUnsafe())
        assert.strictEqual(events.length > 3, sink)
        for (const event of events) {
          assert.strictEqual(event.key, event._tag === "CircuitTransition" ? "ada" : '[["user","ada"]]')
        }
        const seen = yield* service.inspect({ user: "ada" })
        assert.deepInclude(seen.bulkhead, { running: 0, queued: 0 })
        assert.strictEqual(seen.rateLimiter?.remaining, 9)
        assert.strictEqual(seen.circuitBreaker?.state, "Closed")
        assert.deepStrictEqual(seen.circuitBreaker?.windows, [{ calls: 1, bad: 1 }])
      })
    )
  }

  it.effect("is reset, and what it took before is given back to the key that it was", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.every({ user: RateLimiter.tokenBucket({ limit: 1, window: "1 hour", maxWait: "2 hours" }) })
      )
      yield* limiter.acquire({ user: "ada" })
      const key = { user: "ada" }
      const waits = yield* Effect.forkChild(limiter.acquire(key))
      yield* settle
      key.user = "bob"
      yield* limiter.reset({ user: "ada" })
      yield* settle
      assert.deepStrictEqual(waits.pollUnsafe(), Exit.void)
      assert.strictEqual((yield* limiter.peek({ user: "ada" })).remaining, 0)
      assert.strictEqual((yield* limiter.peek({ user: "bob" })).remaining, 1)
    })
  )
})

describe("each field is read once", () => {
  const twice = RateLimiter.every({
    user: RateLimiter.tokenBucket({ limit: 1, window: "1 hour" }),
    perDay: RateLimiter.by("user", RateLimiter.fixedWindow({ limit: 5, window: "1 day" })),
    tenant: RateLimiter.tokenBucket({ limit: 9, window: "1 hour" })
  })
  const remote = (): Store["Service"] => {
    const memory = memoryStore.make(transactions)
    return RemoteStore.make({
      ...memory,
      commit: (steps) => Effect.andThen(Effect.yieldNow, memory.commit(steps)),
      read: (space, key) => Effect.andThen(Effect.yieldNow, memory.read(space, key))
    })
  }
  const once = { user: 1, tenant: 1 }

  for (const [where, store] of [
    ["this process", () => memoryStore.make(transactions)],
    ["a remote store", remote]
  ] as const) {
    for (const inTransaction of where === "this process" ? [false, true] : [false]) {
      it.effect(`by a limiter on ${where}${inTransaction ? ", in a transaction" : ""}`, () =>
        Effect.gen(function* () {
          const limiter = yield* limiterOn(store(), twice)
          const run = <A, E>(effect: Effect.Effect<A, E>) => (inTransaction ? Effect.tx(effect) : effect)
          for (const [name, act] of Object.entries<
            (key: { user: string; tenant: string }) => Effect.Effect<unknown, unknown>
          >({
            allow: (key) => limiter.allow(key),
            refused: (key) => limiter.allow(key),
            acquire: (key) => limiter.acquire(key),
            peek: (key) => limiter.peek(key),
            reset: (key) => limiter.reset(key)
          })) {
            const { key, reads } = counting({ user: "ada", tenant: "acme" })
            const { record } = recorder()
            yield* Effect.exit(run(record(act(key as { user: string; tenant: string }))))
            assert.deepStrictEqual(reads, once, name)
          }
        })
      )
    }
  }

  it.effect("by a call of a service, with retries and events, and by a look at it", () =>
    Effect.gen(function* () {
      const { record } = recorder()
      const service = yield* Resilience.make("s", policies)
      const called = counting({ user: "ada" })
      const call = yield* Effect.forkChild(
        record(service.resilient(Effect.fail("503"), called.key as { user: string }))
      )
      yield* TestClock.adjust("10 seconds")
      yield* Effect.exit(Fiber.join(call))
      assert.deepStrictEqual(called.reads, { user: 1 })
      const inspected = counting({ user: "ada" })
      yield* service.inspect(inspected.key as { user: string })
      assert.deepStrictEqual(inspected.reads, { user: 1 })
    })
  )

  it.effect("so two policies see one value, where a getter answers differently each time", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(twice)
      let n = 0
      yield* limiter.allow({
        get user() {
          return `user ${++n}`
        },
        tenant: "acme"
      })
      const { limits } = yield* limiter.peek({ user: "user 1", tenant: "acme" })
      assert.deepStrictEqual([limits["user"]!.used, limits["perDay"]!.used], [1, 1])
    })
  )
})

describe("a record that cannot be read when the call begins", () => {
  const unreadable: Record<string, () => object> = {
    "a getter that throws": () => ({
      get user() {
        return boom()
      }
    }),
    "a Proxy that throws": () => new Proxy({ user: "ada" }, { ownKeys: boom }),
    "a Proxy that was revoked": () => {
      const { proxy, revoke } = Proxy.revocable({ user: "ada" }, {})
      revoke()
      return proxy
    }
  }
  for (const [what, make] of Object.entries(unreadable)) {
    it.effect(`(${what}) is refused with a clear error, and takes nothing`, () =>
      Effect.gen(function* () {
        const service = yield* Resilience.make("s", policies)
        let ran = false
        const body = Effect.sync(() => {
          ran = true
        })
        const exit = yield* Effect.exit(service.resilient(body, make() as { user: string }))
        const defect = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isDieReason)?.defect : undefined
        assert.instanceOf(defect, Rejection.InvalidPolicyError)
        assert.match((defect as Error).message, /^key: key cannot be read/)
        assert.isFalse(ran)
        assert.strictEqual((yield* service.inspect({ user: "ada" })).bulkhead?.running, 0)
      })
    )
  }
})

it.effect("a record without a prototype, a frozen one and one with a field named __proto__ are keys like others", () =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(
      RateLimiter.every({ user: RateLimiter.tokenBucket({ limit: 2, window: "1 hour" }) })
    )
    const bare = Object.assign(Object.create(null) as { user: string }, { user: "ada" })
    assert.isTrue(yield* limiter.allow(bare))
    assert.isTrue(yield* limiter.allow(Object.freeze({ user: "ada", ["__proto__"]: "x" })))
    assert.isFalse(yield* limiter.allow({ user: "ada" }))
    const inherits = Object.create({ user: "ada" }) as { user: string }
    assert.isTrue(Exit.hasDies(yield* Effect.exit(limiter.allow(inherits))), "a field that is not its own")
  })
)
