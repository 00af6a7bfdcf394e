/**
 * One call of a story.
 */
import { Cause, Effect, Exit, type Fiber } from "effect"
import type { Key } from "../../src/internal/key.ts"
import type { Stage } from "./harness.ts"

interface Seen {
  readonly at: number
  readonly error: unknown
  readonly interrupted: boolean
}

/** A call that notes when it ran, and otherwise why not. */
export class Caller {
  ranAt: number | undefined
  ended: Seen | undefined
  readonly fiber: Fiber.Fiber<unknown, unknown>
  constructor(
    stage: Stage,
    options: { readonly cost?: number; readonly key?: Key; readonly maxWait?: number } = {},
    self: Effect.Effect<unknown, unknown> = Effect.void
  ) {
    const body = Effect.suspend(() => {
      this.ranAt = stage.world.elapsed
      return self
    })
    this.fiber = stage.world.fork(stage.call(body, options) as Effect.Effect<unknown, unknown>)
    this.fiber.addObserver((exit) => {
      const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
      this.ended = {
        at: stage.world.elapsed,
        error: cause.reasons.find(Cause.isFailReason)?.error,
        interrupted: cause.reasons.some(Cause.isInterruptReason)
      }
    })
    stage.world.settle()
  }
}

/** A call arrives, and does what it can do now. */
export const arrive = (...args: ConstructorParameters<typeof Caller>): Caller => new Caller(...args)
