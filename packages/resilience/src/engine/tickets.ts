/**
 * Tickets of several members, where one that throws keeps no other from its turn.
 */
import * as Effect from "effect/Effect"
import type { Ticket } from "../Policy.ts"

/** What is left to do for tickets that have ended. */
export type Ended = Effect.Effect<void> | undefined

/** One after the other. A report that dies keeps no other from being sent. */
export const both = (first: Ended, second: Ended): Ended =>
  first === undefined ? second : second === undefined ? first : Effect.ensuring(first, second)

/** What it throws, as the defect of an effect. */
export const attempted = (f: () => void): Ended => {
  try {
    f()
    return undefined
  } catch (defect) {
    return Effect.die(defect)
  }
}

/** Runs `f` on all, and then throws what it threw first. */
export const each = <A>(all: ReadonlyArray<A>, f: (one: A) => void): void => {
  let thrown: { readonly defect: unknown } | undefined
  for (let i = 0; i < all.length; i++) {
    try {
      f(all[i]!)
    } catch (defect) {
      thrown ??= { defect }
    }
  }
  if (thrown !== undefined) throw thrown.defect
}

/** Of tickets that can be watched. Where one of them throws, none is watched. */
export const watchAll = (tickets: ReadonlyArray<Ticket>, onMove: () => void): (() => void) => {
  const unwatches: Array<() => void> = []
  const unwatch = () => each(unwatches, (stop) => stop())
  try {
    for (const ticket of tickets) unwatches.push(ticket.watch!(onMove))
  } catch (defect) {
    unwatch()
    throw defect
  }
  return unwatch
}
