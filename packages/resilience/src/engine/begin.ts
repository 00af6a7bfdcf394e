/**
 * Knowing for sure whether an effect began.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** Whether the fiber does not yield before its next operation. */
export const beginsNext = (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
  fiber.currentOpCount + 1 < fiber.cache.maxOpsBeforeYield

/**
 * Runs `onBegin` in the same step in which the effect begins. A fiber may yield between any two operations, and be
 * interrupted there: where it would yield right after `onBegin`, it yields before, and tries again in a step of its own.
 */
export const begin = <A, E, R>(self: Effect.Effect<A, E, R>, onBegin: () => void): Effect.Effect<A, E, R> => {
  const step: Effect.Effect<A, E, R> = Effect.withFiber<A, E, R>((fiber) => {
    if (beginsNext(fiber)) {
      onBegin()
      return self
    }
    // once the fiber is interrupted, `resume` does nothing; so the step must run only through `resume`
    return Effect.callback<A, E, R>((resume) => fiber.currentDispatcher.scheduleTask(() => resume(step), 0))
  })
  return step
}
