/**
 * The wait between two attempts.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { nowOf } from "../internal/time.ts"
import { startTimer } from "../internal/timers.ts"
import type { Call } from "../Policy.ts"

/** Ends early when what admitted the call is over. */
export const backOff = (call: Call, millis: number): Effect.Effect<void> => {
  const { fiber, watch } = call
  if (watch === undefined) return fiber.getRef(Clock.Clock).sleep(Duration.millis(millis))
  return Effect.callback<void>((resume) => {
    // the fiber may have yielded since the call last looked
    if (call.left(nowOf(fiber))) return resume(Effect.void)
    const done = () => {
      stop()
      resume(Effect.void)
    }
    // from the dispatcher: a circuit moves inside a commit of another call
    const unwatch = watch(() => fiber.currentDispatcher.scheduleTask(done, 0))
    const cancel = startTimer(fiber, millis, done)
    const stop = () => {
      unwatch()
      cancel()
    }
    return Effect.sync(stop)
  })
}
