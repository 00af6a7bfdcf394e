/**
 * Whose call it is: one string, or one string for each dimension.
 */
import { refuse } from "../Validate.ts"

export type Key = string | { readonly [dimension: string]: string }

declare const read: unique symbol

/** A key that has been read (`readKey`): no other code holds it, so it never changes, and its name is made without a throw. */
export type ReadKey = string | ({ readonly [dimension: string]: string } & { readonly [read]: true })

const badKey = (parameter: string, value: unknown, reason = "must be a string"): never =>
  refuse("key", parameter, value, reason)

/** A getter of the key's owner, or its Proxy, may throw. */
const copyOf = (key: Exclude<Key, string>): Exclude<Key, string> => {
  try {
    return { ...key }
  } catch (error) {
    return badKey("key", error instanceof Error ? error.message : error, "cannot be read")
  }
}

const readRecord = (key: Exclude<Key, string>): ReadKey => {
  if (typeof key !== "object" || key === null) return badKey("key", key)
  const copy = copyOf(key)
  for (const dimension in copy) {
    if (typeof copy[dimension] !== "string" && Object.hasOwn(copy, dimension)) badKey(dimension, copy[dimension])
  }
  return copy as ReadKey // the mark is in the type alone
}

/**
 * Reads a key once, when the call begins: what its owner does to a record afterwards changes nothing. Throws unless it
 * is a string, or a record of strings.
 */
export const readKey = (key: Key): ReadKey => (typeof key === "string" ? key : readRecord(key))

/** The part of a key that a dimension names; without one a name for the whole key, which no other key has. */
export const partOf = (key: ReadKey, dimension: string | undefined): string => {
  if (typeof key === "string") {
    if (dimension !== undefined) return badKey(dimension, key, "must be a field of the key")
    // a record's name begins with a bracket; what begins like it, or like what makes the difference, gets a backslash
    return key[0] === "[" || key[0] === "\\" ? `\\${key}` : key
  }
  if (dimension === undefined) return nameOf(key)
  return Object.hasOwn(key, dimension) ? key[dimension]! : badKey(dimension, undefined)
}

/** A key in words: for errors and events. */
export const nameOf = (key: ReadKey): string => {
  if (typeof key === "string") return key
  return JSON.stringify(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1))) // no two names are equal
}
