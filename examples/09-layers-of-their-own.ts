/** Each policy a layer of its own, composed: a test swaps one and keeps the others. */
import { Effect, Layer, pipe } from "effect"
import { CircuitBreaker, RateLimiter, Resilience, resilient, Retry } from "effect-resilience"

const Composed = Resilience.layerFrom([RateLimiter.RateLimiter, CircuitBreaker.CircuitBreaker, Retry.Retry], {
  timeout: "5 seconds"
})

const Breaker = CircuitBreaker.layer(
  CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" })
)
const Attempts = Retry.layer(Retry.policy({ maxAttempts: 3 }))
const Limits = RateLimiter.layer(RateLimiter.tokenBucket({ limit: 1, window: "1 minute" }))

const Live = Composed.pipe(Layer.provide([Limits, Breaker, Attempts]))
const Test = Composed.pipe(Layer.provide([RateLimiter.layer(RateLimiter.unlimited), Breaker, Attempts]))

const twice = Effect.all(
  [1, 2].map(() =>
    Effect.match(pipe(Effect.succeed("ok"), resilient("user:1")), {
      onFailure: (error) => error._tag,
      onSuccess: (answer) => answer
    })
  )
)

const program = Effect.gen(function* () {
  console.log("live:", (yield* Effect.provide(twice, Live)).join(", "))
  console.log("test:", (yield* Effect.provide(twice, Test)).join(", "))
})

Effect.runPromise(program)
