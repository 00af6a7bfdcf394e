/**
 * The circuit breaker, as a state machine. Some moves are due by time alone: an opening ends, a probe's lease lapses.
 * Every step first settles them, each at its own time, so asking seldom and asking often come to the same.
 *
 * @since 0.1.0
 */
import { adopt } from "./BreakerAdoption.ts"
import { span } from "./BreakerClock.ts"
import { isPolicy, isState } from "./BreakerDamage.ts"
import {
  answer,
  type BreakerDecision,
  type BreakerInput,
  type BreakerStep,
  NONE,
  type Transition
} from "./BreakerInput.ts"
import { type BreakerPolicy, type BreakerState, leaseOf, letsAll } from "./BreakerModel.ts"
import { closed, enter, keep, settle } from "./BreakerPhase.ts"
import { report } from "./BreakerReport.ts"
import { wait } from "./BreakerView.ts"
import { EMPTY, emptyFrom, replace } from "./BreakerWindow.ts"
import { circuitRank } from "./BreakerRank.ts"
import type { Kernel } from "./Kernel.ts"
import { NEVER } from "./Limiter.ts"

export type { BreakerDecision, BreakerInput, BreakerRecord, BreakerView, Transition } from "./BreakerInput.ts"
export type { BreakerPolicy, BreakerState, Opener, Phase, Trip } from "./BreakerModel.ts"
export { LEAST_LEASE, letsAll } from "./BreakerModel.ts"
export { indifferent, normalise, view } from "./BreakerView.ts"

const admit = (policy: BreakerPolicy, given: BreakerState, draw: number, now: number): BreakerStep => {
  const log: Array<Transition> = []
  const state = settle(policy, given, now, log)
  const refused = wait(policy, state, now)
  if (refused !== 0) return answer(state, 0, refused, NONE, given)
  const trial = state.trial
  const issued = trial.issued + 1
  let deadline = Math.max(now, state.since) + leaseOf(policy, state)
  for (const probe of trial.probes) deadline = Math.max(deadline, probe.deadline)
  const probes = replace(trial.probes, trial.probes.length, { id: issued, deadline })
  const next = { issued, successes: trial.successes, failures: trial.failures, probes }
  return answer(state, issued, 0, log, keep(state, state.windows, draw, next))
}

const command = (
  policy: BreakerPolicy,
  given: BreakerState,
  op: "isolate" | "close" | "reset",
  now: number
): BreakerStep => {
  const log: Array<Transition> = []
  const state = settle(policy, given, now, log)
  const to = op === "isolate" ? "Isolated" : "Closed"
  // A reset of a closed circuit starts a generation too: what was let through before it no longer counts.
  if (state.phase === to && op !== "reset") return answer(state, 0, 0, NONE, given)
  const next = enter(policy, state, to, Math.max(now, state.since), 0, "none", log)
  return answer(next, 0, 0, log, next)
}

/** Any question but the one that a closed circuit answers at once. @late */
const decided = (policy: BreakerPolicy, state: BreakerState, input: BreakerInput, now: number): BreakerStep => {
  if (input.op === "admit") return admit(policy, state, input.draw, now)
  if (input.op === "record" || input.op === "slow") return report(policy, state, input, now)
  return command(policy, state, input.op, now)
}

/**
 * The kernel. Only a closed circuit whose windows have emptied may be forgotten, and not before the time is beyond its
 * generation: so no generation of its next life is one of this.
 *
 * @category kernels
 * @since 0.1.0
 */
export const breaker: Kernel<BreakerPolicy, BreakerState, BreakerInput, BreakerDecision> = {
  id: "circuit-breaker@3",
  initial: (policy) => closed(policy, 0, 0),
  span: span,
  adopt: adopt,
  isPolicy: isPolicy,
  isState: isState,
  rank: circuitRank,
  takes: ({ op }) => op === "admit",
  // a closed circuit keeps nothing of a call that it admits: only a probe has a slot to give back
  undo: (input, { generation, probe }) =>
    input.op === "admit" && probe > 0
      ? { op: "record", generation, probe, outcome: "ignored", duration: 0, slowFed: 0, retryAfter: 0, draw: 0 }
      : undefined,
  step: (policy, state, input, now) =>
    input.op === "admit" && letsAll(state) ? answer(state, 0, 0, NONE, state) : decided(policy, state, input, now),
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
