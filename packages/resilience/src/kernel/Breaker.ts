/**
 * The circuit breaker, as a state machine. Some moves are due by time alone: an opening ends, a probe's lease lapses.
 * Every step first settles them, each at its own time, so asking seldom and asking often come to the same.
 *
 * @since 0.1.0
 */
import { adopt } from "./BreakerAdoption.ts"
import type {
  BreakerDecision,
  BreakerInput,
  BreakerRecord,
  BreakerSlow,
  BreakerView,
  Transition
} from "./BreakerInput.ts"
import { type BreakerPolicy, type BreakerState, letsAll } from "./BreakerModel.ts"
import { closed, conclude, enter, keep, open, settle, wait } from "./BreakerPhase.ts"
import { age, EMPTY, emptyFrom, observe, replace, slowAfter } from "./BreakerWindow.ts"
import { circuitRank } from "./BreakerRank.ts"
import type { Kernel } from "./Kernel.ts"
import { NEVER } from "./Limiter.ts"

export type { BreakerDecision, BreakerInput, BreakerRecord, BreakerView, Transition } from "./BreakerInput.ts"
export type { BreakerPolicy, BreakerState, Phase, Trip } from "./BreakerModel.ts"
export { letsAll } from "./BreakerModel.ts"
export { indifferent } from "./BreakerPhase.ts"

type Step = readonly [answer: BreakerDecision, state: BreakerState]

const NONE: ReadonlyArray<Transition> = []

/** The shortest lease of a probe where the policy names none, in milliseconds. @category models @since 0.1.0 */
export const LEAST_LEASE = 60000

const answer = (
  seen: BreakerState,
  probe: number,
  retryAfter: number,
  transitions: ReadonlyArray<Transition>,
  state: BreakerState
): Step => {
  const allowed = retryAfter === 0
  return [{ allowed, phase: seen.phase, generation: seen.generation, probe, retryAfter, transitions }, state]
}

const admit = (policy: BreakerPolicy, given: BreakerState, draw: number, now: number): Step => {
  if (letsAll(given)) return answer(given, 0, 0, NONE, given)
  const log: Array<Transition> = []
  const state = settle(policy, given, now, log)
  const refused = wait(policy, state, now)
  if (refused !== 0) return answer(state, 0, refused, NONE, given)
  const trial = state.trial
  const issued = trial.issued + 1
  const lease = policy.lease > 0 ? policy.lease : Math.max(state.openFor, LEAST_LEASE)
  let deadline = Math.max(now, state.since) + lease
  for (const probe of trial.probes) deadline = Math.max(deadline, probe.deadline)
  const probes = replace(trial.probes, trial.probes.length, { id: issued, deadline })
  const next = { issued, successes: trial.successes, failures: trial.failures, probes }
  return answer(state, issued, 0, log, keep(state, state.windows, draw, next))
}

const verdict = (policy: BreakerPolicy, input: BreakerRecord): "success" | "failure" | "ignored" => {
  let slow = false
  for (const trip of policy.trips) if (slowAfter(trip) > 0 && input.duration >= slowAfter(trip)) slow = true
  return slow && input.outcome === "success" ? "failure" : input.outcome
}

const report = (policy: BreakerPolicy, given: BreakerState, input: BreakerRecord | BreakerSlow, now: number): Step => {
  const log: Array<Transition> = []
  const state = settle(policy, given, now, log)
  const outcome = input.op === "record" ? verdict(policy, input) : "failure"
  const cause = {
    at: Math.max(now, state.since),
    retryAfter: input.op === "record" ? input.retryAfter : 0,
    draw: input.draw
  }
  if (input.generation !== state.generation) return answer(state, 0, 0, NONE, given)
  if (state.phase === "Closed" && input.probe === 0 && outcome !== "ignored") {
    const seen = observe(policy.trips, state.windows, input, cause.at)
    if (seen.windows === state.windows) return answer(state, 0, 0, NONE, given)
    const counted = keep(state, seen.windows, state.draw, state.trial)
    const next = seen.tripped ? open(policy, counted, cause, log) : counted
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

const command = (policy: BreakerPolicy, given: BreakerState, op: "isolate" | "close" | "reset", now: number): Step => {
  const log: Array<Transition> = []
  const state = settle(policy, given, now, log)
  const to = op === "isolate" ? "Isolated" : "Closed"
  // A reset of a closed circuit starts a generation too: what was let through before it no longer counts.
  if (state.phase === to && op !== "reset") return answer(state, 0, 0, NONE, given)
  const next = enter(policy, state, to, Math.max(now, state.since), 0, log)
  return answer(next, 0, 0, log, next)
}

/** The state once all that is due at `now` has happened. @category transitions @since 0.1.0 */
export const normalise = (policy: BreakerPolicy, state: BreakerState, now: number): BreakerState =>
  settle(policy, state, now, [])

/** What a reader may see at `now`. @category getters @since 0.1.0 */
export const view = (policy: BreakerPolicy, given: BreakerState, now: number): BreakerView => {
  const state = normalise(policy, given, now)
  const windows: Array<{ readonly calls: number; readonly bad: number }> = []
  for (const trip of policy.trips) {
    const window = age(trip, state.windows[windows.length] ?? EMPTY, now)
    windows.push({ calls: window.calls, bad: window.bad })
  }
  return {
    phase: state.phase,
    generation: state.generation,
    since: state.since,
    openFor: state.openFor,
    retryAfter: wait(policy, state, now),
    probesInFlight: state.trial.probes.length,
    successes: state.trial.successes,
    failures: state.trial.failures,
    windows
  }
}

/**
 * The kernel. Only a closed circuit whose windows have emptied may be forgotten, and not before the time is beyond its
 * generation: so no generation of its next life is one of this.
 *
 * @category kernels
 * @since 0.1.0
 */
export const breaker: Kernel<BreakerPolicy, BreakerState, BreakerInput, BreakerDecision> = {
  id: "circuit-breaker@1",
  initial: (policy) => closed(policy, 0, 0),
  adopt: adopt,
  rank: circuitRank,
  step: (policy, state, input, now) => {
    if (input.op === "admit") return admit(policy, state, input.draw, now)
    if (input.op === "record" || input.op === "slow") return report(policy, state, input, now)
    return command(policy, state, input.op, now)
  },
  expiresAt: (policy, state) => {
    if (state.phase !== "Closed") return undefined
    let time = state.generation === 0 ? 0 : state.generation + 1
    let i = 0
    for (const trip of policy.trips) {
      const from = emptyFrom(trip, state.windows[i] ?? EMPTY)
      if (from === NEVER) return undefined
      time = Math.max(time, from)
      i = i + 1
    }
    return time
  }
}
