import { Effect, pipe } from "effect"
import { Backoff, CircuitBreaker, RateLimiter, Resilience, resilient, Retry } from "effect-resilience"

const ResilienceLive = Resilience.layer({
  timeout: "10 seconds",
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "30 seconds" }),
  rateLimiter: RateLimiter.tokenBucket({ limit: 2, window: "1 minute" }),
  retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.exponential({ base: "50 millis" }) })
})

const fetchUser = (id: string) => (id === "broken" ? Effect.fail("503" as const) : Effect.succeed(`Ada (${id})`))

const ask = (id: string) =>
  pipe(
    fetchUser(id),
    resilient(`user:${id}`), // the whole pipeline, keyed
    Effect.catchTags({
      RateLimitExceeded: (error) =>
        Effect.succeed(`refused: ${error.reason}, again in ${seconds(error.retryAfterMillis)}`),
      CircuitOpen: (error) =>
        Effect.succeed(`refused: circuit is ${error.state}, again in ${seconds(error.retryAfterMillis)}`)
    }),
    Effect.catch((error) => Effect.succeed(`failed: ${error}`)),
    Effect.flatMap((answer) => Effect.sync(() => console.log(`${id.padEnd(6)} -> ${answer}`)))
  )

const seconds = (millis = 0) => `${Math.ceil(millis / 1000)} s`

const program = Effect.forEach(["123", "123", "123", "broken", "broken", "456"], ask)

program.pipe(Effect.provide(ResilienceLive), Effect.runPromise)
