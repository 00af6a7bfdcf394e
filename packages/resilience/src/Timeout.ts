/**
 * How long a call, and each attempt of it, may take.
 *
 * In a service these are its `timeout` and `attemptTimeout`, plain durations.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { timer } from "./engine/timer.ts"
import { millis } from "./Validate.ts"
import { type Member, Stage } from "./Policy.ts"

/** The timeout of the whole call, waits and backoff included. */
export const ofCall = (module: string, parameter: string, timeout: Duration.Input): ReadonlyArray<Member> => {
  const longest = millis(module, parameter, timeout)
  const notes: Member = {
    kind: "timeout",
    stage: Stage.timeout,
    longest,
    around: (next) => (attempt, now) => {
      const { call } = attempt
      const { timeout } = call.own
      call.deadline = now + (timeout === undefined ? longest : Math.min(longest, timeout as number)) // `callOptions` has read it
      return next(attempt, now)
    }
  }
  return [notes, timer]
}

/** The timeout of each attempt: what it says is the member's `longest`. */
export const ofAttempt = (module: string, parameter: string, timeout: Duration.Input): ReadonlyArray<Member> => [
  { kind: "attemptTimeout", stage: Stage.attemptTimeout, longest: millis(module, parameter, timeout) },
  timer
]
