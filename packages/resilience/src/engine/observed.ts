/**
 * What a sink hears of an attempt.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Event, Sink } from "../Event.ts"
import { errorOf } from "../internal/errorOf.ts"
import { emit } from "../internal/events.ts"
import { nowOf } from "../internal/time.ts"
import type { Outcome } from "../Outcome.ts"
import type { Call } from "../Policy.ts"
import { isRejection, TimeoutExceeded } from "../Rejection.ts"

type Ended = Extract<Event, { readonly _tag: "AttemptEnded" }>

const resultOf = (exit: Exit.Exit<unknown, unknown>): Ended["result"] => {
  if (exit._tag === "Success") return "success"
  if (Cause.hasInterruptsOnly(exit.cause)) return "interrupt"
  return errorOf(exit.cause) instanceof TimeoutExceeded ? "timeout" : "failure"
}

export const attemptEnded = (
  sink: Sink,
  { fiber, name: key, service }: Call,
  attempt: number,
  exit: Exit.Exit<unknown, unknown>,
  duration: number
): void => emit(sink, { _tag: "AttemptEnded", service, key, attempt, result: resultOf(exit), exit, duration }, fiber)

export const callEnded = (
  sink: Sink,
  { attempts, fiber, name: key, service, timedOut }: Call,
  exit: Exit.Exit<unknown, unknown>,
  outcome: Outcome,
  duration: number
): void => {
  const rejected = attempts === 0 && exit._tag === "Failure" && isRejection(errorOf(exit.cause))
  emit(sink, { _tag: "CallEnded", service, key, outcome, exit, attempts, duration, timedOut, rejected }, fiber)
}

export const observed = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  call: Call,
  attempt: number,
  begunAt: number,
  sink: Sink
): Effect.Effect<A, E, R> =>
  Effect.onExitPrimitive(self, (exit) => {
    attemptEnded(sink, call, attempt, exit, nowOf(call.fiber) - begunAt)
    return undefined
  })
