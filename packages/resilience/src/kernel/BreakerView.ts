/**
 * What can be told of a circuit without asking it for anything.
 *
 * @since 0.1.0
 */
import type { BreakerView } from "./BreakerInput.ts"
import type { BreakerPolicy, BreakerState } from "./BreakerModel.ts"
import { openTime, settle } from "./BreakerPhase.ts"
import { age, EMPTY } from "./BreakerWindow.ts"
import { NEVER } from "./Limiter.ts"

/**
 * Whether a success would leave the state as it is, whenever it came and whichever call reported it. So it need not be
 * reported.
 *
 * @category getters
 * @since 0.1.0
 */
export const indifferent = (policy: BreakerPolicy, state: BreakerState): boolean => {
  if (state.phase !== "Closed") return false
  let i = 0
  for (const trip of policy.trips) {
    if (trip.kind === "rate") return false
    // A success ends failures in a row, and no others.
    if (trip.kind === "consecutive" && (state.windows[i] ?? EMPTY).calls > 0) return false
    i = i + 1
  }
  return true
}

/**
 * How long a settled circuit refuses if nothing is reported: 0 if it does not, `NEVER` if isolated.
 *
 * @category getters
 * @since 0.1.0
 */
export const wait = (policy: BreakerPolicy, state: BreakerState, now: number): number => {
  if (state.phase === "Isolated") return NEVER
  if (state.phase === "Open") return state.since + state.openFor - now
  const trial = state.trial // empty, where it is closed
  if (trial.successes + trial.failures + trial.probes.length < policy.permitted) return 0
  // A lapsed probe keeps its slot, as a failure: there is room only after the lapse that opens the circuit again. Full
  // slots hold such a probe; if a changed policy says otherwise, one call too many beats refusing for ever.
  const last = trial.probes[policy.permitted - policy.required - trial.failures]
  return last === undefined ? 0 : last.deadline + openTime(policy, state, 0, state.draw) - now
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
    openedBy: state.openedBy,
    retryAfter: wait(policy, state, now),
    probesInFlight: state.trial.probes.length,
    successes: state.trial.successes,
    failures: state.trial.failures,
    windows
  }
}
