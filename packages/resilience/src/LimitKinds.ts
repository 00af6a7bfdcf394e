/**
 * The kinds of limits, as plain values. They are exported from `RateLimiter`, whose header says which one to take.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { callback, count, millis, product, such } from "./internal/validate.ts"
import { fixedWindow as fixedWindowKernel } from "./kernel/FixedWindow.ts"
import type { LimiterKernel } from "./kernel/Limiter.ts"
import { slidingLog as slidingLogKernel } from "./kernel/SlidingLog.ts"
import { slidingWindow as slidingWindowKernel } from "./kernel/SlidingWindow.ts"
import { type TokenBucketPolicy, tokenBucket as tokenBucketKernel } from "./kernel/TokenBucket.ts"
import { type Limit, makeLimit, specOf, type Waiting } from "./Limit.ts"

/** @category models @since 0.1.0 */
export interface Rate extends Waiting {
  /** Units per `window`. */
  readonly limit: number
  readonly window: Duration.Input
}

/**
 * `share` of a count, in whole units. A share is meant as a decimal: 0.29 of 100 is 29, where doubles have a little less.
 */
const shareOf = (count: number, share: number): number =>
  Math.max(1, Math.min(count, Math.floor(Number((count * share).toPrecision(15)))))

const scaleBucket = (policy: TokenBucketPolicy, share: number): TokenBucketPolicy => ({
  ...policy,
  limit: shareOf(policy.limit, share),
  burst: shareOf(policy.burst, share)
})

const scaleLimit = <Policy extends { readonly limit: number }>(policy: Policy, share: number): Policy => ({
  ...policy,
  limit: shareOf(policy.limit, share)
})

const bucket = (
  _tag: "TokenBucket" | "LeakyBucket",
  module: string,
  capacityName: string,
  options: Rate,
  capacity: number
): Limit => {
  const limit = count(module, "limit", options.limit)
  const window = millis(module, "window", options.window)
  product(module, "limit", limit, window)
  count(module, capacityName, capacity)
  product(module, capacityName, capacity, window)
  return makeLimit(
    _tag,
    limit,
    window,
    capacity,
    specOf(module, tokenBucketKernel, { limit, window, burst: capacity }, scaleBucket, capacity, options)
  )
}

/**
 * A bucket of `burst` tokens that refills continuously at `limit` per `window`. A call takes as many as it costs.
 *
 * Bound: a span of time `d` sees at most `burst + limit * d / window` units. Arithmetic is in whole numbers, so the
 * burst is exact and `retryAfter` is the first millisecond at which the call passes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tokenBucket = (
  options: Rate & {
    /** Capacity: what can be taken at once after a rest. Default: `limit`. */
    readonly burst?: number | undefined
  }
): Limit => bucket("TokenBucket", "RateLimiter.tokenBucket", "burst", options, options.burst ?? options.limit)

/**
 * A bucket that work fills and that drains at `limit` per `window`: a call that would make it run over is refused.
 *
 * The meter of the token bucket, told from the other side: `peek` tells the backlog. It does not space calls out; for
 * that, see the header of this module.
 *
 * @category constructors
 * @since 0.1.0
 */
export const leakyBucket = (
  options: Rate & {
    /** How many units the bucket holds. */
    readonly capacity: number
  }
): Limit => bucket("LeakyBucket", "RateLimiter.leakyBucket", "capacity", options, options.capacity)

/**
 * At most `limit` units in each window, counted from window edges (multiples of `window` on the clock in use).
 *
 * Bound: `limit` in a window, and up to twice that in a span that holds an edge. Use `slidingWindow` where that matters.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fixedWindow = (options: Rate): Limit => {
  const module = "RateLimiter.fixedWindow"
  const limit = count(module, "limit", options.limit)
  const window = millis(module, "window", options.window)
  return makeLimit(
    "FixedWindow",
    limit,
    window,
    limit,
    specOf(module, fixedWindowKernel, { limit, window }, scaleLimit, limit, options)
  )
}

/**
 * At most `limit` units in *any* window, in constant memory: the window is cut into `slices`, and the oldest counts whole.
 *
 * Never more than `limit`; units come back up to `window / slices` late.
 *
 * @category constructors
 * @since 0.1.0
 */
export const slidingWindow = (
  options: Rate & {
    /** More slices are more exact, and cost a number each. Default: 10. */
    readonly slices?: number | undefined
  }
): Limit => {
  const module = "RateLimiter.slidingWindow"
  const limit = count(module, "limit", options.limit)
  const window = millis(module, "window", options.window)
  const slices = count(module, "slices", options.slices ?? Math.min(10, window), 1, Math.min(window, 1_000))
  const slice = Math.ceil(window / slices)
  return makeLimit(
    "SlidingWindow",
    limit,
    window,
    limit,
    specOf(module, slidingWindowKernel, { limit, slice, slices }, scaleLimit, limit, options)
  )
}

/**
 * Exactly `limit` units in any window: remembers when each was taken, so it is for limits up to 1,000.
 *
 * @category constructors
 * @since 0.1.0
 */
export const slidingLog = (options: Rate): Limit => {
  const module = "RateLimiter.slidingLog"
  const limit = count(module, "limit", options.limit, 1, 1_000)
  const window = millis(module, "window", options.window)
  return makeLimit(
    "SlidingLog",
    limit,
    window,
    limit,
    specOf(module, slidingLogKernel, { limit, window }, scaleLimit, limit, options)
  )
}

/**
 * A limit whose algorithm is yours: a kernel, a pure function from state and input to decision and next state.
 *
 * Everything else is as with the limits above: keys, waiting, refunds, `every`, stores. `KernelLaws` of
 * effect-resilience-testing says whether the kernel keeps what all that relies on.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromKernel = <Policy, State, Receipt>(
  options: Rate & {
    readonly kernel: LimiterKernel<Policy, State, Receipt>
    /** The numbers that the kernel is given with each step. */
    readonly policy: Policy
    /**
     * The policy for a `share` of this one, above 0 and below 1: what `store.localShare` needs. Without it, a service with
     * such a share refuses the limit.
     */
    readonly scale?: ((policy: Policy, share: number) => Policy) | undefined
    /** The largest cost that can ever pass. Default: `limit`. */
    readonly capacity?: number | undefined
  }
): Limit => {
  const module = "RateLimiter.fromKernel"
  const { kernel, policy } = options
  const isKernel =
    typeof kernel === "object" &&
    kernel !== null &&
    typeof kernel.id === "string" &&
    kernel.id !== "" &&
    [kernel.initial, kernel.step, kernel.expiresAt].every((part) => typeof part === "function")
  such(module, "kernel", kernel, isKernel, "an id, and functions initial, step and expiresAt")
  const scale = callback(module, "scale", options.scale)
  const limit = count(module, "limit", options.limit)
  const window = millis(module, "window", options.window)
  const capacity = count(module, "capacity", options.capacity ?? limit)
  return makeLimit("Kernel", limit, window, capacity, specOf(module, kernel, policy, scale, capacity, options))
}
