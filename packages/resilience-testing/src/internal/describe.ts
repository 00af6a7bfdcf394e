/**
 * Policies in words.
 */
import type * as Bulkhead from "effect-resilience/Bulkhead"
import type { Policies } from "effect-resilience/Policies"
import * as RateLimiter from "effect-resilience/RateLimiter"
import * as Retry from "effect-resilience/Retry"
import { maxWaitOf } from "effect-resilience/Validate"
import { millis } from "./validate.ts"
import { digits, time } from "./words.ts"

const limits = {
  TokenBucket: "token bucket",
  LeakyBucket: "leaky bucket",
  FixedWindow: "fixed window",
  SlidingWindow: "sliding window",
  SlidingLog: "sliding log",
  Kernel: "limit"
}

const wait = (maxWait: number): string => (maxWait === 0 ? "" : `, waits up to ${time(maxWait)}`)

const describeLimit = (given: RateLimiter.AnyLimit): string => {
  const { _tag, capacity, limit, maxWait, window } = RateLimiter.shared(given) // its numbers are those of the options
  return `${limits[_tag]} ${digits(limit)} per ${time(window)}${capacity === limit ? "" : `, burst ${digits(capacity)}`}${wait(maxWait)}`
}

const describeLimiter = (limiter: RateLimiter.Policy): ReadonlyArray<string> => {
  if ("algorithm" in limiter.options) return [describeLimit(limiter as RateLimiter.AnyLimit)] // only limits have one
  if (!("limits" in limiter.options)) return []
  const each = Object.entries(limiter.options.limits).map(([name, limit]) => `${name}: ${describeLimit(limit)}`)
  return [`every of (${each.join("; ")})`]
}

const describeBulkhead = ({ options: { maxConcurrent, maxWait = 0 } }: Bulkhead.Policy<string>): string =>
  `bulkhead of ${digits(maxConcurrent)}${wait(maxWaitOf("Bulkhead.policy", maxWait))}`

const describeRetry = ({ options }: NonNullable<Policies["retry"]>): string => {
  if (options.schedule !== undefined) return "retries"
  const { maxAttempts } = Retry.policy(options) // with its default
  return maxAttempts === Infinity ? "retries" : `up to ${digits(maxAttempts)} attempts`
}

export const describePolicies = (policies: Policies): string => {
  const { admission, attemptTimeout, bulkhead, circuitBreaker, rateLimiter, retry, timeout } = policies
  const parts = [
    timeout === undefined ? [] : [`timeout ${time(millis("Resilience", "timeout", timeout))}`],
    circuitBreaker === undefined ? [] : ["circuit breaker"],
    rateLimiter === undefined ? [] : describeLimiter(rateLimiter),
    bulkhead === undefined ? [] : [describeBulkhead(bulkhead)],
    retry === undefined ? [] : [describeRetry(retry)],
    attemptTimeout === undefined
      ? []
      : [`attempt timeout ${time(millis("Resilience", "attemptTimeout", attemptTimeout))}`],
    Object.keys(policies.policies ?? {}),
    admission === "attempt" ? ["admission of each attempt"] : []
  ].flat()
  return parts.length === 0 ? "no policies" : parts.join(", ")
}
