/**
 * What a reader may see of a circuit.
 */
import type { CircuitState } from "../Event.ts"
import { type BreakerState, view } from "../kernel/Breaker.ts"
import { NEVER } from "../kernel/Limiter.ts"
import { ownStates } from "./OwnTrip.ts"
import type { CircuitSpec } from "./spec.ts"

/**
 * A circuit as it stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface Inspection {
  readonly state: CircuitState
  /** Grows with each move. */
  readonly generation: number
  /** Milliseconds of the current opening; 0 unless open. */
  readonly openForMillis: number
  /**
   * What opened it: a trip policy by its name (`"failureRate"`), or `"probe"` for a probe that failed or whose lease ended.
   * `undefined` while closed or isolated.
   */
  readonly openedBy: string | undefined
  /** Milliseconds until a call would pass if nothing is reported: 0 when it would pass now, `undefined` when isolated. */
  readonly retryAfterMillis: number | undefined
  readonly probesInFlight: number
  /** What each trip policy counts: calls in its window, and those that count against the dependency. */
  readonly windows: ReadonlyArray<{ readonly calls: number; readonly bad: number }>
  /** The states of trip policies of your own, by their ids. Absent without any. */
  readonly own?: Readonly<Record<string, unknown>> | undefined
}

/** An absent state is the initial one. */
export const inspectionOf = (
  { kernel, own, policy }: CircuitSpec,
  state: BreakerState | undefined,
  now: number
): Inspection => {
  const seen = view(policy, state ?? kernel.initial(policy), now)
  const inspection = {
    state: seen.phase,
    generation: seen.generation,
    openForMillis: seen.phase === "Open" ? seen.openFor : 0,
    openedBy: seen.openedBy === "none" ? undefined : seen.openedBy,
    retryAfterMillis: seen.retryAfter === NEVER ? undefined : seen.retryAfter,
    probesInFlight: seen.probesInFlight,
    windows: seen.windows
  }
  return own.length === 0 ? inspection : { ...inspection, own: ownStates(own, state) }
}
