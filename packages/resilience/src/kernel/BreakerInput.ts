/**
 * What a circuit is told and answers. Times are whole milliseconds.
 *
 * @since 0.1.0
 */
import type { BreakerState, Opener, Phase } from "./BreakerModel.ts"
import type { Decision } from "./Kernel.ts"

/**
 * What a circuit is told. Only `admit` can be refused.
 *
 * `record` names the permit (`generation`, and `probe`, 0 for none) and how the call ended after `duration` ms, which only
 * trips for slow calls ask for. `throttled` means that the dependency says "not now", by `retryAfter` for how long: while
 * closed it counts nowhere, however slow it was (what was told as `slow` before stays counted); a probe that hears it
 * opens the circuit again. `slow` says that a call still in flight has passed the `rank`-th threshold of the slow
 * trips, by ascending threshold from 0; its record tells by `slowFed` how many were. Both are dropped if the permit is
 * unknown, but for a throttled call of the generation that an opening ended: the opening lasts as long as it asks for. A `retryAfter` of 0 is none. A `draw` is a whole number below 2^30, for the length of an opening that this may bring.
 *
 * @category models
 * @since 0.1.0
 */
export type BreakerInput =
  | { readonly op: "admit"; readonly draw: number }
  | BreakerRecord
  | BreakerSlow
  | { readonly op: "isolate" }
  | { readonly op: "close" }
  | { readonly op: "reset" }

/** A call ended. @category models @since 0.1.0 */
export interface BreakerRecord {
  readonly op: "record"
  readonly generation: number
  readonly probe: number
  readonly outcome: "success" | "failure" | "throttled" | "ignored"
  readonly duration: number
  readonly slowFed: number
  readonly retryAfter: number
  readonly draw: number
}

/** A call in flight became slow. @category models @since 0.1.0 */
export interface BreakerSlow {
  readonly op: "slow"
  readonly generation: number
  readonly probe: number
  readonly rank: number
  readonly draw: number
}

/** A change of phase. `openFor` is 0, and `openedBy` is none, unless `to` is Open. @category models @since 0.1.0 */
export interface Transition {
  readonly from: Phase
  readonly to: Phase
  readonly at: number
  readonly generation: number
  readonly openFor: number
  readonly openedBy: Opener
}

/**
 * What a circuit answers: its phase and generation, and the permit to report with (`probe` 0: no slot was taken).
 *
 * `retryAfter` is 0 when allowed, `NEVER` when isolated, else the time until a call is let through if nothing is
 * reported. `transitions` are those kept in the new state; a refusal keeps nothing, so each is told exactly once.
 *
 * @category models
 * @since 0.1.0
 */
export interface BreakerDecision extends Decision {
  readonly phase: Phase
  readonly generation: number
  readonly probe: number
  readonly retryAfter: number
  readonly openedBy: Opener
  readonly transitions: ReadonlyArray<Transition>
}

/** What a reader may see; `windows` has one entry for each trip policy. @category models @since 0.1.0 */
export interface BreakerView {
  readonly phase: Phase
  readonly generation: number
  readonly since: number
  readonly openFor: number
  readonly openedBy: Opener
  readonly retryAfter: number
  readonly probesInFlight: number
  readonly successes: number
  readonly failures: number
  readonly windows: ReadonlyArray<{ readonly calls: number; readonly bad: number }>
}

/** @category models @since 0.1.0 */
export type BreakerStep = readonly [answer: BreakerDecision, state: BreakerState]

export const NONE: ReadonlyArray<Transition> = []

/** The answer of a circuit that is seen as `seen`, and what is kept. @category constructors @since 0.1.0 */
export const answer = (
  seen: BreakerState,
  probe: number,
  retryAfter: number,
  transitions: ReadonlyArray<Transition>,
  state: BreakerState
): BreakerStep => {
  const allowed = retryAfter === 0
  const openedBy = seen.openedBy
  return [{ allowed, phase: seen.phase, generation: seen.generation, probe, retryAfter, openedBy, transitions }, state]
}
