import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, pipe } from "effect"
import { CircuitBreaker, RateLimiter, Rejection, Resilience, resilient, Retry } from "effect-resilience"
import { TestResilience } from "effect-resilience-testing"

const tokenBucket = RateLimiter.tokenBucket({ limit: 1, window: "1 hour" })

class Payments extends Resilience.Service<Payments>()("app/Payments", {
  rateLimiter: RateLimiter.every({ user: tokenBucket, tenant: tokenBucket }),
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "30 seconds" }),
  retry: Retry.policy({ maxAttempts: 3, onExhausted: "wrap" }),
  timeout: "1 second"
}) {}
const key = { user: "ada", tenant: "acme" }
const open = new Rejection.CircuitOpen({ key: "app/Payments", state: "Open", retryAfterMillis: 30_000 })

/** Whatever is wrong with the options is said where they are given. */
const badCost = () => Effect.asVoid(pipe(Effect.succeed("paid"), Payments.resilient(key, { cost: 0 })))

describe("layerPassthrough", () => {
  const provide = Effect.provide(TestResilience.layerPassthrough(Payments))

  it.effect("lets everything through, once, and waits for nothing", () =>
    Effect.gen(function* () {
      let runs = 0
      const declined = Effect.suspend(() => Effect.fail(`declined ${++runs}`))
      for (const run of [1, 2, 3]) {
        assert.strictEqual(yield* pipe(Effect.succeed(run), Payments.resilient(key)), run)
        const exit = yield* Effect.exit(Payments.resilient(declined, key, { cost: 100, classify: () => "failure" }))
        assert.deepStrictEqual(exit, Exit.fail(`declined ${run}`))
      }
    }).pipe(provide)
  )

  it.effect("finds nothing configured", () =>
    Effect.gen(function* () {
      const nothing = { rateLimiter: undefined, circuitBreaker: undefined, bulkhead: undefined }
      assert.deepStrictEqual(yield* Payments.inspect(key), nothing)
      assert.strictEqual((yield* Payments).id, "app/Payments")
    }).pipe(provide)
  )

  it.effect("refuses options that make no sense", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.try({ try: badCost, catch: (error) => error }))
      assert.instanceOf(error, Rejection.InvalidPolicyError)
      const service = yield* Payments
      assert.throws(() => service.resilient(Effect.void, key, { cost: 0.5 }), /cost/)
    }).pipe(provide)
  )

  it.effect("stands in for the default pipeline", () =>
    Effect.gen(function* () {
      const pay = pipe(Effect.succeed("paid"), resilient(key))
      assert.deepStrictEqual(yield* Effect.all([pay, pay, pay]), ["paid", "paid", "paid"])
    }).pipe(Effect.provide(TestResilience.layerPassthrough(Resilience.Resilience)))
  )
})

describe("layerReject", () => {
  const never: Effect.Effect<string, string> = Effect.die(new Error("it ran"))

  it.effect("refuses every call, and never runs it", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(pipe(never, Payments.resilient(key))), open)
      assert.strictEqual(yield* Effect.flip(Payments.resilient(never, key, { cost: 2 })), open)
      const classified = pipe(
        never,
        Payments.resilient(key, { classify: (exit) => (Exit.isSuccess(exit) ? "success" : "failure") })
      )
      assert.strictEqual(yield* Effect.flip(classified), open)
    }).pipe(Effect.provide(TestResilience.layerReject(Payments, open)))
  )

  it.effect("tells whose call it refuses", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(pipe(never, Payments.resilient(key)))
      assert.instanceOf(error, Rejection.TimeoutExceeded)
      assert.strictEqual(error.key, "ada of acme")
    }).pipe(
      Effect.provide(
        TestResilience.layerReject(
          Payments,
          ({ tenant, user }) =>
            new Rejection.TimeoutExceeded({ key: `${user} of ${tenant}`, scope: "call", timeoutMillis: 1_000 })
        )
      )
    )
  )

  it.effect("refuses options that make no sense", () =>
    Effect.gen(function* () {
      assert.throws(badCost, Rejection.InvalidPolicyError)
      const service = yield* Payments
      assert.throws(() => service.resilient(Effect.void, key, { cost: 0.5 }), /cost/)
    }).pipe(Effect.provide(TestResilience.layerReject(Payments, open)))
  )

  it.effect("stands in for the default pipeline, also where a layer requires it", () => {
    const Shop = Layer.effectDiscard(
      Effect.gen(function* () {
        assert.strictEqual(yield* Effect.flip(pipe(never, resilient("ada"))), open)
      })
    )
    return Effect.void.pipe(
      Effect.provide(Shop.pipe(Layer.provide(TestResilience.layerReject(Resilience.Resilience, open))))
    )
  })
})
