/**
 * This library, with the same numbers.
 */
import * as Effect from "effect/Effect"
import * as Backoff from "effect-resilience/Backoff"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as RateLimiter from "effect-resilience/RateLimiter"
import * as Resilience from "effect-resilience/Resilience"
import * as Retry from "effect-resilience/Retry"
import type { Limit } from "./floor.ts"
import {
  attempts,
  attemptTimeoutMillis,
  baseMillis,
  callTimeoutMillis,
  failures,
  limit,
  maxConcurrent,
  openMillis,
  windowMillis
} from "./numbers.ts"

export const tokenBucket = (bucket: Limit = { limit, windowMillis }) =>
  RateLimiter.tokenBucket({ limit: bucket.limit, window: bucket.windowMillis })

export const circuitBreaker = (openDuration: number = openMillis) =>
  CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(failures), openDuration })

const policies = (bucket?: Limit) => ({
  circuitBreaker: circuitBreaker(),
  rateLimiter: tokenBucket(bucket),
  retry: Retry.policy({ maxAttempts: attempts, backoff: Backoff.exponential({ base: baseMillis }) })
})

/** Breaker, token bucket and retry. */
export const makePipeline = (bucket?: Limit) => Effect.runSync(Resilience.make("bench", policies(bucket))).resilient

/** The same with a bulkhead and both timeouts. */
export const makeFullPipeline = () =>
  Effect.runSync(
    Resilience.make("bench", {
      ...policies(),
      bulkhead: Bulkhead.policy({ maxConcurrent }),
      timeout: callTimeoutMillis,
      attemptTimeout: attemptTimeoutMillis
    })
  ).resilient

/** The same as `makePipeline`, found through its tag for each call. */
export class Tagged extends Resilience.Service<Tagged>()("bench/Tagged", policies()) {}
