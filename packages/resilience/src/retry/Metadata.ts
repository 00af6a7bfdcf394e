/**
 * What the effect can read of its own attempt: Effect's `Schedule.CurrentMetadata`, which `Effect.retry` sets, too.
 *
 * A reference is found by its key, so that `Schedule` (5 kB) is not loaded for it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import type * as Fiber from "effect/Fiber"
import type * as Schedule from "effect/Schedule"

const CurrentMetadata = Context.Reference<Schedule.Metadata>("effect/Schedule/CurrentMetadata", {
  defaultValue: () => ({
    input: undefined,
    output: undefined,
    duration: Duration.zero,
    attempt: 0,
    start: 0,
    now: 0,
    elapsed: 0,
    elapsedSincePrevious: 0
  })
})

/** The retries of one call. The first attempt has no metadata, as under `Effect.retry`. */
export class Metadata {
  private retries = 0
  private start = 0
  private previous = 0

  /**
   * For the attempt that follows `error`. Times are those of the wall clock at the failure: `failedAt` and `now` are monotonic
   * and say how long ago that was.
   */
  next(
    error: unknown,
    delay: number,
    failedAt: number,
    now: number,
    fiber: Fiber.Fiber<unknown, unknown>
  ): Context.Context<never> {
    const wall = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe() - (now - failedAt)
    if (this.retries === 0) this.start = this.previous = wall
    const elapsedSincePrevious = wall - this.previous
    this.previous = wall
    const duration = Duration.millis(delay)
    return Context.make(CurrentMetadata, {
      input: error,
      output: duration,
      duration,
      attempt: ++this.retries,
      start: this.start,
      now: wall,
      elapsed: wall - this.start,
      elapsedSincePrevious
    }) as Context.Context<never> // a reference needs no provider, so it is in no type
  }
}
