/**
 * The end of a service that a layer has built.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Member } from "../Policy.ts"

/** When the scope closes, the members forget what they keep, and report it. */
export const closing = (members: ReadonlyArray<Member>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.addFinalizer(() =>
    Effect.withFiber((fiber) => {
      for (const member of members) member.close?.(fiber)
      return Effect.void
    })
  )
