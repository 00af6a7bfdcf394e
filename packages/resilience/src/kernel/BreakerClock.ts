/**
 * A circuit whose times are ahead of the clock that asks: of a server that failed over, or set its clock back.
 *
 * @since 0.1.0
 */
import type { BreakerPolicy, BreakerState, Probe, Trip, Window } from "./BreakerModel.ts"
import { leaseOf } from "./BreakerModel.ts"
import { EMPTY, replace } from "./BreakerWindow.ts"
import { isFarAhead } from "./FarAhead.ts"

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
    longest = Math.max(longest, trip.kind === "consecutive" ? trip.within : trip.slice * trip.slices)
  }
  return longest
}

/** The time of a window's newest outcome, 0 where it knows none: an empty window begins at 0, and one of calls has no slices. */
const newest = (trip: Trip, window: Window): number =>
  trip.kind === "consecutive" ? window.head : window.head * trip.slice

/** The latest time of a circuit. A probe's deadline is a lease after it was let through. */
const latest = (policy: BreakerPolicy, state: BreakerState): number => {
  let time = state.since
  let i = 0
  for (const trip of policy.trips) {
    time = Math.max(time, newest(trip, state.windows[i] ?? EMPTY))
    i = i + 1
  }
  const last = state.trial.probes[state.trial.probes.length - 1]
  return last === undefined ? time : Math.max(time, last.deadline - leaseOf(policy, state))
}

/**
 * The circuit without what is too far ahead (`isFarAhead`): an opening has ended, a probe's slot is free and its report is
 * unknown, a window is empty, any other phase began now. Phase and generation stay. The circuit itself where nothing is.
 *
 * @category combinators
 * @since 0.1.0
 */
export const believed = (policy: BreakerPolicy, state: BreakerState, now: number): BreakerState => {
  if (!isFarAhead(latest(policy, state), now, policy, span)) return state
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
  const { failures, issued, successes } = state.trial
  const begun = state.phase === "Open" ? now - state.openFor : now // an opening that ends now
  return {
    phase: state.phase,
    generation: state.generation,
    ended: state.ended,
    since: isFarAhead(state.since, now, policy, span) ? begun : state.since,
    openFor: state.openFor,
    openings: state.openings,
    draw: state.draw,
    windows,
    trial: { issued, successes, failures, probes }
  }
}
