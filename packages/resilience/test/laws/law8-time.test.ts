/**
 * Law 8. All time comes from Effect's `Clock`, monotonic: a wall clock stepping back must neither freeze nor grant
 * anything; all randomness from `Random`. No timer exists while nobody waits.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Resilience, Retry } from "../../src/index.ts"

const limits = {
  tokenBucket: RateLimiter.tokenBucket({ limit: 2, window: "1 second" }),
  leakyBucket: RateLimiter.leakyBucket({ limit: 2, window: "1 second", capacity: 2 }),
  fixedWindow: RateLimiter.fixedWindow({ limit: 2, window: "1 second" }),
  slidingWindow: RateLimiter.slidingWindow({ limit: 2, window: "1 second" }),
  slidingLog: RateLimiter.slidingLog({ limit: 2, window: "1 second" })
}

const hourBack = Effect.flatMap(Clock.currentTimeMillis, (now) => TestClock.setTime(now - 3_600_000))

describe("law 8: a wall clock that steps back an hour", () => {
  for (const [name, limit] of Object.entries(limits)) {
    it.effect(`grants nothing of a ${name}, and freezes nothing`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(limit)
        yield* TestClock.adjust("2 hours")
        assert.isTrue(yield* limiter.allow("k", { cost: 2 }))
        yield* hourBack
        assert.isFalse(yield* limiter.allow("k"))
        yield* TestClock.adjust("1100 millis")
        assert.isTrue(yield* limiter.allow("k", { cost: 2 }))
      })
    )
  }

  it.effect("neither shortens nor lengthens an opening", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(
        CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "5 seconds" })
      )
      yield* TestClock.adjust("2 hours")
      yield* Effect.exit(breaker.execute(Effect.fail("down")))
      yield* hourBack
      assert.deepInclude(yield* breaker.state(), { state: "Open", retryAfterMillis: 5_000 })
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual((yield* breaker.state()).state, "Open")
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* breaker.state()).state, "HalfOpen")
    })
  )
})

/** A clock that counts the sleeps that are under way, on top of the one in force. */
const counting = Effect.map(Clock.clockWith(Effect.succeed), (clock) => {
  const count = { live: 0, started: 0 }
  const counted: Clock.Clock = {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) =>
      Effect.suspend(() => {
        count.live++
        count.started++
        return Effect.ensuring(
          clock.sleep(duration),
          Effect.sync(() => count.live--)
        )
      })
  }
  return { count, counted }
})

const waiting = {
  timeout: "1 minute",
  attemptTimeout: "30 seconds",
  rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: "30 seconds" }),
  bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "30 seconds" }),
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(3), openDuration: "1 minute" }),
  retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("1 second") })
} as const

describe("law 8: timers", () => {
  it.effect("do not exist while nobody waits", () =>
    Effect.gen(function* () {
      const { count, counted } = yield* counting
      const service = yield* Resilience.make("s", waiting)
      const run = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.provideService(service.resilient(effect, "k"), Clock.Clock, counted)

      yield* run(Effect.void)
      assert.strictEqual(count.started, 0, "a call that passes at once sets none")

      const queue = yield* Effect.forEach([1, 2, 3, 4, 5], () => Effect.forkChild(run(Effect.void)))
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(count.live, 1, "five waiters share one")
      yield* Fiber.interruptAll(queue.slice(0, 2))
      assert.strictEqual(count.live, 1)
      yield* Fiber.interruptAll(queue.slice(2))
      yield* Effect.yieldNow
      assert.strictEqual(count.live, 0, "none after the last waiter left")

      yield* TestClock.adjust("10 seconds")
      const holder = yield* Effect.forkChild(run(Effect.never), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      const second = yield* Effect.forkChild(run(Effect.never), { startImmediately: true })
      assert.strictEqual(count.live, 1, "the attempt that runs and the bulkhead's queue share one")
      yield* Fiber.interruptAll([second, holder])
      yield* Effect.yieldNow
      assert.strictEqual(count.live, 0)

      yield* TestClock.adjust("10 seconds")
      const failing = yield* Effect.forkChild(Effect.exit(run(Effect.fail("down"))), { startImmediately: true })
      assert.strictEqual(count.live, 1, "a backoff")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(failing)
      yield* Effect.yieldNow
      assert.strictEqual(count.live, 0)
    })
  )

  it.effect("are one for an attempt under two timeouts", () =>
    Effect.gen(function* () {
      const { count, counted } = yield* counting
      const service = yield* Resilience.make("s", { timeout: "1 minute", attemptTimeout: "30 seconds" })
      const fiber = yield* Effect.forkChild(
        Effect.provideService(service.resilient(Effect.never, "k"), Clock.Clock, counted),
        { startImmediately: true }
      )
      assert.strictEqual(count.live, 1)
      yield* Fiber.interrupt(fiber)
      yield* Effect.yieldNow
      assert.strictEqual(count.live, 0)
    })
  )
})

describe("law 8: randomness", () => {
  it.effect("comes from the Random of the fiber: the same seed waits the same times", () =>
    Effect.gen(function* () {
      const delays = (seed: string) =>
        Effect.gen(function* () {
          const service = yield* Resilience.make("s", {
            retry: Retry.policy({ maxAttempts: 6, backoff: Backoff.exponential({ base: "1 second", cap: "1 minute" }) })
          })
          const at: Array<number> = []
          const call = Effect.flatMap(Clock.currentTimeMillis, (now) => {
            at.push(now)
            return Effect.fail("down")
          })
          const fiber = yield* Effect.forkChild(Effect.exit(Random.withSeed(service.resilient(call, "k"), seed)))
          yield* TestClock.adjust("10 minutes")
          yield* Fiber.join(fiber)
          return at.map((time) => time - at[0]!)
        })
      const first = yield* delays("one")
      assert.deepStrictEqual(yield* delays("one"), first)
      assert.notDeepEqual(yield* delays("two"), first)
    })
  )
})
