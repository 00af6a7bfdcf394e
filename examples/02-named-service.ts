/** One service for each upstream: its error type holds exactly what its policies can raise. */
import { Data, Effect, pipe } from "effect"
import { CircuitBreaker, RateLimiter, Resilience } from "effect-resilience"

class ChargeError extends Data.TaggedError("ChargeError")<{ readonly status: number }> {}

class Payments extends Resilience.Service<Payments>()("app/Payments", {
  rateLimiter: RateLimiter.tokenBucket({ limit: 100, window: "1 minute" }),
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" })
}) {}

const charge = (amount: number) =>
  amount > 400 ? Effect.fail(new ChargeError({ status: 402 })) : Effect.succeed({ paid: amount })

// Effect<{ paid: number }, ChargeError | CircuitOpen | RateLimitExceeded, Payments>
const checkout = (amount: number) => pipe(charge(amount), Payments.resilient("user:1"))

const program = Effect.gen(function* () {
  console.log(yield* checkout(300))
  console.log((yield* Effect.flip(checkout(500)))._tag)
  console.log((yield* Payments.inspect("user:1")).rateLimiter?.remaining, "calls left")
})

program.pipe(Effect.provide(Payments.layer), Effect.runPromise)
