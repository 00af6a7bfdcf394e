/**
 * Whose calls they are. Exported from `Traffic`.
 *
 * @since 0.1.0
 */
import type { Draw } from "./internal/streams.ts"
import { count, madeBy, number, such } from "./internal/validate.ts"
import { digits } from "./internal/words.ts"

const TypeId = "~effect-resilience-testing/Keys"

/**
 * Whose call it is: a string or, for policies that look at dimensions, a string for each.
 *
 * @category models
 * @since 0.1.0
 */
export type Key = string | { readonly [dimension: string]: string }

/**
 * How calls get their keys.
 *
 * @category models
 * @since 0.1.0
 */
export interface Keys<out K extends Key = string> {
  readonly [TypeId]: { readonly _Key: (_: never) => K }
  readonly description: string
  /** @internal */
  readonly begin: (draw: Draw) => (n: number) => K
}

/**
 * Whether a value was made by the constructors of keys.
 *
 * @category guards
 * @since 0.1.0
 */
export const isKeys = (u: unknown): u is Keys<Key> => madeBy(TypeId, u)

const keys = <K extends Key>(description: string, begin: Keys<K>["begin"]): Keys<K> => ({
  [TypeId]: { _Key: (_: never) => _ },
  description,
  begin
})

/**
 * The same key for every call.
 *
 * @category keys
 * @since 0.1.0
 */
export const oneKey = <K extends Key>(key: K): Keys<K> =>
  keys(`by ${typeof key === "string" ? key : JSON.stringify(key)}`, () => () => key)

const names = (prefix: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => `${prefix}${i + 1}`)

/**
 * `count` keys, each as likely as the others: `user:1`, `user:2` and so on.
 *
 * @category keys
 * @since 0.1.0
 */
export const uniformKeys = (options: {
  readonly count: number
  /** Default: `user:`. */
  readonly prefix?: string | undefined
}): Keys => {
  const all = names(options.prefix ?? "user:", count("Traffic.uniformKeys", "count", options.count))
  return keys(`by ${digits(all.length)} keys`, (draw) => () => all[Math.floor(draw() * all.length)]!)
}

/**
 * `count` keys of which the n-th has a share proportional to `1 / n ** exponent` (Zipf's law): few are heavy, most are
 * light. That is how users, tenants and pages usually are.
 *
 * @category keys
 * @since 0.1.0
 */
export const zipfKeys = (options: {
  readonly count: number
  /** Default: 1. */
  readonly exponent?: number | undefined
  /** Default: `user:`. */
  readonly prefix?: string | undefined
}): Keys => {
  const module = "Traffic.zipfKeys"
  const exponent = number(module, "exponent", options.exponent ?? 1, { above: 0 })
  const all = names(options.prefix ?? "user:", count(module, "count", options.count))
  let sum = 0
  const upTo = all.map((_, i) => (sum += 1 / (i + 1) ** exponent))
  return keys(`by ${digits(all.length)} keys (Zipf ${digits(exponent)})`, (draw) => () => {
    const target = draw() * sum
    let low = 0
    let high = all.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (upTo[middle]! > target) high = middle
      else low = middle + 1
    }
    return all[low]!
  })
}

/**
 * Keys from a function: `n` counts the calls of this traffic from 0, and `draw` gives numbers in [0, 1).
 *
 * **Example** (A key of two dimensions)
 *
 * ```ts
 * import { Traffic } from "effect-resilience-testing"
 *
 * const keys = Traffic.keysFrom("by 3 tenants of 10 users", (_n, draw) => {
 *   const user = Math.floor(draw() * 30)
 *   return { user: `user:${user}`, tenant: `tenant:${user % 3}` }
 * })
 * ```
 *
 * @category keys
 * @since 0.1.0
 */
export const keysFrom = <K extends Key>(description: string, keyOf: (n: number, draw: () => number) => K): Keys<K> => {
  such("Traffic.keysFrom", "keyOf", keyOf, typeof keyOf === "function", "a function")
  return keys(description, (draw) => (n) => keyOf(n, draw))
}
