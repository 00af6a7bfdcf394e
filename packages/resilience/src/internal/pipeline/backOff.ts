/**
 * The wait between two attempts.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { CircuitPass } from "../CircuitGate.ts"
import { sinkOf } from "../events.ts"
import { nowOf } from "../time.ts"
import { startTimer } from "../timers.ts"

/** Ends early when the circuit that admitted the call moves. */
export const backOff = (
  fiber: Fiber.Fiber<unknown, unknown>,
  millis: number,
  pass: CircuitPass | undefined
): Effect.Effect<void> => {
  if (millis <= 0) return Effect.void
  if (pass === undefined) return fiber.getRef(Clock.Clock).sleep(Duration.millis(millis))
  return Effect.callback<void>((resume) => {
    // the fiber may have yielded since the call last looked, and the circuit moved meanwhile
    if (pass.left(nowOf(fiber), sinkOf(fiber))) return resume(Effect.void)
    const done = () => {
      stop()
      resume(Effect.void)
    }
    // from the dispatcher: a circuit moves inside a commit of another call
    const onMove = () => fiber.currentDispatcher.scheduleTask(done, 0)
    const unwatch = pass.gate.watch(pass, onMove, nowOf(fiber))
    const cancel = startTimer(fiber, millis, done)
    const stop = () => {
      unwatch()
      cancel()
    }
    return Effect.sync(stop)
  })
}
