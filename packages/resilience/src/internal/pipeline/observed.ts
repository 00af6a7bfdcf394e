/**
 * What a sink is told of an attempt.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Event, Sink } from "../../Event.ts"
import { TimeoutExceeded } from "../../Rejection.ts"
import { errorOf } from "../errorOf.ts"
import { emit } from "../events.ts"
import { nowOf } from "../time.ts"
import type { Caller } from "./Admission.ts"

type Ended = Extract<Event, { readonly _tag: "AttemptEnded" }>

const resultOf = (exit: Exit.Exit<unknown, unknown>): Ended["result"] => {
  if (exit._tag === "Success") return "success"
  if (Cause.hasInterruptsOnly(exit.cause)) return "interrupt"
  return errorOf(exit.cause) instanceof TimeoutExceeded ? "timeout" : "failure"
}

export const attemptEnded = (
  sink: Sink,
  call: Caller,
  attempt: number,
  exit: Exit.Exit<unknown, unknown>,
  duration: number,
  fiber: Fiber.Fiber<unknown, unknown>
): void => {
  const { name: key, pipeline } = call
  emit(sink, { _tag: "AttemptEnded", service: pipeline.id, key, attempt, result: resultOf(exit), duration }, fiber)
}

export const observed = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  call: Caller,
  attempt: number,
  begunAt: number,
  fiber: Fiber.Fiber<unknown, unknown>,
  sink: Sink
): Effect.Effect<A, E, R> =>
  Effect.onExitPrimitive(self, (exit) => {
    attemptEnded(sink, call, attempt, exit, nowOf(fiber) - begunAt, fiber)
    return undefined
  })
