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
 * A kernel in Lua 5.1, and the shapes of what it is given.
 *
 * `lua` ends by returning a table with `initial`, `step` and `expiresAt`. Records are tables, lists are tables that begin
 * at 1, and `step` returns a list of the answer and the state: the very state that it was given, where nothing changes.
 * `adopt`, `isPolicy` and `isState` stand in the table where the kernel of this process has them, and nowhere else.
 * TypeScriptToLua makes that of a kernel in TypeScript (`noImplicitSelf`, `luaTarget: "5.1"`); this library's own are
 * compiled so.
 *
 * **Example** (A gate that lets a number of calls pass, ever)
 *
 * ```ts
 * import { RedisStore } from "effect-resilience-redis"
 *
 * const gate: RedisStore.Compiled = {
 *   id: "gate@1",
 *   policy: { record: [["most", "number"]] },
 *   state: { record: [["passed", "number"]] },
 *   input: { record: [] },
 *   lua: `return {
 *     initial = function(policy) return { passed = 0 } end,
 *     step = function(policy, state, input, now)
 *       if state.passed == policy.most then return { { allowed = false }, state } end
 *       return { { allowed = true }, { passed = state.passed + 1 } }
 *     end,
 *     expiresAt = function(policy, state) return nil end
 *   }`
 * }
 *
 * export const StoreLive = RedisStore.layer({ prefix: "shop", kernels: [gate] })
 * ```
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
  readonly lua: string
}
