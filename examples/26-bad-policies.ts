/** A policy that makes no sense never starts: it throws where it is written, and says what is wrong. */
import { Bulkhead, CircuitBreaker, RateLimiter, Rejection, Retry } from "effect-resilience"

const policies = [
  () => RateLimiter.tokenBucket({ limit: Number("10/s"), window: "1 second" }),
  () => RateLimiter.slidingLog({ limit: 5_000, window: "1 hour" }),
  () => Retry.policy({ maxAttempts: 0 }),
  () => Bulkhead.policy({ maxConcurrent: 10, maxQueued: 50 }),
  () =>
    CircuitBreaker.policy({
      tripPolicy: CircuitBreaker.failureRate({ threshold: 50, window: "10 seconds" }),
      openDuration: "30 seconds"
    })
]

for (const policy of policies) {
  try {
    policy()
  } catch (error) {
    if (error instanceof Rejection.InvalidPolicyError) console.log(error.message)
  }
}
