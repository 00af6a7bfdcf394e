/**
 * A kernel as Redis runs it.
 */

/**
 * What plain data looks like: which words it is written as, and in which order.
 *
 * A `word` is a string of plain characters that the kernel itself names (`"Closed"`), a `string` any other. A choice is a
 * record with a `tag` that says which other fields it has.
 *
 * @category models
 * @since 0.1.0
 */
export type Shape =
  | "number"
  | "boolean"
  | "string"
  | "word"
  | { readonly list: Shape }
  | { readonly record: ReadonlyArray<Field> }
  | { readonly tag: string; readonly choices: ReadonlyArray<readonly [word: string, fields: ReadonlyArray<Field>]> }

/** @category models @since 0.1.0 */
export type Field = readonly [name: string, shape: Shape]

/**
 * A kernel in Lua 5.1, and the shapes of what it is given and answers. `lua` ends by returning a table with `initial`,
 * `step` and `expiresAt`; `step` returns the answer and the state as a list of two.
 *
 * @category models
 * @since 0.1.0
 */
export interface Compiled {
  /** The id of the kernel that this is. */
  readonly id: string
  readonly policy: Shape
  readonly state: Shape
  readonly input: Shape
  readonly answer: Shape
  readonly lua: string
}
