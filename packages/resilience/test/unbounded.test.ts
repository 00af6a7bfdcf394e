/** `Infinity` where a policy takes it: waits, queues and attempts without a bound. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, RateLimiter, Rejection, Resilience, Retry } from "../src/index.ts"

const hour = { limit: 1, window: "1 hour" } as const

describe("without a bound", () => {
  for (const maxWait of [Infinity, Duration.infinity]) {
    it.effect(`a call waits for its limit until there is room, and no timer ends it (${String(maxWait)})`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(
          RateLimiter.tokenBucket({ ...hour, maxWait, maxQueued: Infinity }),
          "unbounded"
        )
        yield* limiter.acquire("a")
        const waiting = yield* Effect.forEach(Array.from({ length: 1_500 }), () =>
          Effect.forkChild(limiter.acquire("a"), { startImmediately: true })
        )
        assert.strictEqual((yield* limiter.peek("a")).queued, 1_500, "the default would be 1,000")
        yield* TestClock.adjust("1499 hours")
        assert.strictEqual(waiting.filter((fiber) => fiber.pollUnsafe() === undefined).length, 1)
        yield* TestClock.adjust("1 hour")
        yield* Fiber.joinAll(waiting)
      })
    )
  }

  it.effect("a call may wait longer than its limit says, or not at all", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket(hour))
      yield* limiter.acquire("a")
      assert.instanceOf(yield* Effect.flip(limiter.acquire("a")), Rejection.RateLimitExceeded)
      const waiting = yield* Effect.forkChild(limiter.acquire("a", { maxWait: Infinity }), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(waiting)
    })
  )

  it.effect("a call waits for a slot until there is one, and is given its place up when it is interrupted", () =>
    Effect.gen(function* () {
      const slots = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, maxWait: Infinity, maxQueued: Infinity }))
      const busy = yield* Effect.forkChild(slots.execute(Effect.never), { startImmediately: true })
      const waiting = yield* Effect.forEach(Array.from({ length: 1_200 }), () =>
        Effect.forkChild(slots.execute(Effect.void), { startImmediately: true })
      )
      yield* TestClock.adjust("10 days")
      assert.deepStrictEqual(yield* slots.inspect, { running: 1, queued: 1_200, free: 0 })
      yield* Fiber.interrupt(waiting[0]!)
      yield* Fiber.interrupt(busy)
      yield* Fiber.joinAll(waiting.slice(1))
      assert.deepStrictEqual(yield* slots.inspect, { running: 0, queued: 0, free: 1 })
    })
  )

  it.effect("a call's own deadline ends its wait all the same", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("unbounded", {
        timeout: "1 minute",
        rateLimiter: RateLimiter.tokenBucket({ ...hour, maxWait: Infinity })
      })
      yield* resilient(Effect.void, "a")
      const error = yield* Effect.forkChild(Effect.flip(resilient(Effect.void, "a")), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      assert.include(["RateLimitExceeded", "TimeoutExceeded"], (yield* Fiber.join(error))._tag)
    })
  )

  it.effect("a call is tried until it succeeds", () =>
    Effect.gen(function* () {
      let runs = 0
      const call = Effect.suspend(() => (++runs < 5_000 ? Effect.fail("503") : Effect.succeed(runs)))
      const policy = Retry.policy({ maxAttempts: Infinity, backoff: Backoff.constant({ delay: 1, jitter: "none" }) })
      const running = yield* Effect.forkChild(Retry.execute(call, policy), { startImmediately: true })
      yield* TestClock.adjust(5_000)
      assert.strictEqual(yield* Fiber.join(running), 5_000)
    })
  )
})

describe("RetryExhausted", () => {
  for (const attempts of [99, 100, 101, 102, 250]) {
    it.effect(`keeps the first and the last 99 of ${attempts} errors`, () =>
      Effect.gen(function* () {
        let runs = 0
        const policy = Retry.policy({
          maxAttempts: attempts,
          backoff: Backoff.constant({ delay: 1, jitter: "none" }),
          onExhausted: "wrap"
        })
        const call = Effect.suspend(() => Effect.fail(++runs))
        const running = yield* Effect.forkChild(Effect.flip(Retry.execute(call, policy)), { startImmediately: true })
        yield* TestClock.adjust(attempts)
        const error = yield* Fiber.join(running)
        assert.instanceOf(error, Rejection.RetryExhausted)
        const all = Array.from({ length: attempts }, (_, i) => i + 1)
        assert.strictEqual(error.attempts, attempts)
        assert.deepStrictEqual(error.errors, attempts <= 100 ? all : [1, ...all.slice(-99)])
      })
    )
  }
})
