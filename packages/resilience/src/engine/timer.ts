/**
 * The timer of an attempt: one, under the nearest of all ends, however many timeouts ask for it.
 */
import { type Member, Stage } from "../Policy.ts"
import { CallAttempt } from "./Call.ts"
import { withTimer } from "./withTimer.ts"

export const timer: Member = {
  kind: "timer",
  stage: Stage.timer,
  around: (next) => {
    // the child fiber that the timer forks begins at once: where nothing stands between, so does the effect
    const isBare = next === CallAttempt.begin
    return (given, now) => {
      const attempt = given as CallAttempt // the engine makes all attempts
      const { call } = attempt
      const { deadline, fiber, pipeline } = call
      const millis = pipeline.longest.attempt
      const left = deadline - now
      const run = isBare ? call.self : next(attempt, now)
      const onBegin = () => {
        if (isBare) attempt.started = true
      }
      return withTimer(run, fiber, Math.min(millis, left), onBegin, () => call.timeoutOf(left <= millis))
    }
  }
}
