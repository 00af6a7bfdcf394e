/** What the laws of a limiter kernel are about. Exported from `KernelLaws`. */
import type * as Arbitrary from "effect/Arbitrary"
import type { LimiterKernel } from "effect-resilience/kernel/Limiter"
import type { Scale } from "./limiterTraffic.ts"

/**
 * A call that was admitted: `cost` units at `now`, in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Admission {
  readonly now: number
  readonly cost: number
}

/**
 * A limiter kernel with what its laws need to know of it. Times are whole milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface LimiterSpecimen<Policy, State, Receipt> extends Scale<Policy> {
  readonly kernel: LimiterKernel<Policy, State, Receipt>
  /** Policies so small that every millisecond and every unit can be tried: capacities and spans of some tens. */
  readonly policy: Arbitrary.Arbitrary<Policy>
  /** Policies up to the largest numbers that are exact. Default: none are tried. */
  readonly largePolicy?: Arbitrary.Arbitrary<Policy> | undefined
  /** The largest cost that can ever pass. */
  readonly capacity: (policy: Policy) => number
  /** Milliseconds in which a key that is used up returns to its initial state, at most. */
  readonly span: (policy: Policy) => number
  /** The bound that you promise: units in any span of `millis`, its first and its last millisecond included. */
  readonly atMost?: ((policy: Policy, millis: number) => number | bigint) | undefined
  /** The definition: whether one more call may be admitted after these. As simple as can be, in other words than the kernel's. */
  readonly admits?: ((policy: Policy, admitted: ReadonlyArray<Admission>, next: Admission) => boolean) | undefined
  /** What `ticks` instants of full demand, `every` ms apart from `start` on, get at least; `undefined` where nothing is promised. */
  readonly atLeast?: ((policy: Policy, start: number, every: number, ticks: number) => number | undefined) | undefined
}
