/**
 * Weak points of effect 4.1's own RateLimiter (D1 to D12), shown not to be here. Only this library is run.
 *
 * What cannot apply in this package:
 * - D6, the collision of two algorithms under one Redis key, and D8 (Redis Cluster): there is no Redis here.
 * - D12, HttpClient: there is no HTTP here; its herd is shown below for any error that carries a `retryAfter`.
 */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker, RateLimiter, Rejection, Resilience, Retry, Store } from "../../src/index.ts"
import * as RemoteStore from "../../src/RemoteStore.ts"
import { limiterOn, spied } from "../state/support.ts"
import { counted, kinds, outcomeOf, settle, times } from "./support.ts"

const allowed = <K>(limiter: RateLimiter.RateLimiterService<K>, key: K, calls: number) =>
  Effect.map(times(calls, limiter.allow(key)), (all) => all.filter(Boolean).length)

const tokens = RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: "10 minutes" })
const window = RateLimiter.fixedWindow({ limit: 1, window: "1 second", maxWait: "10 minutes" })

for (const policy of [tokens, window]) {
  it.effect(
    `after 300 interrupted waiters of a ${policy._tag} the next caller waits a second (effect 4.1: 301 s; D1)`,
    () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(policy)
        yield* limiter.acquire("a")
        const waiters = yield* times(300, Effect.forkChild(limiter.acquire("a")))
        yield* settle
        yield* Fiber.interruptAll(waiters)
        assert.strictEqual((yield* limiter.peek("a")).remaining, 0)
        const next = yield* Effect.forkChild(limiter.acquire("a"))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(outcomeOf(next.pollUnsafe()), "success")
      })
  )

  it.effect(
    `a storm of callers that give up after 2 s lets a ${policy._tag} run what it permits (effect 4.1: 3 of 60; D1)`,
    () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(policy)
        let ran = 0
        const call = limiter.execute(
          Effect.sync(() => ran++),
          "a"
        )
        for (let i = 0; i < 600; i++) {
          yield* Effect.forkChild(Effect.timeoutOption(call, "2 seconds"))
          yield* TestClock.adjust(100)
        }
        assert.isAtLeast(ran, 60)
        assert.isAtMost(ran, 61)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* limiter.peek("a")).queued, 0, "no backlog")
      })
  )
}

it.effect(
  "no more than maxQueued callers wait, none longer than maxWait, and the others know at once (effect 4.1: 50,000 callers, 13.9 hours; D2)",
  () =>
    Effect.gen(function* () {
      const rate = { limit: 1, window: "1 second" } as const
      const reasons = (policy: RateLimiter.Limit, callers: number) =>
        Effect.gen(function* () {
          const limiter = yield* RateLimiter.make(policy)
          const fibers = yield* times(callers, Effect.forkChild(Effect.flip(limiter.acquire("a"))))
          yield* settle
          const { queued } = yield* limiter.peek("a")
          const refused = fibers.flatMap((fiber) => {
            const exit = fiber.pollUnsafe()
            return exit !== undefined && Exit.isSuccess(exit) ? [exit.value.reason] : []
          })
          yield* Fiber.interruptAll(fibers)
          return [queued, refused.length, ...new Set(refused)]
        })
      const long = { ...rate, maxWait: "14 hours" } as const
      assert.deepStrictEqual(yield* reasons(RateLimiter.tokenBucket(long), 5_000), [1_000, 3_999, "queue-full"])
      assert.deepStrictEqual(yield* reasons(RateLimiter.tokenBucket({ ...long, maxQueued: 7 }), 50), [
        7,
        42,
        "queue-full"
      ])
      const short = { ...rate, maxWait: "30 seconds" } as const
      assert.deepStrictEqual(yield* reasons(RateLimiter.tokenBucket(short), 500), [30, 469, "wait-too-long"])
      assert.deepStrictEqual(yield* reasons(RateLimiter.tokenBucket(rate), 500), [0, 499, "limit"])
    })
)

it.effect("a paced client gets what a fixed window permits, and no more (effect 4.1: 19 of 10; D3)", () =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow({ limit: 10, window: "10 seconds" }))
    let admitted = 0
    for (let now = 0; now < 10_000; now += 100) {
      if (yield* limiter.allow("a")) admitted++
      if (now === 0) assert.deepInclude(yield* limiter.peek("a"), { remaining: 9, resetAfterMillis: 10_000 })
      yield* TestClock.adjust(100)
    }
    assert.strictEqual(admitted, 10)
    assert.strictEqual((yield* limiter.peek("a")).remaining, 10)
  })
)

for (const kind of ["tokenBucket", "fixedWindow"] as const) {
  it.effect(
    `the keys of a ${kind} are gone when their window is (effect 4.1: 500,000 keys still there a day later; D4)`,
    () =>
      Effect.gen(function* () {
        const { size, store } = yield* spied
        const limiter = yield* limiterOn(store, kinds[kind]({ limit: 10, window: "1 second" }))
        for (let i = 0; i < 5_000; i++) yield* limiter.allow(`https://example.com/${i}`)
        yield* TestClock.adjust("1 day")
        yield* allowed(limiter, "another", 10_000)
        assert.isAtMost(size(), 1)
      })
  )
}

it.effect(
  "a cost that never fits is refused, takes nothing, and names no time to try again (effect 4.1: 990 s for the next one; D5)",
  () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.tokenBucket({ limit: 10, window: "10 seconds", maxWait: "1 hour" })
      )
      for (const cost of [11, 1_000]) {
        const refused = yield* Effect.flip(limiter.acquire("a", { cost }))
        assert.deepStrictEqual([refused.reason, refused.retryAfter], ["cost-exceeds-capacity", undefined])
      }
      assert.strictEqual(yield* allowed(limiter, "a", 20), 10)
    })
)

it.effect(
  "costs and limits that make no sense are refused where they are written (effect 4.1 mints tokens, or lifts the limit for ever; D5)",
  () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 1, window: "1 second" }))
      const api = yield* Resilience.make("api", {
        rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 second" })
      })
      for (const bad of [Number.NaN, Infinity, -1, -1_000, 0, 0.5, 2 ** 53]) {
        const { InvalidPolicyError } = Rejection
        assert.throws(() => limiter.allow("a", { cost: bad }), InvalidPolicyError)
        assert.throws(() => limiter.acquire("a", { cost: bad }), InvalidPolicyError)
        assert.throws(() => limiter.execute(Effect.void, "a", { cost: bad }), InvalidPolicyError)
        assert.throws(() => api.resilient(Effect.void, "a", { cost: bad }), InvalidPolicyError)
        assert.throws(() => RateLimiter.tokenBucket({ limit: bad, window: "1 second" }), InvalidPolicyError)
        assert.throws(() => RateLimiter.fixedWindow({ limit: bad, window: "1 second" }), InvalidPolicyError)
      }
      assert.strictEqual(yield* allowed(limiter, "a", 3), 1)
    })
)

it.effect(
  "two limiters with one name, one key and one store share nothing (effect 4.1: login was let through 998 times more; D6)",
  () =>
    Effect.gen(function* () {
      const store = yield* Store.Store
      const search = yield* limiterOn(store, RateLimiter.tokenBucket({ limit: 1_000, window: "1 minute" }))
      const login = yield* limiterOn(store, RateLimiter.tokenBucket({ limit: 5, window: "1 minute" }))
      const daily = yield* limiterOn(store, RateLimiter.fixedWindow({ limit: 100, window: "1 day" }))
      yield* search.allow("user:1")
      assert.strictEqual(yield* allowed(login, "user:1", 10), 5)
      assert.strictEqual((yield* search.peek("user:1")).remaining, 999)
      assert.strictEqual((yield* daily.peek("user:1")).remaining, 100)
    }).pipe(Effect.provide(Store.layerMemory))
)

/** A store elsewhere, with a clock of its own. */
const elsewhere = Effect.gen(function* () {
  const store = yield* Store.Store
  const clock = yield* Clock.Clock
  const onItsClock = Effect.provideService(Clock.Clock, clock)
  return RemoteStore.make({
    commit: (steps) => onItsClock(store.commit(steps)),
    read: (space, key) => onItsClock(store.read(space, key)),
    clear: (space) => onItsClock(store.clear(space))
  })
}).pipe(Effect.provide(Store.layerMemory))

it.effect(
  "a caller whose clock is ahead gets no extra tokens: a shared store decides at its own time (effect 4.1: 30 extra; D7)",
  () =>
    Effect.gen(function* () {
      const limiter = yield* limiterOn(yield* elsewhere, RateLimiter.tokenBucket({ limit: 30, window: "30 seconds" }))
      const clock = yield* Clock.Clock
      const ahead = Effect.provideService(Clock.Clock, {
        ...clock,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + 30_000_000_000n,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + 30_000
      })
      assert.strictEqual(yield* allowed(limiter, "a", 40), 30)
      assert.strictEqual(yield* ahead(allowed(limiter, "a", 40)), 0)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* allowed(limiter, "a", 40), 10)
    })
)

const down = Layer.succeed(
  Store.Store,
  RemoteStore.make({
    commit: () => Effect.fail(new Rejection.StoreError({ reason: "unavailable" })),
    read: () => Effect.fail(new Rejection.StoreError({ reason: "unavailable" })),
    clear: () => Effect.void
  })
)
const stalled = Layer.succeed(
  Store.Store,
  RemoteStore.make({ commit: () => Effect.never, read: () => Effect.never, clear: () => Effect.never })
)

for (const [name, layer] of Object.entries({ down, stalled })) {
  it.effect(`with its store ${name} a limited call does what the policy says (effect 4.1: it fails; D9)`, () =>
    Effect.gen(function* () {
      const rateLimiter = RateLimiter.tokenBucket({ limit: 1, window: "1 hour" })
      const outcomes = (onError: "local" | "allow" | "fail") =>
        Effect.gen(function* () {
          const api = yield* Resilience.makeFromStore("api", {
            rateLimiter,
            store: { onError, deadline: "100 millis" }
          })
          const calls = yield* Effect.forkChild(times(2, Effect.exit(api.resilient(Effect.void, "a"))))
          yield* TestClock.adjust("200 millis")
          return (yield* Fiber.join(calls)).map(outcomeOf)
        })
      assert.deepStrictEqual(yield* outcomes("local"), ["success", "RateLimitExceeded"])
      assert.deepStrictEqual(yield* outcomes("allow"), ["success", "success"])
      assert.deepStrictEqual(yield* outcomes("fail"), ["StoreError", "StoreError"])
    }).pipe(Effect.provide(layer))
  )
}

it.effect(
  "refused calls leave no mark: user:1 ran nothing, and is not limited (effect 4.1 has no composite; D10)",
  () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.every({
          user: RateLimiter.tokenBucket({ limit: 5, window: "1 hour" }),
          global: RateLimiter.shared(RateLimiter.tokenBucket({ limit: 1, window: "1 second" }))
        })
      )
      yield* limiter.allow({ user: "user:2" })
      assert.strictEqual(yield* allowed(limiter, { user: "user:1" }, 5), 0)
      assert.strictEqual((yield* limiter.peek({ user: "user:1" })).limits["user"]?.remaining, 5)
    })
)

it.effect("peek takes nothing, and reset gives all back, to those who wait too (effect 4.1 has neither; D10)", () =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 3, window: "1 hour", maxWait: "2 hours" }))
    yield* times(10, limiter.peek("a"))
    assert.strictEqual(yield* allowed(limiter, "a", 5), 3)
    const waiter = yield* Effect.forkChild(limiter.acquire("a"))
    yield* settle
    yield* limiter.reset("a")
    yield* settle
    assert.strictEqual(outcomeOf(waiter.pollUnsafe()), "success")
    assert.strictEqual((yield* limiter.peek("a")).remaining, 2)
  })
)

for (const policy of [
  RateLimiter.tokenBucket({ limit: 2, window: "1 second", maxWait: "1 minute" }),
  RateLimiter.leakyBucket({ limit: 2, window: "1 second", capacity: 2, maxWait: "1 minute" }),
  RateLimiter.fixedWindow({ limit: 2, window: "1 second", maxWait: "1 minute" }),
  RateLimiter.slidingWindow({ limit: 2, window: "1 second", maxWait: "1 minute" }),
  RateLimiter.slidingLog({ limit: 2, window: "1 second", maxWait: "1 minute" })
]) {
  it.effect(
    `a wall clock that steps an hour back neither freezes a ${policy._tag} nor grants anything (effect 4.1: rejected for an hour; D11)`,
    () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(policy)
        yield* TestClock.setTime(7_200_000)
        assert.strictEqual(yield* allowed(limiter, "a", 5), 2)
        yield* TestClock.setTime(3_600_000)
        assert.strictEqual(yield* allowed(limiter, "a", 5), 0, "grants nothing")
        const wait = (yield* limiter.peek("a")).waitFor(1) ?? 0
        assert.isAtMost(wait, 1_100)
        const waiter = yield* Effect.forkChild(limiter.acquire("a"))
        yield* settle
        yield* TestClock.adjust(wait)
        assert.strictEqual(outcomeOf(waiter.pollUnsafe()), "success")
      })
  )
}

it.effect("after a Retry-After the callers do not come back all at once (effect 4.1: 501 in one tick; D12)", () =>
  Effect.gen(function* () {
    const api = yield* Resilience.make("api", {
      admission: "attempt",
      circuitBreaker: CircuitBreaker.policy({
        tripPolicy: CircuitBreaker.consecutive(1),
        openDuration: "1 second",
        retryAfter: () => Option.some("10 seconds")
      }),
      rateLimiter: RateLimiter.tokenBucket({ limit: 20, window: "1 second", burst: 1, maxWait: "1 minute" }),
      retry: Retry.policy({ maxAttempts: 100, retryRejections: true, backoff: Backoff.constant("1 second") })
    })
    const starts: Array<number> = []
    let first = true
    const upstream = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      starts.push(now)
      if (!first) return Effect.sleep("100 millis")
      first = false
      return Effect.fail("429")
    })
    const { counts, effect } = counted(upstream)
    const callers = yield* times(200, Effect.forkChild(Effect.exit(api.resilient(effect, "shared"))))
    yield* TestClock.adjust("9 seconds")
    assert.strictEqual(counts.begun, 1, "the dependency is left alone")
    yield* TestClock.adjust("1 minute")
    yield* Fiber.interruptAll(callers)
    for (const from of starts) assert.isAtMost(starts.filter((at) => at >= from && at < from + 50).length, 1)
    assert.isAtLeast(starts.length, 100)
  })
)
