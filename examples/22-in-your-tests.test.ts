/** Tests of code that uses a pipeline: no mock of it, no second of real time. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, pipe } from "effect"
import { TestClock } from "effect/testing"
import {
  Backoff,
  CircuitBreaker,
  Outcome,
  RateLimiter,
  Rejection,
  Resilience,
  resilient,
  Retry
} from "effect-resilience"

class Payments extends Resilience.Service<Payments>()("app/Payments", {
  rateLimiter: RateLimiter.tokenBucket({ limit: 2, window: "1 minute" }),
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "30 seconds" }),
  retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.exponential({ base: "1 second", jitter: "none" }) })
}) {}

// #region clock
it.effect("gives up after three attempts and three seconds", () =>
  Effect.gen(function* () {
    let attempts = 0
    const charge = Effect.suspend(() => Effect.fail(`declined ${++attempts}`))
    const fiber = yield* Effect.forkChild(Effect.exit(pipe(charge, Payments.resilient("ada"))))
    yield* TestClock.adjust("2999 millis")
    assert.strictEqual(attempts, 2)
    yield* TestClock.adjust("1 millis")
    assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("declined 3"))
  }).pipe(Effect.provide(Payments.layer))
)
// #endregion

// #region state
it.effect("a refused payment spends nothing, and says when to come back", () =>
  Effect.gen(function* () {
    const pay = pipe(Effect.succeed("paid"), Payments.resilient("ada"))
    yield* Effect.all([pay, pay])
    const refused = yield* Effect.flip(pay)
    assert.instanceOf(refused, Rejection.RateLimitExceeded)
    assert.strictEqual(refused.retryAfterMillis, 30_000)
    yield* TestClock.adjust(refused.retryAfterMillis ?? 0)
    assert.strictEqual((yield* Payments.inspect("ada")).rateLimiter?.remaining, 1)
    assert.strictEqual(yield* pay, "paid")
  }).pipe(Effect.provide(Payments.layer))
)
// #endregion

// #region swap
it.effect("the code under test does not know which policies are on", () =>
  Effect.gen(function* () {
    const pay = pipe(Effect.succeed("paid"), resilient("ada"))
    assert.deepStrictEqual(yield* Effect.all([pay, pay, pay]), ["paid", "paid", "paid"])
  }).pipe(Effect.provide(Resilience.layer({})))
)
// #endregion

// #region refuse
it.effect("what the user sees while the circuit is open", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.CircuitBreaker
    yield* breaker.isolate()
    const refused = yield* Effect.flip(pipe(Effect.succeed("paid"), resilient("ada")))
    assert.strictEqual(refused._tag, "CircuitOpen")
    assert.strictEqual(Outcome.fromExit(Exit.fail(refused)), "ignored")
  }).pipe(
    Effect.provide(
      Resilience.layerFrom([CircuitBreaker.CircuitBreaker]).pipe(
        Layer.provideMerge(
          CircuitBreaker.layer(
            CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" })
          )
        )
      )
    )
  )
)
// #endregion
