/**
 * The deadline that goes with a fiber: a call inside another one waits for nothing that comes after the outer one has ended.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import { ambientOf } from "../internal/ambient.ts"
import { nowAt } from "../internal/time.ts"

export interface Deadline {
  /** On the monotonic time of `clock`. Times of two clocks cannot be compared. */
  readonly at: number
  readonly clock: Clock.Clock
  /** The attempt has ended: a fiber that it started, and that lives on, is free. */
  over: boolean
}

/** Set in the fiber of each attempt that has a timeout. */
export const AttemptDeadline = Context.Reference<Deadline | undefined>("effect-resilience/Deadline", {
  defaultValue: () => undefined
})

/** When the calls around a fiber must have ended; `Infinity` where there is no timeout. */
export const deadlineOf = (fiber: Fiber.Fiber<unknown, unknown>, clock: Clock.Clock): number => {
  const deadline = fiber.getRef(AttemptDeadline)
  return deadline === undefined || deadline.over || deadline.clock !== clock ? Infinity : deadline.at
}

/** Milliseconds until then. */
export const leftOf = (fiber: Fiber.Fiber<unknown, unknown>): number => {
  const { clock } = ambientOf(fiber)
  return deadlineOf(fiber, clock) - nowAt(clock)
}
