/**
 * The phases of a circuit: how one is entered, when it ends by itself, how a half-open one is decided.
 *
 * Every change of phase starts a new generation. A permit names the generation it was given in, so what a call of an
 * earlier one reports decides nothing.
 *
 * @since 0.1.0
 */
import { believed } from "./BreakerClock.ts"
import type { BreakerRecord, Transition } from "./BreakerInput.ts"
import type { BreakerPolicy, BreakerState, Opener, Phase, Probe, Trial, Window } from "./BreakerModel.ts"
import { EMPTY } from "./BreakerWindow.ts"

/** What decides about an opening: when, the failure's `retryAfter` (0: none), the draw, what opens. @category models @since 0.1.0 */
export interface Cause {
  readonly at: number
  readonly retryAfter: number
  readonly draw: number
  readonly by: Opener
}

const DRAWS = 1073741824 // 2^30

const NO_TRIAL: Trial = { issued: 0, successes: 0, failures: 0, probes: [] }

/** A closed circuit that remembers nothing. @category constructors @since 0.1.0 */
export const closed = (policy: BreakerPolicy, generation: number, since: number): BreakerState => {
  const windows: Array<Window> = []
  while (windows.length < policy.trips.length) windows.push(EMPTY)
  const trial = NO_TRIAL
  return {
    phase: "Closed",
    generation,
    ended: 0,
    since,
    openFor: 0,
    openings: 0,
    openedBy: "none",
    draw: 0,
    windows,
    trial
  }
}

/** The same phase, holding something else. @category combinators @since 0.1.0 */
export const keep = (
  state: BreakerState,
  windows: ReadonlyArray<Window>,
  draw: number,
  trial: Trial
): BreakerState => ({
  phase: state.phase,
  generation: state.generation,
  ended: state.ended,
  since: state.since,
  openFor: state.openFor,
  openings: state.openings,
  openedBy: state.openedBy,
  draw,
  windows,
  trial
})

/** Starts a phase, and notes it in `log`. @category transitions @since 0.1.0 */
export const enter = (
  policy: BreakerPolicy,
  state: BreakerState,
  to: Phase,
  at: number,
  openFor: number,
  openedBy: Opener,
  log: Array<Transition>
): BreakerState => {
  // The time makes generations grow also over forgetting, where the count begins at 0 again.
  const generation = Math.max(state.generation + 1, at)
  const opens = to === "Open"
  const by = opens ? openedBy : "none"
  if (state.phase !== to)
    log.push({ from: state.phase, to, at, generation, openFor: opens ? openFor : 0, openedBy: by })
  if (to === "Closed") return closed(policy, generation, at)
  const openings = opens ? state.openings + 1 : state.openings
  const ended = opens ? state.generation : 0
  const windows = state.windows
  return { phase: to, generation, ended, since: at, openFor, openings, openedBy, draw: 0, windows, trial: NO_TRIAL }
}

/** How long the next opening lasts. @category getters @since 0.1.0 */
export const openTime = (policy: BreakerPolicy, state: BreakerState, retryAfter: number, draw: number): number => {
  const low = policy.openLow[Math.min(state.openings, policy.openLow.length - 1)] ?? 1
  const listed = policy.openHigh[Math.min(state.openings, policy.openHigh.length - 1)] ?? low
  const grows = policy.openGrowth > 0 && state.openings > 0
  const longest = policy.openHigh[policy.openHigh.length - 1] ?? low
  const high = grows ? Math.min(longest, Math.floor(policy.openGrowth * state.openFor)) : listed
  const drawn = low + Math.floor((draw * (Math.max(0, high - low) + 1)) / DRAWS)
  return Math.max(1, drawn, Math.min(retryAfter, policy.openCap))
}

/** Opens the circuit. @category transitions @since 0.1.0 */
export const open = (policy: BreakerPolicy, state: BreakerState, cause: Cause, log: Array<Transition>): BreakerState =>
  enter(policy, state, "Open", cause.at, openTime(policy, state, cause.retryAfter, cause.draw), cause.by, log)

/**
 * Takes the `index`-th probe out; the verdict falls once it cannot change. One that is throttled has it fall at once: the
 * dependency would say the same to the others.
 *
 * @category transitions
 * @since 0.1.0
 */
export const conclude = (
  policy: BreakerPolicy,
  state: BreakerState,
  index: number,
  outcome: BreakerRecord["outcome"],
  cause: Cause,
  log: Array<Transition>
): BreakerState => {
  const trial = state.trial
  const successes = outcome === "success" ? trial.successes + 1 : trial.successes
  const failures = outcome === "failure" ? trial.failures + 1 : trial.failures
  if (successes >= policy.required) return enter(policy, state, "Closed", cause.at, 0, "none", log)
  if (outcome === "throttled" || failures > policy.permitted - policy.required) return open(policy, state, cause, log)
  const probes: Array<Probe> = []
  let i = 0
  for (const probe of trial.probes) {
    if (i !== index) probes.push(probe)
    i = i + 1
  }
  return keep(state, state.windows, state.draw, { issued: trial.issued, successes, failures, probes })
}

/**
 * Makes the moves that are due at `now`, each at its own time: settling in steps is settling once.
 *
 * @category transitions
 * @since 0.1.0
 */
export const settle = (
  policy: BreakerPolicy,
  state: BreakerState,
  now: number,
  log: Array<Transition>
): BreakerState => {
  let current = believed(policy, state, now)
  let first = current.trial.probes[0]
  while (first !== undefined && first.deadline <= now) {
    const cause: Cause = { at: first.deadline, retryAfter: 0, draw: current.draw, by: "probe" }
    current = conclude(policy, current, 0, "failure", cause, log)
    first = current.trial.probes[0]
  }
  const end = current.since + current.openFor
  return current.phase === "Open" && end <= now
    ? enter(policy, current, "HalfOpen", end, current.openFor, current.openedBy, log)
    : current
}
