/** Tests of code that uses a pipeline: no mock of it, no second of real time. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, pipe } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker, RateLimiter, Rejection, Resilience, Retry } from "effect-resilience"
import { Arbitraries, TestResilience } from "effect-resilience-testing"

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

// #region passthrough
it.effect("a test that is not about policies", () =>
  Effect.gen(function* () {
    const pay = pipe(Effect.succeed("paid"), Payments.resilient("ada"))
    assert.deepStrictEqual(yield* Effect.all([pay, pay, pay]), ["paid", "paid", "paid"])
  }).pipe(Effect.provide(TestResilience.layerPassthrough(Payments)))
)
// #endregion

// #region refuse
const open = new Rejection.CircuitOpen({ key: "app/Payments", state: "Open", retryAfterMillis: 30_000 })

it.effect("what the user sees while the circuit is open", () =>
  Effect.gen(function* () {
    const answer = pipe(
      Effect.succeed("paid"),
      Payments.resilient("ada"),
      Effect.catchTag("CircuitOpen", () => Effect.succeed("the bank is down, try again in a minute"))
    )
    assert.strictEqual(yield* answer, "the bank is down, try again in a minute")
  }).pipe(Effect.provide(TestResilience.layerReject(Payments, open)))
)
// #endregion

// #region property
it.effect.prop(
  "whatever happens, nobody pays twice",
  { pipeline: Arbitraries.policies, behaviour: Arbitraries.behaviour },
  ({ behaviour, pipeline }) =>
    Effect.gen(function* () {
      let paid = 0
      const bank = yield* Resilience.make("test/Bank", pipeline)
      const charge = Effect.tap(Arbitraries.run(behaviour), () => Effect.sync(() => paid++))
      yield* Effect.forkChild(bank.resilient(charge, "ada"))
      yield* TestClock.adjust("1 hour")
      assert.isAtMost(paid, 1)
    })
)
// #endregion
