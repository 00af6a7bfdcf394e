/**
 * What an effect finds in its context, from several that add to it.
 */
import * as Context from "effect/Context"

type Added = Context.Context<never> | undefined

export const both = (first: Added, second: Added): Added => {
  if (first === undefined || first === second) return second
  return second === undefined ? first : Context.merge(first, second)
}
