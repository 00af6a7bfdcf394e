/**
 * What one call means to a circuit breaker.
 */
import * as Cause from "effect/Cause"
import type * as Exit from "effect/Exit"
import { rejectionIn } from "./Rejection.ts"

/**
 * `success` and `failure` are counted; `ignored` says nothing about the dependency and is not.
 *
 * `throttled`: the dependency is well and says "not now" (a 429), in the error's `retryAfter` perhaps for how long. While
 * the circuit is closed it is not counted and ends no run of failures. While half-open it opens the circuit again, for as
 * long as the error asks if that is longer than the opening would be. While open, one of the calls that ran when the
 * circuit opened makes the opening as long as the error asks, up to `maxOpenDuration`. Only `classify` answers it.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = "success" | "failure" | "throttled" | "ignored"

/**
 * The default classification of a call.
 *
 * Success is a success. An exit that holds interrupts and nothing else is ignored. A rejection of ours, from this
 * pipeline or one inside it, is ignored, also where an error has it as its `cause`: the dependency was not asked. Every other failure counts, defects too. No exit is
 * `throttled` by itself: which error means that is for `classify` to say.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromExit = <A, E>(exit: Exit.Exit<A, E>): Outcome => {
  if (exit._tag === "Success") return "success"
  for (const reason of exit.cause.reasons) {
    if (Cause.isInterruptReason(reason)) continue
    if (rejectionIn(Cause.isFailReason(reason) ? reason.error : reason.defect) === undefined) return "failure"
  }
  return "ignored"
}
