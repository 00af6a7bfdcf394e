/**
 * Watching several tickets at once.
 */
import type { Ticket } from "../Policy.ts"

/** Of tickets that can be watched. */
export const watchAll = (tickets: ReadonlyArray<Ticket>, onMove: () => void): (() => void) => {
  const unwatches = tickets.map((ticket) => ticket.watch!(onMove)) // of those that have one
  return () => {
    for (const unwatch of unwatches) unwatch()
  }
}
