/** `store.localShare`: how much of a limit a process lets through by itself while the store is away. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, RateLimiter, Rejection, Resilience } from "../../src/index.ts"
import { guarded } from "../../src/remote/guard.ts"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import { type AnySpace, Step } from "../../src/Store.ts"
import { remote, serviceOn } from "./remote.ts"
import { settle } from "./support.ts"

const hour = { window: "1 hour" } as const
const kinds: Record<string, (limit: number) => RateLimiter.Limit> = {
  tokenBucket: (limit) => RateLimiter.tokenBucket({ ...hour, limit }),
  leakyBucket: (limit) => RateLimiter.leakyBucket({ ...hour, limit, capacity: limit }),
  fixedWindow: (limit) => RateLimiter.fixedWindow({ ...hour, limit }),
  slidingWindow: (limit) => RateLimiter.slidingWindow({ ...hour, limit }),
  slidingLog: (limit) => RateLimiter.slidingLog({ ...hour, limit }),
  fromKernel: (limit) =>
    RateLimiter.fromKernel({
      ...hour,
      limit,
      kernel: fixedWindow,
      policy: { limit, window: 3_600_000 },
      scale: (policy, share) => ({ ...policy, limit: policy.limit * share })
    })
}

/** How many of so many calls at once are let through. */
const passed = <E>(call: Effect.Effect<unknown, E>, times: number) =>
  Effect.map(
    Effect.all(Array.from({ length: times }, () => Effect.isSuccess(call))),
    (all) => all.filter(Boolean).length
  )

describe("while the store is away, a process lets through its share", () => {
  for (const [kind, limit] of Object.entries(kinds)) {
    it.effect(`of a ${kind}, and all of it again once the store is back`, () =>
      Effect.gen(function* () {
        const { layer, line } = yield* remote
        const policies = { rateLimiter: limit(100), store: { localShare: 0.25 } }
        const { resilient } = yield* serviceOn(layer, policies)
        const call = resilient(Effect.void, "a")
        assert.strictEqual(yield* passed(call, 10), 10)
        line.mode = "down"
        assert.strictEqual(yield* passed(call, 120), 25)
        assert.strictEqual(yield* passed(resilient(Effect.void, "b"), 120), 25, "each key has its share")
        line.mode = "up"
        assert.strictEqual(yield* passed(call, 120), 90, "nothing that was taken here is missing there")
        line.mode = "down"
        assert.strictEqual(yield* passed(call, 120), 0, "and what was taken here is still known here")
      })
    )
  }

  const rounded = [
    [100, 0.29, 29],
    [1_000, 0.57, 570],
    [3, 0.5, 1],
    [3, 0.1, 1],
    [1, 1e-9, 1],
    [100, 1 / 3, 33],
    [100, 0.999, 99],
    [100, 1, 100]
  ] as const
  for (const [limit, localShare, share] of rounded) {
    it.effect(`${localShare} of ${limit} is ${share}`, () =>
      Effect.gen(function* () {
        for (const kind of ["tokenBucket", "fixedWindow"]) {
          const { layer, line } = yield* remote // two services of one id are not open on one store
          line.mode = "down"
          const { resilient } = yield* serviceOn(layer, { rateLimiter: kinds[kind]!(limit), store: { localShare } })
          assert.strictEqual(yield* passed(resilient(Effect.void, "a"), limit + 1), share, kind)
        }
      })
    )
  }

  it.effect("which is all of it where no share is given, and then nothing is scaled", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      line.mode = "down"
      let scaled = 0
      const rateLimiter = RateLimiter.fromKernel({
        ...hour,
        limit: 5,
        kernel: fixedWindow,
        policy: { limit: 5, window: 3_600_000 },
        scale: (policy) => {
          scaled++
          return policy
        }
      })
      const { resilient } = yield* serviceOn(layer, { rateLimiter })
      assert.strictEqual(yield* passed(resilient(Effect.void, "a"), 9), 5)
      assert.strictEqual(scaled, 0)
    })
  )

  it.effect("of a bucket's burst, and of its rate", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      line.mode = "down"
      const rateLimiter = RateLimiter.tokenBucket({ limit: 100, window: "1 minute", burst: 20 })
      const { inspect, resilient } = yield* serviceOn(layer, { rateLimiter, store: { localShare: 0.25 } })
      const call = resilient(Effect.void, "a")
      assert.strictEqual(yield* passed(call, 30), 5)
      const refusal = yield* Effect.flip(call)
      assert.deepInclude(refusal, { _tag: "RateLimitExceeded", retryAfterMillis: 2_400 })
      const seen = (yield* inspect("a")).rateLimiter!
      assert.deepInclude(seen, { remaining: 0, resetAfterMillis: 12_000 })
      assert.strictEqual(seen.waitFor(2), 4_800)
      assert.isUndefined(seen.waitFor(6), "more than this process may ever let through")
      yield* TestClock.adjust(2_399)
      assert.strictEqual(yield* passed(call, 30), 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* passed(call, 30), 1)
      assert.deepInclude(yield* Effect.flip(resilient(Effect.void, "b", { cost: 6 })), {
        _tag: "RateLimitExceeded",
        reason: "cost-exceeds-capacity"
      })
      line.mode = "up"
      assert.strictEqual((yield* inspect("a")).rateLimiter!.remaining, 20)
      yield* resilient(Effect.void, "b", { cost: 6 })
    })
  )

  it.effect("of each of several limits", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      line.mode = "down"
      const rateLimiter = RateLimiter.every({
        user: RateLimiter.fixedWindow({ ...hour, limit: 8 }),
        all: RateLimiter.shared(RateLimiter.fixedWindow({ ...hour, limit: 20 }))
      })
      const { resilient } = yield* serviceOn(layer, { rateLimiter, store: { localShare: 0.5 } })
      const users = ["ada", "bob", "cyd"].map((user) => passed(resilient(Effect.void, { user }), 9))
      assert.deepStrictEqual(yield* Effect.all(users), [4, 4, 2])
    })
  )

  it.effect("a circuit is what it always is", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      line.mode = "down"
      const { inspect, resilient } = yield* serviceOn(layer, {
        rateLimiter: RateLimiter.fixedWindow({ ...hour, limit: 100 }),
        circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(4), openDuration: "1 minute" }),
        store: { localShare: 0.25 }
      })
      for (let i = 0; i < 3; i++) yield* Effect.flip(resilient(Effect.fail("down"), "a"))
      assert.strictEqual((yield* inspect("a")).circuitBreaker!.state, "Closed")
      yield* Effect.flip(resilient(Effect.fail("down"), "a"))
      assert.strictEqual((yield* inspect("a")).circuitBreaker!.state, "Open")
    })
  )

  it.effect("what a call took of it comes back when the call is abandoned", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      const { resilient } = yield* serviceOn(layer, {
        rateLimiter: RateLimiter.fixedWindow({ ...hour, limit: 8 }),
        timeout: "50 millis",
        store: { localShare: 0.25, deadline: "100 millis" }
      })
      line.mode = "hangs"
      const left = yield* Effect.forkChild(Effect.flip(resilient(Effect.void, "a")))
      yield* TestClock.adjust(50)
      assert.deepInclude(yield* Fiber.join(left), { _tag: "TimeoutExceeded" })
      yield* TestClock.adjust(50) // the call that has left is let in here, and gives that back
      yield* settle
      line.mode = "down"
      assert.strictEqual(yield* passed(resilient(Effect.void, "a"), 10), 2)
    })
  )

  it.effect("a call that waits is let in as the share allows", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      line.mode = "down"
      const { resilient } = yield* serviceOn(layer, {
        rateLimiter: RateLimiter.tokenBucket({ limit: 4, window: "4 seconds", burst: 4, maxWait: "1 minute" }),
        store: { localShare: 0.5 }
      })
      assert.strictEqual(yield* passed(resilient(Effect.void, "a"), 2), 2)
      const waiter = yield* Effect.forkChild(resilient(Effect.void, "a"))
      yield* TestClock.adjust(1_999)
      assert.isUndefined(waiter.pollUnsafe(), "two a four seconds: one every two")
      yield* TestClock.adjust(1)
      yield* Fiber.join(waiter)
    })
  )

  it.effect("a clear fails, and leaves what was taken here", () =>
    Effect.gen(function* () {
      const { line, store } = yield* remote
      line.mode = "down"
      const guard = guarded(store, "app/orders", { onError: "local", deadline: 10, localShare: 0.5 })
      const space: AnySpace = {
        name: "app/orders/limit",
        kernel: fixedWindow,
        policy: { limit: 2, window: 3_600_000 },
        keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity },
        scale: (policy, share) => ({ ...policy, limit: policy.limit * share })
      }
      const allowed = Effect.suspend(() =>
        Effect.map(guard.commit([new Step(space, "a", { op: "take", cost: 1 } as never)]), ({ allowed }) => allowed)
      )
      assert.deepStrictEqual([yield* allowed, yield* allowed], [true, false])
      assert.deepInclude((yield* guard.read(space, "a")).state, { used: 1 })
      assert.deepInclude(yield* Effect.flip(guard.clear(space)), { _tag: "StoreError", reason: "unavailable" })
      assert.deepInclude((yield* guard.read(space, "a")).state, { used: 1 })
      assert.isFalse(yield* allowed)
    })
  )
})

describe("a share", () => {
  const refusalOf = (make: () => unknown): unknown => {
    try {
      make()
      return "accepted"
    } catch (error) {
      return error
    }
  }
  const limit = RateLimiter.fixedWindow({ ...hour, limit: 100 })

  for (const onError of ["allow", "fail"] as const) {
    it(`is refused where it does nothing: with "${onError}"`, () => {
      const error = refusalOf(() => Resilience.make("id", { rateLimiter: limit, store: { onError, localShare: 0.5 } }))
      assert.instanceOf(error, Rejection.InvalidPolicyError)
      assert.deepInclude(error, { module: "Resilience", parameter: "store.localShare", value: 0.5 })
      assert.strictEqual(
        refusalOf(() => Resilience.make("id", { store: { onError, localShare: 1 } })),
        "accepted"
      )
    })
  }

  it("is refused for a limit that cannot be scaled, by the name of its kernel", () => {
    const unscaled = RateLimiter.fromKernel({
      ...hour,
      limit: 5,
      kernel: { ...fixedWindow, id: "mine@1" },
      policy: { limit: 5, window: 3_600_000 }
    })
    for (const rateLimiter of [unscaled, RateLimiter.every({ user: limit, mine: unscaled })]) {
      const error = refusalOf(() => Resilience.make("id", { rateLimiter, store: { localShare: 0.5 } }))
      assert.instanceOf(error, Rejection.InvalidPolicyError)
      assert.deepInclude(error, { module: "Resilience", parameter: "store.localShare", value: 0.5 })
      assert.include(String(error), "mine@1")
    }
    assert.strictEqual(
      refusalOf(() => Resilience.make("id", { rateLimiter: unscaled })),
      "accepted"
    )
    assert.strictEqual(
      refusalOf(() => Resilience.make("id", { rateLimiter: RateLimiter.unlimited, store: { localShare: 0.5 } })),
      "accepted"
    )
  })

  it("is refused where the limit has no such part, when the service is made and not in an outage", () => {
    const rateLimiter = RateLimiter.tokenBucket({ limit: 86_400_000, window: "1 day", burst: 2 ** 50 })
    const error = refusalOf(() => Resilience.make("id", { rateLimiter, store: { localShare: 0.37 } }))
    assert.instanceOf(error, Rejection.InvalidPolicyError)
    assert.strictEqual(
      refusalOf(() => Resilience.make("id", { rateLimiter, store: { localShare: 0.5 } })),
      "accepted"
    )
  })
})
