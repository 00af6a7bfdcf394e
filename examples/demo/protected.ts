/**
 * The second run: the same call, through one pipeline.
 */
import { Exit, Option, pipe } from "effect"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  type Outcome,
  RateLimiter,
  type Rejection,
  Resilience,
  Retry
} from "effect-resilience"
import { Api, type ApiError } from "./api.ts"

/** What we know about the upstream, and what we want for our users. */
export class Profiles extends Resilience.Service<Profiles>()("demo/Profiles", {
  // Nobody waits longer than this, and no request stays out longer than that.
  timeout: "3 seconds",
  attemptTimeout: "500 millis",

  // A retry pays like a first attempt: only so can we promise what reaches the upstream.
  admission: "attempt",
  rateLimiter: RateLimiter.every({
    // No user takes more than a fair part...
    user: RateLimiter.tokenBucket({ limit: 5, window: "1 second", maxWait: "500 millis", maxQueued: 5 }),
    // ...and all of them stay below the 20 a second that the upstream permits, with 2 to spare for the network.
    upstream: RateLimiter.shared(RateLimiter.slidingWindow({ limit: 18, window: "1 second", maxWait: "500 millis" }))
  }),

  // When half of the calls fail or are slow, the upstream is left alone; a single call tries whether it is back.
  circuitBreaker: CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.anyOf(
      CircuitBreaker.failureRate({ threshold: 0.5, window: "2 seconds", minimumCalls: 5 }),
      CircuitBreaker.slowCallRate({ threshold: 0.5, slowAfter: "300 millis", window: "2 seconds", minimumCalls: 5 })
    ),
    openDuration: Backoff.exponential({ base: "400 millis", cap: "800 millis", jitter: "none" })
  }),

  // No more than 20 requests are out at once, however long they take.
  bulkhead: Bulkhead.policy({ maxConcurrent: 20 }),

  // Waits grow and are spread at random, and when the upstream says "in a second", it is a second.
  retry: Retry.policy({
    maxAttempts: 3,
    backoff: Backoff.exponential({ base: "100 millis", cap: "1 second", jitter: "full" }),
    retryAfter: (error: ApiError) => error.retryAfter
  })
}) {}

/** "Too many requests" says that we are too fast, not that the upstream is ill. */
const classify = (exit: Exit.Exit<string, ApiError | Rejection.TimeoutExceeded>): Outcome.Outcome | undefined =>
  Option.exists(
    Exit.findErrorOption(exit),
    (error) => error._tag === "ApiError" && error.reason === "too many requests"
  )
    ? "ignored"
    : undefined

export const fetchProfile = (user: string) =>
  pipe(
    Api.use((api) => api.fetchProfile(user)),
    Profiles.resilient({ user }, { classify })
  )
