/**
 * What we need to know about `Effect.tx`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { ambientOf } from "./ambient.ts"

/**
 * Whether the fiber runs inside a user's transaction, or inherited one that has completed. A cheap look that is never
 * wrong when it says no; `Effect.tx` and `inTransaction` know the difference.
 */
export const maybeInTransaction = (fiber: Fiber.Fiber<unknown, unknown>): boolean => ambientOf(fiber).maybeInTransaction

/** Whether a transaction is open around this effect, which one may be: then `Effect.tx` joins it, and makes no new one. */
export const inTransaction: Effect.Effect<boolean> = Effect.withFiber((fiber) => {
  const outer = Context.getOrUndefined(fiber.context, Effect.Transaction)
  return Effect.tx(Effect.map(Effect.Transaction, (inner) => inner === outer))
})

/** A transaction that fails or runs again would swallow the outcome, or make the call twice. */
export const outsideTransactions = <A, E, R>(run: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(inTransaction, (inside) =>
    inside
      ? Effect.die(
          new Error(
            "A resilient call cannot run inside Effect.tx: a transaction may run again, and rolls back. Use RateLimiter.allow there, and make the call after the commit."
          )
        )
      : run
  )
