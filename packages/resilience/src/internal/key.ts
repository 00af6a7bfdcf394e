/**
 * Whose call it is: one string, or one string for each dimension.
 */
import { InvalidPolicyError } from "../Rejection.ts"

export type Key = string | { readonly [dimension: string]: string }

const badKey = (parameter: string, value: unknown, reason = "must be a string"): never => {
  throw new InvalidPolicyError({ module: "key", parameter, value, reason })
}

/** The part of a key that a dimension names; without one a name for the whole key, which no other key has. */
export const partOf = (key: Key, dimension: string | undefined): string => {
  if (typeof key === "string") {
    if (dimension !== undefined) return badKey(dimension, key, "must be a field of the key")
    // a record's name begins with a bracket; what begins like it, or like what makes the difference, gets a backslash
    return key[0] === "[" || key[0] === "\\" ? `\\${key}` : key
  }
  if (dimension === undefined) return nameOf(key)
  if (typeof key !== "object" || key === null) return badKey("key", key)
  const part = Object.hasOwn(key, dimension) ? key[dimension] : undefined
  return typeof part === "string" ? part : badKey(dimension, part)
}

/** Throws unless it is a string, or a record of strings. */
export const checkKey = (key: Key): void => {
  if (typeof key === "string") return
  if (typeof key !== "object" || key === null) return badKey("key", key)
  for (const dimension in key) {
    if (typeof key[dimension] !== "string" && Object.hasOwn(key, dimension)) badKey(dimension, key[dimension])
  }
}

/** A key in words: for errors and events. */
export const nameOf = (key: Key): string => {
  if (typeof key === "string") return key
  checkKey(key)
  return JSON.stringify(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}
