/**
 * The kinds of limits, as plain values. They are exported from `RateLimiter`, whose header says which one to take.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { callback, count, MAX_EXACT, millis, refuse, such } from "../Validate.ts"
import { fixedWindow as fixedWindowKernel } from "../kernel/FixedWindow.ts"
import type { LimiterKernel } from "../kernel/Limiter.ts"
import { slidingLog as slidingLogKernel } from "../kernel/SlidingLog.ts"
import { slidingWindow as slidingWindowKernel } from "../kernel/SlidingWindow.ts"
import { type TokenBucketPolicy, tokenBucket as tokenBucketKernel } from "../kernel/TokenBucket.ts"
import { type Limit, makeLimit, type Waiting } from "./Limit.ts"
import type { LimitSpec } from "./OneLimit.ts"

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

/** The refill of a bucket may be slower than asked for by one part in so many, where it cannot be counted exactly. */
const EXACTNESS = 100_000n

const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b))

/**
 * The numbers that the kernel counts with: `limit` and `window` in lowest terms.
 *
 * Where a full bucket has too many units even so, a token is fewer of them, and the refill of a millisecond is rounded
 * down to whole ones. What would lose more than `EXACTNESS` by that is refused, with `parameter` to blame.
 */
const bucketPolicy = (
  module: string,
  parameter: string,
  limit: number,
  window: number,
  burst: number
): TokenBucketPolicy => {
  const divisor = greatestDivisor(limit, window)
  const unit = Math.floor(MAX_EXACT / burst)
  if (window / divisor <= unit) return { limit: limit / divisor, window: window / divisor, burst }
  const asked = BigInt(limit) * BigInt(unit)
  const lost = asked % BigInt(window)
  if (lost * EXACTNESS <= asked) return { limit: Number(asked / BigInt(window)), window: unit, burst }
  return refuse(
    module,
    parameter,
    parameter === "limit" ? limit : burst,
    `is too large: ${limit} per ${window} ms cannot be counted exactly in a bucket of ${burst}`
  )
}

/** A share is taken of the numbers that the user gave: those of the policy are in lowest terms. */
const scaleBucket =
  (module: string, parameter: string, limit: number, window: number) =>
  ({ burst }: TokenBucketPolicy, share: number): TokenBucketPolicy =>
    bucketPolicy(module, parameter, shareOf(limit, share), window, shareOf(burst, share))

const scaleLimit = <Policy extends { readonly limit: number }>(policy: Policy, share: number): Policy => ({
  ...policy,
  limit: shareOf(policy.limit, share)
})

/** In a bucket, each unit goes at its own time. */
const paceOf =
  ({ burst, limit, window }: TokenBucketPolicy): LimitSpec["pace"] =>
  (_, more) =>
    burst > 1 ? Math.ceil((more * window) / limit) : more * Math.ceil(window / limit)

/** In a window, as many as its limit may go at once. */
const paceOfWindows =
  (limit: number, window: number): LimitSpec["pace"] =>
  (first, more) =>
    Math.floor((first + more - 1) / limit) * window

const bucket = (module: string, capacityName: string, options: Rate, capacity: number) => {
  const limit = count(module, "limit", options.limit)
  const window = millis(module, "window", options.window)
  count(module, capacityName, capacity)
  const parameter = capacity > limit ? capacityName : "limit"
  const policy = bucketPolicy(module, parameter, limit, window, capacity)
  const scale = scaleBucket(module, parameter, limit, window)
  return { kernel: tokenBucketKernel, policy, scale, capacity, pace: paceOf(policy) }
}

/**
 * That a process may take tokens ahead, in a store elsewhere.
 *
 * @category models
 * @since 0.1.0
 */
export interface LeaseOptions {
  /** How long tokens may be spent after they were asked for. It lowers the burst by `limit * duration / window`. */
  readonly duration: Duration.Input
  /** How many tokens a process may take ahead. It asks for fewer while it uses fewer. */
  readonly share: number
}

const leased = (module: string, rate: Rate, whole: ReturnType<typeof bucket>, { duration, share }: LeaseOptions) => {
  const { capacity } = whole
  const units = rate.limit
  const window = millis(module, "window", rate.window)
  const life = millis(module, "lease.duration", duration)
  const late = Number((BigInt(units) * BigInt(life) + BigInt(window) - 1n) / BigInt(window)) // rounded up
  const burst = capacity - late
  if (burst < 1) {
    refuse(
      module,
      "lease.duration",
      duration,
      `is too long: ${late} tokens can be late in it, which leaves nothing of a burst of ${capacity}`
    )
  }
  const lease = { duration: life, share: count(module, "lease.share", share, 1, burst) }
  return { ...whole, policy: bucketPolicy(module, "limit", units, window, burst), capacity: burst, lease }
}

/**
 * A bucket of `burst` tokens that refills continuously at `limit` per `window`. A call takes as many as it costs.
 *
 * Bound: a span of time `d` sees at most `burst + limit * d / window` units. Arithmetic is in whole numbers, so the
 * burst is exact and `retryAfter` is the first millisecond at which the call passes. Numbers may be large: 1 TiB a day,
 * 1,000 dollars a day in micro-dollars. Where they are too large to be counted exactly, the refill is slower than asked
 * for by less than a hundred-thousandth, and never faster; where it would have to be slower than that, the limit is
 * refused (`InvalidPolicyError`).
 *
 * **Leases**
 *
 * With `lease`, a process that shares the limit through a store elsewhere takes tokens ahead and spends them without a
 * trip. The bound is the same, over all processes: what is taken ahead is spent less than `lease.duration` later, and the
 * bucket is smaller by what it refills in that time. So less can be taken at once (`capacity`), on any store. When tokens
 * are scarce, a process asks for as many as it uses, not for each: `retryAfter` is then when it will ask, and may be longer
 * than one token takes. Stores that know no leases ask for each token.
 *
 * **Example** (5,000 a second in leases of 50)
 *
 * ```ts
 * import { RateLimiter } from "effect-resilience"
 *
 * // at once: 4,500
 * const limit = RateLimiter.tokenBucket({ limit: 5_000, window: "1 second", lease: { duration: "100 millis", share: 50 } })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const tokenBucket = (
  options: Rate & {
    /** Capacity: what can be taken at once after a rest. Default: `limit`. A `lease` takes its part of it. */
    readonly burst?: number | undefined
    /** Tokens may be taken ahead. Default: each is asked for. */
    readonly lease?: LeaseOptions | undefined
  }
): Limit => {
  const module = "RateLimiter.tokenBucket"
  return makeLimit(module, "TokenBucket", options, (options) => {
    const whole = bucket(module, "burst", options, options.burst ?? options.limit)
    const { lease } = options
    if (lease === undefined) return whole
    return leased(
      module,
      options,
      whole,
      such(module, "lease", lease, typeof lease === "object" && lease !== null, "an object")
    )
  })
}

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
): Limit => {
  const module = "RateLimiter.leakyBucket"
  return makeLimit(module, "LeakyBucket", options, (options) => bucket(module, "capacity", options, options.capacity))
}

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
  return makeLimit(module, "FixedWindow", options, (options) => {
    const limit = count(module, "limit", options.limit)
    const window = millis(module, "window", options.window)
    const pace = paceOfWindows(limit, window)
    return { kernel: fixedWindowKernel, policy: { limit, window }, scale: scaleLimit, capacity: limit, pace }
  })
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
  return makeLimit(module, "SlidingWindow", options, (options) => {
    const limit = count(module, "limit", options.limit)
    const window = millis(module, "window", options.window)
    const slices = count(module, "slices", options.slices ?? Math.min(10, window), 1, Math.min(window, 1_000))
    const slice = Math.ceil(window / slices)
    const pace = paceOfWindows(limit, window)
    return { kernel: slidingWindowKernel, policy: { limit, slice, slices }, scale: scaleLimit, capacity: limit, pace }
  })
}

/**
 * Exactly `limit` units in any window: remembers when each was taken, so it is for limits up to 1,000.
 *
 * @category constructors
 * @since 0.1.0
 */
export const slidingLog = (options: Rate): Limit => {
  const module = "RateLimiter.slidingLog"
  return makeLimit(module, "SlidingLog", options, (options) => {
    const limit = count(module, "limit", options.limit, 1, 1_000)
    const window = millis(module, "window", options.window)
    const pace = paceOfWindows(limit, window)
    return { kernel: slidingLogKernel, policy: { limit, window }, scale: scaleLimit, capacity: limit, pace }
  })
}

/**
 * A limit whose algorithm is yours: a kernel, a pure function from state and input to decision and next state.
 *
 * Everything else is as with the limits above: keys, waiting, refunds, `every`, stores. `KernelLaws` of
 * effect-resilience-testing says whether the kernel keeps what all that relies on. A kernel may have `span` and `rank`
 * (`Kernel`), and `reach` (`LimiterKernel`). Without `span` it believes each state, also one from a clock that was an hour
 * ahead; without `rank` a key's place in the order of forgetting is its `expiresAt`; without `reach` the wait
 * of an arriving call is computed from the turn of the queue's head and `limit` per `window`.
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
  return makeLimit(module, "Kernel", options, (options) => {
    const { kernel, policy } = options
    const isKernel =
      typeof kernel === "object" &&
      kernel !== null &&
      typeof kernel.id === "string" &&
      kernel.id !== "" &&
      [kernel.initial, kernel.step, kernel.expiresAt].every((part) => typeof part === "function")
    such(module, "kernel", kernel, isKernel, "an id, and functions initial, step and expiresAt")
    callback(module, "kernel.span", kernel.span)
    callback(module, "kernel.rank", kernel.rank)
    callback(module, "kernel.reach", kernel.reach)
    const scale = callback(module, "scale", options.scale)
    const limit = count(module, "limit", options.limit)
    const pace = paceOfWindows(limit, millis(module, "window", options.window))
    return { kernel, policy, scale, capacity: count(module, "capacity", options.capacity ?? limit), pace }
  })
}
