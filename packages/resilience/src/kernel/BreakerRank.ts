/**
 * Which circuit is forgotten first where keys are bounded (`Kernel.rank`).
 *
 * @since 0.1.0
 */
import type { BreakerPolicy, BreakerState } from "./BreakerModel.ts"
import { EMPTY, emptyFrom } from "./BreakerWindow.ts"
import { NEVER } from "./Limiter.ts"

/** Later than every time, in milliseconds: 2^42 is in the year 2109. So many times a class of circuits has, in whole numbers. */
const TIMES = 4398046511104
/** More failures are not told apart. */
const MOST = 1022

/**
 * Closed circuits come first, by the failures that they count, and by the time at which they have forgotten them; then
 * half-open ones, then open ones by the end of the opening. An isolated circuit is never forgotten.
 *
 * @category getters
 * @since 0.1.0
 */
export const circuitRank = (policy: BreakerPolicy, state: BreakerState): number => {
  if (state.phase === "Isolated") return Infinity
  if (state.phase === "Open") return (MOST + 2) * TIMES + state.since + state.openFor
  if (state.phase === "HalfOpen") return (MOST + 1) * TIMES
  let failures = 0
  let until = 0
  let i = 0
  for (const trip of policy.trips) {
    const window = state.windows[i] ?? EMPTY
    const from = emptyFrom(trip, window)
    failures = failures + window.bad
    until = Math.max(until, from === NEVER ? TIMES : from)
    i = i + 1
  }
  return Math.min(failures, MOST) * TIMES + Math.min(until, TIMES - 1)
}
