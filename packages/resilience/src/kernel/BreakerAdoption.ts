/**
 * What a circuit begins with where another policy has kept it, as during a rolling deployment.
 *
 * @since 0.1.0
 */
import type { BreakerPolicy, BreakerState } from "./BreakerModel.ts"
import { closed } from "./BreakerPhase.ts"

/**
 * The phase, its generation and what is left of the opening stay; calls are counted anew, since a window means something
 * only to the trip policy that filled it. No opening lasts longer than this policy's own may.
 *
 * @category combinators
 * @since 0.1.0
 */
export const adopt = (policy: BreakerPolicy, state: BreakerState): BreakerState => {
  const fresh = closed(policy, state.generation, state.since)
  const longest = Math.max(policy.openCap, policy.openHigh[policy.openHigh.length - 1] ?? 0)
  return {
    phase: state.phase,
    generation: state.generation,
    ended: state.ended,
    since: state.since,
    openFor: Math.min(state.openFor, longest),
    openings: state.openings,
    openedBy: state.openedBy,
    draw: state.draw,
    windows: fresh.windows,
    trial: fresh.trial
  }
}
