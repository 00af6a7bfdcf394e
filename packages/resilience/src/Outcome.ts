/**
 * What one call means to a circuit breaker.
 */
import * as Cause from "effect/Cause"
import type * as Exit from "effect/Exit"
import { isRejection } from "./Rejection.ts"

/**
 * `success` and `failure` are counted; `ignored` tells nothing about the dependency and is not.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = "success" | "failure" | "ignored"

/**
 * The default classification of a call.
 *
 * Success is a success. An exit that holds interrupts and nothing else is ignored. A rejection of ours, from this
 * pipeline or one inside it, is ignored: the dependency was not asked. Every other failure counts, defects too.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromExit = <A, E>(exit: Exit.Exit<A, E>): Outcome => {
  if (exit._tag === "Success") return "success"
  let ignored = true
  for (const reason of exit.cause.reasons) {
    if (Cause.isInterruptReason(reason)) continue
    if (Cause.isFailReason(reason) && isRejection(reason.error)) continue
    ignored = false
  }
  return ignored ? "ignored" : "failure"
}
