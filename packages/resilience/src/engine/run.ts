/**
 * How a call runs: into the admission, and through what stands around an attempt.
 */
import * as Effect from "effect/Effect"
import type { Key } from "../internal/key.ts"
import { nowOf } from "../internal/time.ts"
import { maybeInTransaction, outsideTransactions } from "../internal/transaction.ts"
import type { Run } from "../Policy.ts"
import { admit } from "./admit.ts"
import { beginsNext } from "./begin.ts"
import { type CallAttempt, WholeCall } from "./Call.ts"
import * as contexts from "./contexts.ts"
import { observed } from "./observed.ts"
import type { CallOptions, Pipeline } from "./Pipeline.ts"

/** Runs one call. What its members may add to the errors of the effect, a service's types say. */
export const run = <A, E, R>(
  pipeline: Pipeline,
  self: Effect.Effect<A, E, R>,
  key: Key,
  options: CallOptions
): Effect.Effect<A, unknown, R> =>
  Effect.withFiber((fiber) => {
    const call = new WholeCall(pipeline, self, key, options, fiber)
    const run = Effect.onExitPrimitive(pipeline.run(call, call.startedAt), (exit) => call.finish(exit))
    return maybeInTransaction(fiber) ? outsideTransactions(run) : run
  })

/** Asks for what an attempt lacks: all tickets of the call, or those that each attempt needs. */
export const enter = (attempt: CallAttempt, now: number): ReturnType<Run> => {
  const { call } = attempt
  const { again, gates, perAttempt, inside } = call.pipeline
  // its tickets are open: others in their place would leave them so for ever
  if (attempt.admitted) throw new Error("An attempt runs once: call.further makes the next")
  call.last = attempt
  if (call.main.admitted && !perAttempt) {
    if (again.length === 0) {
      attempt.admitted = true // by the admission of the call
      return inside(attempt, now)
    }
    attempt.enter(again, now)
  } else {
    call.main = attempt
    attempt.enter(gates, now)
  }
  call.arrivedAt = now
  return admit(attempt, now)
}

/** One run of the effect, and what a sink hears of it. A hedge asks for its tickets here. */
export const attemptRun =
  (timed: Run): Run =>
  (given, now) => {
    const attempt = given as CallAttempt // the engine makes all attempts
    const { call, n } = attempt
    call.attempts = Math.max(call.attempts, n)
    const context = contexts.both(call.main.context, attempt.context)
    const bare = call.pipeline.clocked ? clocked(timed, attempt, now) : timed(attempt, now)
    const run = context === undefined ? bare : Effect.provideContext(bare, context)
    return call.sink === undefined ? run : observed(run, call, n, now, call.sink)
  }

/** Tells the members when the attempt begins and ends. */
const clocked = (timed: Run, attempt: CallAttempt, now: number): ReturnType<Run> => {
  const { call } = attempt
  const { tickets } = call.main
  for (const ticket of tickets) ticket.attemptBegan?.(now)
  return Effect.onExitPrimitive(timed(attempt, now), () => {
    const end = nowOf(call.fiber)
    for (const ticket of tickets) ticket.attemptEnded?.(end)
    return undefined
  })
}

/** Nothing stands around an attempt: the first is the effect itself, where it begins with the fiber's next operation. */
export const bareRun =
  (run: Run): Run =>
  (attempt, now) => {
    const call = attempt.call as WholeCall // the engine makes all attempts
    if (attempt !== call || call.context !== undefined || !beginsNext(call.fiber)) return run(attempt, now)
    call.attempts = 1
    call.started = call.unseen = true
    call.begunAt = now
    return call.self
  }
