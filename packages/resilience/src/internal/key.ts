/**
 * Whose call it is: one string, or one string for each dimension.
 */
import { InvalidPolicyError } from "../Rejection.ts"

export type Key = string | { readonly [dimension: string]: string }

const badKey = (parameter: string, value: unknown): never => {
  throw new InvalidPolicyError({ module: "key", parameter, value, reason: "must be a string" })
}

/** The part of a key that a dimension names. */
export const partOf = (key: Key, dimension: string | undefined): string => {
  if (typeof key === "string") {
    return dimension === undefined ? key : badKey(dimension, key)
  }
  if (typeof key !== "object" || key === null) return badKey("key", key)
  if (dimension === undefined) return nameOf(key)
  const part = Object.hasOwn(key, dimension) ? key[dimension] : undefined
  return typeof part === "string" ? part : badKey(dimension, part)
}

/** One name for a whole key, which no other key has. */
export const nameOf = (key: Key): string =>
  typeof key === "string" ? key : JSON.stringify(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
