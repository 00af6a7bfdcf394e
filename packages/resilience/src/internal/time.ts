/**
 * Time as this library counts it: whole milliseconds of the fiber's monotonic clock.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Never goes back, whatever the wall clock does. Divided before it is a double, which cannot count so many nanoseconds. */
export const nowOf = (fiber: AnyFiber): number =>
  Number(fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe() / 1_000_000n)

/** Calls back after `millis` on the fiber's clock, unless cancelled first. */
export const startTimer = (fiber: AnyFiber, millis: number, onTime: () => void): (() => void) => {
  const sleep = fiber.getRef(Clock.Clock).sleep(Duration.millis(millis))
  const timer = Effect.runForkWith(fiber.context)(Effect.map(sleep, onTime))
  return () => timer.interruptUnsafe()
}
