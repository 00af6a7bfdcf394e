/**
 * What a call goes through.
 */
import type * as Exit from "effect/Exit"
import type { Outcome } from "../../Outcome.ts"
import type { Rejection, RetryExhausted, TimeoutExceeded } from "../../Rejection.ts"
import type { OnExhausted, Policy } from "../../RetryPolicy.ts"
import type { CircuitGate } from "../CircuitGate.ts"
import type { LimitGate } from "../LimitGate.ts"
import type { SlotGate } from "../SlotGate.ts"
import type { Guarded, Local } from "../storeView.ts"

/** What a service composes: every part is optional. Times are milliseconds, `Infinity` for none. */
export interface Pipeline {
  readonly id: string
  readonly store: Local | Guarded
  readonly circuit: CircuitGate | undefined
  readonly limits: LimitGate | undefined
  readonly slots: SlotGate | undefined
  readonly retry: Policy<unknown, OnExhausted> | undefined
  readonly timeout: number
  readonly attemptTimeout: number
  /** Whether each attempt is admitted and recorded, and not the call. */
  readonly perAttempt: boolean
  readonly classify: Classify | undefined
}

/** Everything that a pipeline may hold, and does not. */
export const bare = (id: string, store: Local | Guarded): Pipeline => ({
  id,
  store,
  circuit: undefined,
  limits: undefined,
  slots: undefined,
  retry: undefined,
  timeout: Infinity,
  attemptTimeout: Infinity,
  perAttempt: false,
  classify: undefined
})

export type Classify = (exit: Exit.Exit<unknown, unknown>) => Outcome

export interface CallOptions {
  readonly cost: number
  readonly maxWait: number | undefined
  readonly classify: Classify | undefined
}

/** What the pipeline itself can add to an effect's errors; a service's type names exactly which. */
export type PipelineError = Rejection | TimeoutExceeded | RetryExhausted<unknown>
