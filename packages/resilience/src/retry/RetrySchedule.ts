/**
 * The bridge to Effect's `Schedule`. Nothing else in this library imports it: a program that uses neither
 * `Backoff.toSchedule` nor `Retry.fromSchedule`, the public names of what is here, does not bundle it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { MAX_EXACT } from "../Validate.ts"
import type { Driver } from "./driver.ts"

/**
 * A schedule from a function of delays: `attempt` counts from 1, `u` is a draw of Effect's `Random`, `previous` is the
 * delay before.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromDelays = (
  delay: (attempt: number, u: number, previous: number | undefined) => number
): Schedule.Schedule<Duration.Duration> =>
  Schedule.fromStep(
    Effect.sync(() => {
      let attempt = 0
      let previous: number | undefined
      return () =>
        Effect.map(Random.next, (u): [Duration.Duration, Duration.Duration] => {
          attempt++
          previous = delay(attempt, u, previous)
          const duration = Duration.millis(previous)
          return [duration, duration]
        })
    })
  )

/**
 * Whether a value is a `Schedule`: asked here, so that nobody else loads that module.
 *
 * @category guards
 * @since 0.1.0
 */
export const isSchedule = Schedule.isSchedule

/** A delay that is never due, or too long to count, is no retry. A negative one is none. */
const wholeMillis = (duration: Duration.Duration): number | undefined => {
  const millis = Math.max(0, Math.ceil(Duration.toMillis(duration)))
  return millis > MAX_EXACT ? undefined : millis
}

/**
 * One call's way through a schedule, for `Retry.fromSchedule`.
 *
 * Delays are rounded up to whole milliseconds, and one that is infinite or above 2^52 ms ends the schedule. It is told
 * the wall clock, as by Effect's own `retry`, but one that does not jump: the wall time of the first failure plus the
 * monotonic time since.
 *
 * @category constructors
 * @since 0.1.0
 */
export const driver = <E>(schedule: Schedule.Schedule<unknown, E>): Driver<E> => {
  let started: { readonly step: Step<E>; readonly offset: number } | undefined
  const start = (now: number) =>
    Effect.flatMap(Schedule.toStep(schedule), (step) =>
      Effect.map(Clock.currentTimeMillis, (wall) => (started = { step, offset: wall - now }))
    )
  return {
    next: (error, _attempt, now) =>
      Effect.flatMap(started === undefined ? start(now) : Effect.succeed(started), ({ offset, step }) =>
        Pull.matchEffect(step(offset + now, error), {
          onSuccess: ([, delay]) => Effect.succeed(wholeMillis(delay)),
          onFailure: (cause) => Effect.failCause(cause),
          onDone: () => Effect.succeed(undefined)
        })
      )
  }
}

type Step<E> = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, E, never, never>>>
