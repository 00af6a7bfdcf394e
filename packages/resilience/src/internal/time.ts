/**
 * Time as this library counts it: whole milliseconds of the fiber's monotonic clock.
 */
import type * as Clock from "effect/Clock"
import type * as Fiber from "effect/Fiber"
import { ambientOf } from "./ambient.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Never goes back, whatever the wall clock does. Divided before it is a double, which cannot count so many nanoseconds. */
export const nowAt = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)

export const nowOf = (fiber: AnyFiber): number => nowAt(ambientOf(fiber).clock)
