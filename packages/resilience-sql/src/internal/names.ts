/**
 * What a space, a key and a state are called in the table.
 */
import { createHash } from "node:crypto"
import type { AnySpace } from "effect-resilience/Store"

/**
 * JSON in printable ASCII. So nothing depends on the encoding of the database, and what PostgreSQL's text cannot hold
 * (NUL, half a surrogate pair) is spelt out. `JSON.parse` gives back the very value, so no two values have one text.
 */
export const ascii = (value: unknown): string =>
  JSON.stringify(value).replace(/[^\u0020-\u007e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** An entry of a PostgreSQL index holds about 2,700 bytes, and the primary key is two names. */
const LONGEST = 1_000

/** JSON begins with a quote or a bracket, so no short name equals a hashed one. */
const short = (name: string): string =>
  name.length <= LONGEST ? name : `sha256:${createHash("sha256").update(name).digest("hex")}`

/** The version of what is in a row. A row of another version is another row: it is neither read nor written. */
const LAYOUT = 2

export const nameOfSpace = ({ kernel, name }: AnySpace): string => short(ascii([LAYOUT, name, kernel.id]))

export const nameOfKey = (key: string): string => short(ascii(key))
