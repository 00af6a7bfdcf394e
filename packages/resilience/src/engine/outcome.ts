/**
 * What a call, or an attempt, says about the dependency.
 */
import * as Cause from "effect/Cause"
import type * as Exit from "effect/Exit"
import { errorOf } from "../internal/errorOf.ts"
import { fromExit, type Outcome } from "../Outcome.ts"
import { isRejection, type TimeoutExceeded } from "../Rejection.ts"
import type { Classify, Pipeline } from "./Pipeline.ts"

type AnyExit = Exit.Exit<unknown, unknown>

/** What a call has noted of itself. */
export interface Judged {
  readonly pipeline: Pipeline
  readonly classify: Classify | undefined
  /** A function of the user threw: the call says nothing about the dependency. */
  readonly broken: boolean
  /** How the last attempt has ended that failed, or whose value was rejected. */
  readonly failed: AnyExit | undefined
  /** The error that the call reports for an exit of an attempt. */
  readonly reported: { readonly error: unknown; readonly exit: AnyExit } | undefined
  /** The last value that the retry policy rejected. */
  readonly rejected: { readonly value: unknown } | undefined
  readonly timeout: TimeoutExceeded | undefined
  /** Whether an attempt had as much time as attempts take: then a timeout of the call is the dependency's. */
  readonly hadTime: boolean
  readonly ask: <A>(f: () => A) => A
}

/** Throws what the user's `classify` throws. */
export const outcomeOf = (call: Judged, exit: AnyExit, started: boolean): Outcome => {
  if (call.broken || !started) return "ignored"
  const told = exitOf(call, exit)
  if (told._tag === "Failure") {
    if (Cause.hasInterruptsOnly(told.cause)) return "ignored"
    if (isRejection(errorOf(told.cause))) return fromExit(told)
  }
  const { classify } = call
  return (classify === undefined ? undefined : call.ask(() => classify(told))) ?? byDefault(call, told)
}

/**
 * The exit that says how the dependency did: the last failed attempt's where the caller has left since, or where the call's
 * error wraps it.
 */
export const exitOf = (call: Judged, exit: AnyExit): AnyExit => {
  if (exit._tag === "Success") return exit
  const { failed, pipeline, reported } = call
  if (Cause.hasInterruptsOnly(exit.cause)) return failed === undefined || pipeline.perAttempt ? exit : failed
  return reported !== undefined && errorOf(exit.cause) === reported.error ? reported.exit : exit
}

const byDefault = (call: Judged, exit: AnyExit): Outcome => {
  const { failed, hadTime, pipeline, rejected, timeout } = call
  if (exit._tag === "Success") return rejected !== undefined && exit.value === rejected.value ? "failure" : "success"
  if (timeout?.scope !== "call" || errorOf(exit.cause) !== timeout || hadTime) return fromExit(exit)
  // where each attempt is recorded, those before have told what they had to
  return failed === undefined || pipeline.perAttempt ? "ignored" : outcomeOf(call, failed, true)
}

/** Milliseconds that an exit asks to be left alone for: the first member that reads one from it answers. */
export const hintOf = (call: Judged, exit: AnyExit): number => {
  const asks = exit._tag === "Failure" ? errorOf(exit.cause) : call.rejected?.value
  if (asks === undefined) return 0
  return call.ask(() => {
    for (const hint of call.pipeline.hints) {
      const millis = hint(asks)
      if (millis !== undefined) return millis
    }
    return 0
  })
}
