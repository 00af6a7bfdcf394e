/**
 * One timer around one attempt.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import { startTimer } from "../internal/timers.ts"

/**
 * Runs the effect in a fiber of its own, so that it can be interrupted without the call, and fails with `onTimeout`
 * when it took too long. The fiber starts at once: an effect that ends synchronously never sets a timer. As with
 * Effect's own timeout, its finalizers are awaited; a defect in one of them is not swallowed.
 */
export const withTimer = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  parent: Fiber.Fiber<unknown, unknown>,
  millis: number,
  onBegin: () => void,
  onTimeout: () => E2
): Effect.Effect<A, E | E2, R> =>
  // forked inside the callback, in the same step that registers its cancellation: no interruption fits between
  Effect.callback<A, E | E2>((resume) => {
    if (millis <= 0) return resume(Effect.fail(onTimeout()))
    onBegin()
    // the parent's fiber has all of R, or it could not run this
    const child = Effect.runForkWith(parent.context)(self as Effect.Effect<A, E>, dispatchedBy(parent))
    const done = child.pollUnsafe()
    if (done !== undefined) return resume(done)
    let error: E2 | undefined
    const cancel = startTimer(parent, millis, () => {
      error = onTimeout()
      child.interruptUnsafe(parent.id)
    })
    child.addObserver((exit) => {
      if (error === undefined) {
        cancel()
        resume(exit)
      } else {
        const died = exit._tag === "Failure" && exit.cause.reasons.some(Cause.isDieReason)
        resume(died ? exit : Exit.fail(error))
      }
    })
    return Effect.suspend(() => Effect.asVoid(Fiber.interrupt(child)))
  })

/** `Effect.runSync` drains only the dispatcher of the fiber it started, so a child must not have another. */
const dispatchedBy = (parent: Fiber.Fiber<unknown, unknown>): { readonly scheduler?: Scheduler.Scheduler } => {
  const scheduler = parent.getRef(Scheduler.Scheduler)
  if (scheduler.executionMode !== "sync") return {}
  return {
    scheduler: {
      executionMode: "sync",
      shouldYield: (fiber) => scheduler.shouldYield(fiber),
      makeDispatcher: () => parent.currentDispatcher
    }
  }
}
