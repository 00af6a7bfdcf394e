/**
 * What a breaker policy says, as its circuits are kept.
 */
import type { BreakerDecision, BreakerInput, BreakerPolicy, BreakerState } from "../kernel/Breaker.ts"
import type { BreakerKernel, OwnTrip } from "./OwnTrip.ts"
import type { KeyBounds, Space } from "../StoreModel.ts"

export type CircuitSpace = Space<BreakerPolicy, BreakerState, BreakerInput, BreakerDecision>

export interface CircuitSpec {
  readonly policy: BreakerPolicy
  /** Trip policies of the user's own, and the kernel that knows them. */
  readonly own: ReadonlyArray<OwnTrip>
  readonly kernel: BreakerKernel
  /** `undefined`: one circuit for the service; `"key"`: one for each key; else the dimension's name. */
  readonly by: string | undefined
  readonly keys: KeyBounds
  /** Milliseconds a failure asks to be left alone for, where it says so. */
  readonly hintOf: ((error: unknown) => number | undefined) | undefined
}
