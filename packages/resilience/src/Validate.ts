/**
 * Validation at the edge: every policy constructor reads its numbers through these, so that every refusal names
 * module and field in the same words. For the constructors of your own policies and stores as well.
 *
 * Each takes the name of the module and of the field, and the value; it returns the value as the policy keeps it, or throws
 * an `InvalidPolicyError`.
 *
 * **Example** (The constructor of a policy)
 *
 * ```ts
 * import type { Duration } from "effect"
 * import { Validate } from "effect-resilience"
 *
 * const dailyBudget = (options: { readonly cents: number; readonly resetEvery: Duration.Input }) => ({
 *   cents: Validate.count("DailyBudget.policy", "cents", options.cents),
 *   resetEvery: Validate.millis("DailyBudget.policy", "resetEvery", options.resetEvery)
 * })
 *
 * console.log(dailyBudget({ cents: 500, resetEvery: "1 day" }))
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { InvalidPolicyError } from "./Rejection.ts"

/** Throws the error that says so. @category validation @since 0.1.0 */
export const refuse = (module: string, parameter: string, value: unknown, reason: string): never => {
  throw new InvalidPolicyError({ module, parameter, value, reason })
}

/** The largest number our integer engines accept: products of two such bounds stay exactly countable. @category validation @since 0.1.0 */
export const MAX_EXACT = 2 ** 52

/** A whole number of at least `min`. @category validation @since 0.1.0 */
export const count = (module: string, parameter: string, value: number, min = 1, max = MAX_EXACT): number => {
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    return refuse(module, parameter, value, "must be a whole number that can be counted exactly")
  }
  if (value < min) return refuse(module, parameter, value, `must be at least ${min}`)
  if (value > max) return refuse(module, parameter, value, `must be at most ${max}`)
  return value
}

/** A whole number of at least 1, or `Infinity` for "as many as there are". @category validation @since 0.1.0 */
export const countOrInfinity = (module: string, parameter: string, value: number): number =>
  value === Infinity ? value : count(module, parameter, value)

/** What Effect takes for a duration of zero, though it is none: NaN, in a tuple or an object too, and no unit at all. */
const saysNothing = (input: unknown): boolean => {
  if (typeof input !== "object" || input === null) return Number.isNaN(input)
  const parts: ReadonlyArray<unknown> = Object.values(input)
  return parts.length === 0 || parts.some(Number.isNaN)
}

const isInfinite = (input: Duration.Input): boolean => {
  const duration = Duration.fromInput(input)
  return duration._tag === "Some" && Duration.toMillis(duration.value) === Infinity
}

/** A duration in whole milliseconds, of at least `min`. @category validation @since 0.1.0 */
export const millis = (module: string, parameter: string, input: Duration.Input, min = 1): number => {
  let value: number
  try {
    if (saysNothing(input)) return refuse(module, parameter, input, "must be a duration")
    // a duration is kept in whole nanoseconds, and the smallest numbers would pass for none
    value = typeof input === "number" ? input : Duration.toMillis(Duration.fromInputUnsafe(input))
  } catch {
    return refuse(module, parameter, input, "must be a duration")
  }
  if (!Number.isFinite(value)) return refuse(module, parameter, input, "must be a finite duration")
  if (value < min)
    return refuse(
      module,
      parameter,
      input,
      min === 0 ? "must not be negative" : `must be at least ${min} millisecond${min === 1 ? "" : "s"}`
    )
  if (!Number.isInteger(value)) return refuse(module, parameter, input, "must be whole milliseconds")
  if (value > MAX_EXACT) return refuse(module, parameter, input, "is too long to count exactly")
  return value
}

/** How long a call may wait: whole milliseconds, 0 for not at all, or an infinite duration for "until there is room". @category validation @since 0.1.0 */
export const maxWaitOf = (module: string, input: Duration.Input): number => {
  const isEndless = !saysNothing(input) && isInfinite(input)
  return isEndless ? Infinity : millis(module, "maxWait", input, 0)
}

/** A finite number in a range. @category validation @since 0.1.0 */
export const between = (
  module: string,
  parameter: string,
  value: number,
  bounds: { readonly above?: number; readonly min?: number; readonly max?: number }
): number => {
  const words = [
    bounds.above === undefined ? "" : `above ${bounds.above}`,
    bounds.min === undefined ? "" : `at least ${bounds.min}`,
    bounds.max === undefined ? "" : `at most ${bounds.max}`
  ]
    .filter((word) => word !== "")
    .join(" and ")
  if (
    typeof value !== "number" ||
    !Number.isFinite(value) ||
    (bounds.above !== undefined && value <= bounds.above) ||
    (bounds.min !== undefined && value < bounds.min) ||
    (bounds.max !== undefined && value > bounds.max)
  ) {
    return refuse(module, parameter, value, `must be a finite number ${words}`)
  }
  return value
}

/** What one of our constructors made, or a function: what no type checks in JavaScript. @category validation @since 0.1.0 */
export const such = <A>(module: string, parameter: string, value: A, is: boolean, what: string): A =>
  is ? value : refuse(module, parameter, value, `must be ${what}`)

/** A function, if there is one. @category validation @since 0.1.0 */
export const callback = <A>(module: string, parameter: string, value: A): A =>
  such(module, parameter, value, value === undefined || typeof value === "function", "a function")

/** The bounds of a queue. A `maxQueued` without a `maxWait` would do nothing, silently. @category validation @since 0.1.0 */
export const waiting = (
  module: string,
  options: { readonly maxWait?: Duration.Input | undefined; readonly maxQueued?: number | undefined }
): { readonly maxWait: number; readonly maxQueued: number } => {
  const maxWait = maxWaitOf(module, options.maxWait ?? 0)
  const maxQueued = countOrInfinity(module, "maxQueued", options.maxQueued ?? 1_000)
  if (options.maxQueued !== undefined && maxWait === 0) {
    return refuse(module, "maxQueued", options.maxQueued, "does nothing without a maxWait")
  }
  return { maxWait, maxQueued }
}
