/**
 * The story that LimitPal tells in its own simulation script, told with this library: the same numbers, exactly.
 */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, pipe } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker, RateLimiter, Rejection, Resilience, Retry } from "../../src/index.ts"

/** How long an effect takes on the test clock, to the millisecond: the clock moves in steps of one until it ends. */
const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(1)
    return [yield* Fiber.join(fiber), (yield* Clock.currentTimeMillis) - before] as const
  })

const flaky = (failures: number) => {
  let left = failures
  return Effect.suspend(() => (left-- > 0 ? Effect.fail("upstream error") : Effect.succeed("ok")))
}

it.effect("a burst of 4 of 5, a queue of 4, 2 leaked in a second, and a wait of exactly 0.25 s", () =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(
      RateLimiter.every({
        burst: RateLimiter.by("user", RateLimiter.tokenBucket({ limit: 4, window: "1 second" })),
        flow: RateLimiter.by("user", RateLimiter.leakyBucket({ limit: 2, window: "1 second", capacity: 10 }))
      })
    )
    const key = { user: "user:42" }
    const allowed = (times: number) =>
      Effect.map(
        Effect.forEach(Array.from({ length: times }), () => limiter.allow(key)),
        (all) => all.filter(Boolean).length
      )
    const queue = Effect.map(limiter.peek(key), ({ limits }) => limits["flow"]!.used)

    assert.strictEqual(yield* allowed(5), 4)
    assert.strictEqual(yield* queue, 4)

    yield* TestClock.adjust("1 second")
    assert.strictEqual(yield* queue, 2)
    assert.strictEqual(yield* allowed(3), 3)
    assert.strictEqual(yield* queue, 5)

    const [, atOnce] = yield* timed(limiter.acquire(key, { maxWait: "1.5 seconds" }))
    assert.strictEqual(atOnce, 0)
    assert.isFalse(yield* limiter.allow(key))
    const [, waited] = yield* timed(limiter.acquire(key, { maxWait: "2 seconds" }))
    assert.strictEqual(waited, 250)
  })
)

it.effect("a full bucket refuses a wait that would be too long, at once, and says how long it would be", () =>
  Effect.gen(function* () {
    const tight = yield* RateLimiter.make(RateLimiter.leakyBucket({ limit: 1, window: "10 seconds", capacity: 1 }))
    assert.isTrue(yield* tight.allow("queue:test"))
    const error = yield* Effect.flip(tight.acquire("queue:test", { maxWait: "100 millis" }))
    assert.instanceOf(error, Rejection.RateLimitExceeded)
    assert.strictEqual(error.reason, "wait-too-long")
    assert.strictEqual(error.retryAfterMillis, 10_000)
  })
)

it.effect("two failures and a success take a backoff of exactly 0.3 s", () =>
  Effect.gen(function* () {
    const api = yield* Resilience.make("api", {
      rateLimiter: RateLimiter.tokenBucket({ limit: 3, window: "1 second" }),
      retry: Retry.policy({
        maxAttempts: 3,
        backoff: Backoff.exponential({ base: "100 millis", factor: 2, jitter: "none" })
      }),
      circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "1 second" })
    })
    const [result, took] = yield* timed(pipe(flaky(2), api.resilient("api")))
    assert.strictEqual(result, "ok")
    assert.strictEqual(took, 300)
  })
)

it.effect("a breaker opens after its threshold, and lets a call through after a second", () =>
  Effect.gen(function* () {
    const api = yield* Resilience.make("api", {
      circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "1 second" })
    })
    const run = Effect.exit(api.resilient(Effect.fail("boom"), "api"))
    assert.deepStrictEqual(yield* run, Exit.fail("boom"))
    assert.deepStrictEqual(yield* run, Exit.fail("boom"))
    const refused = yield* Effect.flip(api.resilient(Effect.fail("boom"), "api"))
    assert.instanceOf(refused, Rejection.CircuitOpen)
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(yield* run, Exit.fail("boom"))
  })
)

it.effect("the strictest of two limits decides, and an acquire waits 0.5 s for a refill of 2 a second", () =>
  Effect.gen(function* () {
    const bucket = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 2, window: "1 second" }))
    const both = yield* RateLimiter.make(
      RateLimiter.every({
        token: RateLimiter.by("user", RateLimiter.tokenBucket({ limit: 2, window: "1 second" })),
        leaky: RateLimiter.by("user", RateLimiter.leakyBucket({ limit: 1, window: "1 second", capacity: 3 }))
      })
    )
    const count = (effects: ReadonlyArray<Effect.Effect<boolean>>) =>
      Effect.map(Effect.all(effects), (all) => all.filter(Boolean).length)
    assert.strictEqual(yield* count(Array.from({ length: 3 }, () => bucket.allow("user:async"))), 2)
    const [, waited] = yield* timed(bucket.acquire("user:async", { maxWait: "1 second" }))
    assert.strictEqual(waited, 500)
    assert.strictEqual(yield* count(Array.from({ length: 4 }, () => both.allow({ user: "user:async" }))), 2)
  })
)

it("the same executor runs synchronously and as a promise", async () => {
  class Api extends Resilience.Service<Api>()("test/Api", {
    timeout: "1 second",
    attemptTimeout: "500 millis",
    rateLimiter: RateLimiter.tokenBucket({ limit: 3, window: "1 second" }),
    circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "1 second" }),
    retry: Retry.policy({ maxAttempts: 3 })
  }) {}
  const call = pipe(Effect.succeed("ok"), Api.resilient("api"), Effect.provide(Api.layer))
  assert.strictEqual(Effect.runSync(call), "ok")
  assert.strictEqual(await Effect.runPromise(call), "ok")
})
