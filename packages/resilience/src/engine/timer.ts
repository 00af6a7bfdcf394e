/**
 * The timer of an attempt: one, under the nearest of all ends, however many timeouts ask for it.
 */
import { type Member, Stage } from "../Policy.ts"
import { CallAttempt } from "./Call.ts"
import { withTimer } from "./withTimer.ts"

const NOTHING = () => {}

export const timer: Member = {
  kind: "timer",
  stage: Stage.timer,
  around: (next) => {
    // the child fiber that the timer forks begins at once: where nothing stands between, so does the effect
    const isBare = next === CallAttempt.begin
    return (given, now) => {
      const attempt = given as CallAttempt // the engine makes all attempts
      if (!isBare) return withTimer(next(attempt, now), attempt, now, NOTHING)
      return withTimer(attempt.call.self, attempt, now, () => {
        attempt.started = true
      })
    }
  }
}
