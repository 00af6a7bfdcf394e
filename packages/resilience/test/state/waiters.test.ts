/** A transaction beside those who wait: for a limit, behind a circuit, in a backoff, or in `Effect.txRetry`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, RateLimiter, Resilience, resilient, Retry } from "../../src/index.ts"
import { during, settle } from "./support.ts"

describe("a transaction beside a waiter", () => {
  const policy = RateLimiter.tokenBucket({ limit: 4, window: "4 seconds", maxWait: "1 minute" })
  const queued = (limiter: RateLimiter.RateLimiterService<string>) =>
    Effect.map(limiter.peek("a"), ({ queued }) => queued)

  it.effect("does not overtake it, though there is room for the smaller cost", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(policy)
      yield* limiter.acquire("a", { cost: 2 })
      const waiter = yield* Effect.forkChild(limiter.acquire("a", { cost: 3 }))
      yield* settle
      assert.strictEqual(yield* queued(limiter), 1)
      assert.strictEqual((yield* limiter.peek("a")).remaining, 2)
      assert.isFalse(yield* Effect.tx(limiter.allow("a")))
      assert.isFalse(yield* limiter.allow("a"), "nor does a call")
      assert.strictEqual((yield* limiter.peek("a")).remaining, 2)
      const error = yield* Effect.flip(Effect.tx(limiter.acquire("a")))
      assert.deepInclude(error, { reason: "limit", retryAfterMillis: 2_000 })
      assert.isTrue(yield* Effect.tx(limiter.allow("b")), "nobody waits on the other key")
      yield* Fiber.interrupt(waiter)
      assert.isTrue(yield* Effect.tx(limiter.allow("a")))
      assert.strictEqual((yield* limiter.peek("a")).remaining, 1)
    })
  )

  it.effect("is told what every limit says, also of those where nobody waits", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.every({ x: policy, y: policy }))
      yield* limiter.acquire({ x: "a", y: "a" }, { cost: 4 })
      const waiter = yield* Effect.forkChild(limiter.acquire({ x: "a", y: "other" }, { cost: 2 }))
      yield* settle
      const { limits } = yield* Effect.flip(Effect.tx(limiter.acquire({ x: "a", y: "a" })))
      assert.deepStrictEqual(
        limits.map(({ limit, retryAfterMillis }) => [limit, retryAfterMillis]),
        [
          ["x", 3_000],
          ["y", 1_000]
        ]
      )
      yield* Fiber.interrupt(waiter)
    })
  )

  for (const [what, reset] of [
    ["the key", "a"],
    ["every key", undefined]
  ] as const) {
    it.effect(`wakes it by resetting ${what}, at the commit and not before`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(policy)
        yield* limiter.acquire("a", { cost: 4 })
        const waiter = yield* Effect.forkChild(limiter.acquire("a", { cost: 4 }))
        yield* settle
        yield* during(
          (gap) => Effect.andThen(limiter.reset(reset), gap),
          Effect.gen(function* () {
            yield* settle
            assert.isUndefined(waiter.pollUnsafe())
          })
        )
        yield* settle
        assert.deepStrictEqual(waiter.pollUnsafe(), Exit.void)
        assert.strictEqual((yield* limiter.peek("a")).remaining, 0)
      })
    )

    it.effect(`leaves it waiting when the transaction that reset ${what} rolls back`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(policy)
        yield* limiter.acquire("a", { cost: 4 })
        const waiter = yield* Effect.forkChild(limiter.acquire("a", { cost: 4 }))
        yield* settle
        yield* Effect.exit(Effect.tx(Effect.andThen(limiter.reset(reset), Effect.fail("no"))))
        yield* TestClock.adjust(3_999)
        assert.isUndefined(waiter.pollUnsafe())
        assert.strictEqual(yield* queued(limiter), 1)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(waiter.pollUnsafe(), Exit.void)
      })
    )
  }

  it.effect("wakes one after the other, each at a commit of its own", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(policy)
      yield* limiter.acquire("a", { cost: 4 })
      const waiters = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(limiter.acquire("a", { cost: 4 })))
      const admitted = () => waiters.filter((waiter) => waiter.pollUnsafe() !== undefined).length
      yield* settle
      for (const expected of [1, 2, 3]) {
        // it is asked in the middle too, in vain
        yield* Effect.tx(Effect.andThen(limiter.reset("a"), settle))
        yield* settle
        assert.strictEqual(admitted(), expected)
      }
    })
  )

  it.effect("that waits with txRetry for its turn behind a waiter is woken when the key changes", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(policy)
      yield* limiter.acquire("a", { cost: 4 })
      const waiter = yield* Effect.forkChild(limiter.acquire("a", { cost: 3 }))
      yield* settle
      const patient = yield* Effect.forkChild(
        Effect.tx(Effect.flatMap(limiter.allow("a"), (allowed) => (allowed ? Effect.void : Effect.txRetry)))
      )
      yield* settle
      assert.isUndefined(patient.pollUnsafe())
      yield* limiter.reset("a")
      yield* settle
      assert.deepStrictEqual(waiter.pollUnsafe(), Exit.void)
      assert.deepStrictEqual(patient.pollUnsafe(), Exit.void)
      assert.strictEqual((yield* limiter.peek("a")).remaining, 0)
    })
  )

  it.effect("that waits with txRetry is woken by a write of the hot path", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.slidingLog({ limit: 2, window: "1 second" }))
      const patient = yield* Effect.forkChild(
        Effect.tx(
          Effect.flatMap(limiter.peek("a"), ({ remaining }) => (remaining === 0 ? Effect.void : Effect.txRetry))
        )
      )
      yield* settle
      yield* limiter.allow("a")
      yield* settle
      assert.isUndefined(patient.pollUnsafe())
      yield* limiter.allow("a")
      yield* settle
      assert.deepStrictEqual(patient.pollUnsafe(), Exit.void)
    })
  )

  const Both = Resilience.layerFrom([RateLimiter.RateLimiter, CircuitBreaker.CircuitBreaker, Retry.Retry]).pipe(
    Layer.provideMerge([
      RateLimiter.layer(policy),
      CircuitBreaker.layer(
        CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "1 minute" })
      ),
      Retry.layer(Retry.policy({ maxAttempts: 2, backoff: { _tag: "Constant", delay: 60_000, jitter: "none" } }))
    ])
  )

  it.effect("that isolates the circuit turns its waiters away at the commit", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      const breaker = yield* CircuitBreaker.CircuitBreaker
      yield* limiter.acquire("a", { cost: 4 })
      const waiter = yield* Effect.forkChild(Effect.flip(resilient(Effect.void, "a")))
      yield* settle
      yield* Effect.exit(Effect.tx(Effect.andThen(breaker.isolate(), Effect.fail("no"))))
      yield* settle
      assert.isUndefined(waiter.pollUnsafe())
      yield* Effect.tx(breaker.isolate())
      assert.deepInclude(yield* Fiber.join(waiter), { _tag: "CircuitOpen", state: "Isolated" })
      assert.strictEqual(yield* queued(limiter), 0)
    }).pipe(Effect.provide(Both))
  )

  it.effect("that isolates the circuit ends a call in its backoff at the commit, with its last error", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.CircuitBreaker
      const call = yield* Effect.forkChild(Effect.flip(resilient(Effect.fail("down"), "a")))
      yield* settle
      yield* Effect.exit(Effect.tx(Effect.andThen(breaker.isolate(), Effect.fail("no"))))
      yield* settle
      assert.isUndefined(call.pollUnsafe())
      yield* Effect.tx(breaker.isolate())
      assert.strictEqual(yield* Fiber.join(call), "down")
    }).pipe(Effect.provide(Both))
  )
})
