import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

/** Runs an effect to its end, letting all the time pass that it needs. */
export const finish = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(self))
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })
