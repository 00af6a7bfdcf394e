/**
 * A circuit whose times are ahead of the clock that asks: of a server that failed over, or set its clock back.
 *
 * @since 0.1.0
 */
import type { BreakerPolicy, BreakerState, Probe, Trip, Window } from "./BreakerModel.ts"
import { leaseOf } from "./BreakerModel.ts"
import { EMPTY, replace } from "./BreakerWindow.ts"
import { isFarAhead, LEAST_TOLERANCE } from "./FarAhead.ts"

/**
 * The longest that anything lasts which a circuit remembers: a trip policy's window, an opening.
 *
 * @category getters
 * @since 0.1.0
 */
export const span = (policy: BreakerPolicy): number => {
  let longest = policy.openCap
  for (const opening of policy.openHigh) longest = Math.max(longest, opening)
  for (const trip of policy.trips) {
    longest = Math.max(longest, trip.kind === "rate" ? trip.slice * trip.slices : trip.within)
  }
  return longest
}

/** The time of a window's newest outcome. An empty window begins at 0, and one of calls has no slices. */
const newest = (trip: Trip, window: Window): number => (trip.kind === "rate" ? window.head * trip.slice : window.head)

/** Whether some time of a circuit may be too far ahead: one comparison each, where the clocks agree. */
const isSuspicious = (policy: BreakerPolicy, state: BreakerState, now: number): boolean => {
  const limit = now + LEAST_TOLERANCE
  let i = 0
  for (const trip of policy.trips) {
    if (newest(trip, state.windows[i] ?? EMPTY) > limit) return true
    i = i + 1
  }
  return state.since > limit || state.trial.probes.length > 0
}

/**
 * The circuit without what is too far ahead (`isFarAhead`): an opening has ended, a probe's slot is free and its report is
 * unknown, a window is empty, any other phase began now. Phase and generation stay. The circuit itself where nothing is.
 *
 * @category combinators
 * @since 0.1.0
 */
export const believed = (policy: BreakerPolicy, state: BreakerState, now: number): BreakerState => {
  if (!isSuspicious(policy, state, now)) return state
  let windows = state.windows
  let i = 0
  for (const trip of policy.trips) {
    if (isFarAhead(newest(trip, windows[i] ?? EMPTY), now, policy, span)) windows = replace(windows, i, EMPTY)
    i = i + 1
  }
  const lease = leaseOf(policy, state)
  const probes: Array<Probe> = []
  for (const probe of state.trial.probes) {
    if (!isFarAhead(probe.deadline - lease, now, policy, span)) probes.push(probe)
  }
  const isLate = isFarAhead(state.since, now, policy, span)
  if (!isLate && windows === state.windows && probes.length === state.trial.probes.length) return state
  const trial = state.trial
  const begun = state.phase === "Open" ? now - state.openFor : now // an opening that ends now
  return {
    phase: state.phase,
    generation: state.generation,
    ended: state.ended,
    since: isLate ? begun : state.since,
    openFor: state.openFor,
    openings: state.openings,
    openedBy: state.openedBy,
    draw: state.draw,
    windows,
    trial: { issued: trial.issued, successes: trial.successes, failures: trial.failures, probes }
  }
}
