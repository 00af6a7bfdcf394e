/**
 * How long a call, and each attempt of it, may take.
 *
 * In a service these are its `timeout` and `attemptTimeout`, plain durations.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { withTimer } from "./engine/withTimer.ts"
import { millis } from "./Validate.ts"
import { type Call, type Member, type Run, Stage } from "./Policy.ts"

/** One timer around each attempt, under the nearest of all ends: a service has it once, however many timeouts ask for it. */
const timer: Member = {
  kind: "timer",
  stage: Stage.timer,
  around: (next) => (attempt, now) => {
    const { call } = attempt
    const { attemptMillis, deadline, fiber } = call
    const left = deadline - now
    const run = next(attempt, now)
    return withTimer(run, fiber, Math.min(attemptMillis, left), () => call.timeoutOf(left <= attemptMillis))
  }
}

const noting = (note: (call: Call, now: number) => void): Member["around"] => {
  return (next: Run): Run =>
    (attempt, now) => {
      note(attempt.call, now)
      return next(attempt, now)
    }
}

/** The timeout of the whole call, waits and backoff included. */
export const ofCall = (module: string, parameter: string, timeout: Duration.Input): ReadonlyArray<Member> => {
  const longest = millis(module, parameter, timeout)
  const around = noting((call, now) => {
    call.timeoutMillis = longest
    call.deadline = now + longest
  })
  return [{ kind: "timeout", stage: Stage.timeout, longest, around }, timer]
}

/** The timeout of each attempt. */
export const ofAttempt = (module: string, parameter: string, timeout: Duration.Input): ReadonlyArray<Member> => {
  const longest = millis(module, parameter, timeout)
  const around = noting((call) => {
    call.attemptMillis = longest
  })
  return [{ kind: "attemptTimeout", stage: Stage.attemptTimeout, longest, around }, timer]
}
