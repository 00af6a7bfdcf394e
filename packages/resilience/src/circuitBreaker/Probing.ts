/**
 * The probe that a call runs under. A call inside the effect of a probe that comes to the same circuit is a part of that probe:
 * refused, it would make the probe fail, and the circuit would never close.
 */
import * as Context from "effect/Context"

export interface Probing {
  /** The breaker that let the probe through, and its circuit. */
  readonly gate: object
  readonly circuit: string
  /** Whether the probe is still in flight, and its circuit where it was. */
  readonly lasts: () => boolean
}

/** Set for probes alone. */
export const ProbeOf = Context.Reference<Probing | undefined>("effect-resilience/Probe", {
  defaultValue: () => undefined
})
