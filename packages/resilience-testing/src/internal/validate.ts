/**
 * Validation at the edge, in the words of effect-resilience: every refusal names module and field.
 */
import * as Duration from "effect/Duration"
import { refuse } from "effect-resilience/Validate"

export { refuse, such } from "effect-resilience/Validate"

interface Bounds {
  readonly above?: number
  readonly min?: number
  readonly max?: number
}

/** A finite number in a range. */
export const number = (module: string, parameter: string, value: number, { above, max, min }: Bounds): number => {
  const words = [
    above === undefined ? [] : [`above ${above}`],
    min === undefined ? [] : [`at least ${min}`],
    max === undefined ? [] : [`at most ${max}`]
  ].flat()
  const inside =
    Number.isFinite(value) && value > (above ?? -Infinity) && value >= (min ?? -Infinity) && value <= (max ?? Infinity)
  return inside
    ? value
    : refuse(module, parameter, value, ["must be a finite number", words.join(" and ")].join(" ").trimEnd())
}

/** A whole number of at least `min`. */
export const count = (module: string, parameter: string, value: number, min = 1): number =>
  Number.isSafeInteger(value) && value >= min
    ? value
    : refuse(module, parameter, value, `must be a whole number of at least ${min}`)

/** A duration in whole milliseconds, of at least `min`. */
export const millis = (module: string, parameter: string, input: Duration.Input, min = 1): number => {
  const value = typeof input === "number" ? input : durationOf(input)
  if (value === undefined || Number.isNaN(value)) return refuse(module, parameter, input, "must be a duration")
  if (!Number.isSafeInteger(value)) return refuse(module, parameter, input, "must be whole, finite milliseconds")
  if (value < min) {
    return refuse(module, parameter, input, min === 0 ? "must not be negative" : `must be at least ${min} ms`)
  }
  return value
}

const durationOf = (input: Duration.Input): number | undefined => {
  // Effect takes an object without a unit for a duration of zero
  if (typeof input === "object" && input !== null && Object.values(input).length === 0) return undefined
  try {
    return Duration.toMillis(Duration.fromInputUnsafe(input))
  } catch {
    return undefined
  }
}

/** Whether a value was made by the constructors of the module with this type id. */
export const madeBy = (typeId: string, value: unknown): boolean =>
  typeof value === "object" && value !== null && typeId in value
