/**
 * Policies in words.
 */
import type { Policies } from "effect-resilience/Policies"
import { millis } from "./validate.ts"
import { digits, time } from "./words.ts"

type Limit = Exclude<NonNullable<Policies["rateLimiter"]>, { readonly _tag: "Every" | "Unlimited" }>

const limits = {
  TokenBucket: "token bucket",
  LeakyBucket: "leaky bucket",
  FixedWindow: "fixed window",
  SlidingWindow: "sliding window",
  SlidingLog: "sliding log",
  Kernel: "limit"
}

const wait = (maxWait: number): string => (maxWait === 0 ? "" : `, waits up to ${time(maxWait)}`)

const describeLimit = ({ _tag, capacity, limit, maxWait, window }: Limit): string =>
  `${limits[_tag]} ${digits(limit)} per ${time(window)}${capacity === limit ? "" : `, burst ${digits(capacity)}`}${wait(maxWait)}`

const describeLimiter = (limiter: NonNullable<Policies["rateLimiter"]>): ReadonlyArray<string> => {
  if (limiter._tag === "Unlimited") return []
  if (limiter._tag !== "Every") return [describeLimit(limiter)]
  const each = Object.entries(limiter.limits).map(([name, limit]) => `${name}: ${describeLimit(limit)}`)
  return [`every of (${each.join("; ")})`]
}

export const describePolicies = (policies: Policies): string => {
  const { admission, attemptTimeout, bulkhead, circuitBreaker, rateLimiter, retry, timeout } = policies
  const parts = [
    timeout === undefined ? [] : [`timeout ${time(millis("Resilience", "timeout", timeout))}`],
    circuitBreaker === undefined ? [] : ["circuit breaker"],
    rateLimiter === undefined ? [] : describeLimiter(rateLimiter),
    bulkhead === undefined ? [] : [`bulkhead of ${digits(bulkhead.maxConcurrent)}${wait(bulkhead.maxWait)}`],
    retry === undefined
      ? []
      : [retry.maxAttempts === Infinity ? "retries" : `up to ${digits(retry.maxAttempts)} attempts`],
    attemptTimeout === undefined
      ? []
      : [`attempt timeout ${time(millis("Resilience", "attemptTimeout", attemptTimeout))}`],
    admission === "attempt" ? ["admission of each attempt"] : []
  ].flat()
  return parts.length === 0 ? "no policies" : parts.join(", ")
}
