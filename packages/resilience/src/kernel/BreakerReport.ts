/**
 * What becomes of a report: how a call that a circuit let through ended, or that it has become slow.
 *
 * @since 0.1.0
 */
import {
  answer,
  type BreakerRecord,
  type BreakerSlow,
  type BreakerStep,
  NONE,
  type Transition
} from "./BreakerInput.ts"
import type { BreakerPolicy, BreakerState } from "./BreakerModel.ts"
import { type Cause, conclude, keep, open, settle } from "./BreakerPhase.ts"
import { observe, slowAfter } from "./BreakerWindow.ts"

/** A success that took too long has failed. What is slow to say "not now" has said it all the same. */
const verdict = (policy: BreakerPolicy, input: BreakerRecord): BreakerRecord["outcome"] => {
  let slow = false
  for (const trip of policy.trips) if (slowAfter(trip) > 0 && input.duration >= slowAfter(trip)) slow = true
  return slow && input.outcome === "success" ? "failure" : input.outcome
}

/** The opening, as long as a throttled call asks for, and never longer than `openCap`. */
const lengthen = (policy: BreakerPolicy, state: BreakerState, cause: Cause): BreakerState => {
  const openFor = Math.min(cause.at - state.since + cause.retryAfter, policy.openCap)
  if (openFor <= state.openFor) return state
  return {
    phase: state.phase,
    generation: state.generation,
    ended: state.ended,
    since: state.since,
    openFor,
    openings: state.openings,
    openedBy: state.openedBy,
    draw: state.draw,
    windows: state.windows,
    trial: state.trial
  }
}

/**
 * Counts a report, or decides about a probe. One of an unknown permit changes nothing, but for a throttled call of the
 * generation that this opening ended: it asks for time like the calls that opened the circuit, and gets it.
 *
 * @category transitions
 * @since 0.1.0
 */
export const report = (
  policy: BreakerPolicy,
  given: BreakerState,
  input: BreakerRecord | BreakerSlow,
  now: number
): BreakerStep => {
  const log: Array<Transition> = []
  const state = settle(policy, given, now, log)
  const outcome = input.op === "record" ? verdict(policy, input) : "failure"
  const cause: Cause = {
    at: Math.max(now, state.since),
    retryAfter: input.op === "record" ? input.retryAfter : 0,
    draw: input.draw,
    by: "probe"
  }
  if (outcome === "throttled" && state.phase === "Open" && input.generation === state.ended) {
    const next = lengthen(policy, state, cause)
    return next === state ? answer(state, 0, 0, NONE, given) : answer(next, 0, 0, log, next)
  }
  if (input.generation !== state.generation) return answer(state, 0, 0, NONE, given)
  if (state.phase === "Closed" && input.probe === 0 && outcome !== "ignored" && outcome !== "throttled") {
    const seen = observe(policy.trips, state.windows, input, cause.at)
    if (seen.windows === state.windows) return answer(state, 0, 0, NONE, given)
    const counted = keep(state, seen.windows, state.draw, state.trial)
    const next =
      seen.by === "none"
        ? counted
        : open(policy, counted, { at: cause.at, retryAfter: cause.retryAfter, draw: cause.draw, by: seen.by }, log)
    return answer(next, 0, 0, log, next)
  }
  let i = 0
  for (const probe of state.trial.probes) {
    if (probe.id === input.probe) {
      const next = conclude(policy, state, i, outcome, cause, log)
      return answer(next, 0, 0, log, next)
    }
    i = i + 1
  }
  return answer(state, 0, 0, NONE, given)
}
