/**
 * What no circuit is: numbers that its policy cannot have, and states that none leaves. Only damage makes them.
 *
 * Functions that only one other needs stand in it: a script in a store makes those outside anew at each call.
 *
 * @since 0.1.0
 */
import type { BreakerPolicy, BreakerState, Trip } from "./BreakerModel.ts"
import { BITS } from "./BreakerWindow.ts"
import { isWhole } from "./Whole.ts"

/** Whether a circuit may have these numbers. @category getters @since 0.1.0 */
export const isPolicy = (policy: BreakerPolicy): boolean => {
  const isTrip = (trip: Trip): boolean => {
    if (trip.kind !== "rate") return isWhole(trip.failures, 1) && isWhole(trip.within, trip.kind === "failures" ? 1 : 0)
    const isRate = trip.threshold > 0 && trip.threshold <= 1
    if (!isRate || !isWhole(trip.slowAfter, 0) || !isWhole(trip.minimumCalls, 1)) return false
    return trip.calls === 0 ? isWhole(trip.slice, 1) && isWhole(trip.slices, 1) : isWhole(trip.calls, 1)
  }
  const areOpenings = (openings: ReadonlyArray<number>): boolean => {
    for (const opening of openings) if (!isWhole(opening, 0)) return false
    return openings.length > 0
  }
  for (const trip of policy.trips) if (!isTrip(trip)) return false
  return (
    policy.trips.length > 0 &&
    areOpenings(policy.openLow) &&
    areOpenings(policy.openHigh) &&
    policy.openGrowth >= 0 &&
    isWhole(policy.openCap, 0) &&
    isWhole(policy.required, 1) &&
    isWhole(policy.permitted, policy.required) &&
    isWhole(policy.lease, 0)
  )
}

/**
 * Whether a circuit of this policy may be in this state: it has a phase, one window for each trip policy, in each as many
 * numbers as its outcomes make, and no more probes than are permitted.
 *
 * @category getters
 * @since 0.1.0
 */
export const isState = (policy: BreakerPolicy, state: BreakerState): boolean => {
  const { openedBy, phase, windows } = state
  if (phase !== "Closed" && phase !== "Open" && phase !== "HalfOpen" && phase !== "Isolated") return false
  if (
    openedBy !== "none" &&
    openedBy !== "consecutive" &&
    openedBy !== "failures" &&
    openedBy !== "failureRate" &&
    openedBy !== "slowCallRate" &&
    openedBy !== "probe"
  ) {
    return false
  }
  if (windows.length !== policy.trips.length || state.trial.probes.length > policy.permitted) return false
  let i = 0
  for (const trip of policy.trips) {
    const window = windows[i]
    if (window === undefined) return false
    let cells = 0
    if (trip.kind !== "rate") cells = trip.within === 0 ? 0 : window.calls
    else if (window.calls > 0) cells = trip.calls > 0 ? Math.ceil(window.calls / BITS) : 2 * trip.slices
    if (window.cells.length !== cells) return false
    i = i + 1
  }
  return true
}
