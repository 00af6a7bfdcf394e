/**
 * The one decision to let an attempt run, on a remote store: what is local is reserved before the trip, and undone where the
 * answer is no, or comes too late.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { leave, refused, reject, stepsOf, take } from "../engine/admit.ts"
import type { CallAttempt } from "../engine/Call.ts"
import { attempted, both } from "../engine/tickets.ts"
import { heard } from "../internal/answers.ts"
import type { Guarded, Reply } from "../Policy.ts"
import { nowOf } from "../internal/time.ts"
import { startTimer } from "../internal/timers.ts"
import type { Ticket } from "../Policy.ts"
import type { StoreError } from "../Rejection.ts"
import type { Step } from "../StoreModel.ts"

// oxlint-disable-next-line typescript/no-explicit-any -- as `Run`
type Admission = Effect.Effect<any, any, any>

export const admit = (given: object, free: boolean, now: number): Admission => {
  const attempt = given as CallAttempt // the engine makes all attempts
  const { call, tickets } = attempt
  if (!free) return refused(attempt, now, false) // not worth a trip
  const steps = stepsOf(tickets)
  if (steps.length === 0) return take(attempt, now)
  attempt.reserve()
  return ask(call.pipeline.store as Guarded, attempt, steps, now) // it brought this very function
}

/** The reports that have to arrive before the question. */
const before = (tickets: ReadonlyArray<Ticket>, now: number): Effect.Effect<void> | undefined => {
  let all: Effect.Effect<void> | undefined
  for (const ticket of tickets) {
    const one = ticket.before?.(now)
    if (one !== undefined) all = all === undefined ? one : Effect.andThen(all, one)
  }
  return all
}

/**
 * What the reply brings is noted when it comes, not when the call reads it: by then the call may have been interrupted, or
 * long have left.
 */
const ask = (store: Guarded, attempt: CallAttempt, steps: ReadonlyArray<Step>, now: number): Admission => {
  const { call } = attempt
  const { deadline, fiber } = call
  const { context } = fiber // of a call that has left, the fiber may have ended
  const reports = before(attempt.tickets, now)
  return Effect.callback((resume) => {
    const cancel =
      deadline === Infinity
        ? () => {}
        : startTimer(fiber, Math.max(1, deadline - now), () =>
            resume(Effect.suspend(() => Effect.fail(call.timeoutOf(true))))
          )
    const ask = () =>
      store.begin(steps, fiber, (exit) => {
        cancel()
        if (exit._tag === "Failure" || !exit.value.allowed) {
          return resume(Effect.suspend(() => notAllowed(attempt, steps, exit)))
        }
        heard(steps, exit.value)
        if (attempt.over) return Effect.runForkWith(context)(giveBack(attempt))
        // a ticket that throws ends its own call, and not the store that answers it
        const failed = attempted(() => attempt.take(nowOf(fiber)))
        resume(failed ?? Effect.suspend(() => proceed(attempt)))
      })
    if (reports === undefined) ask()
    else Effect.runForkWith(context)(reports).addObserver(ask)
    return Effect.sync(cancel)
  })
}

/** While the reply was on its way, what admitted the call may have ended. */
const proceed = (attempt: CallAttempt): Admission => {
  const { call } = attempt
  const now = nowOf(call.fiber)
  return attempt !== call.main && call.left(now) ? leave(attempt) : call.pipeline.inside(attempt, now)
}

const notAllowed = (
  attempt: CallAttempt,
  steps: ReadonlyArray<Step>,
  exit: Exit.Exit<Reply, StoreError>
): Admission => {
  attempt.unreserve()
  if (exit._tag === "Success") {
    heard(steps, exit.value)
    return refused(attempt, nowOf(attempt.call.fiber), true)
  }
  const error = exit.cause.reasons.find(Cause.isFailReason)?.error
  return error === undefined
    ? Effect.failCause(exit.cause as Cause.Cause<never>) // it has no failure
    : reject(attempt, error)
}

/** The exit of a call that has left. */
const GONE = Exit.interrupt()

/** A reply for a call that has left. Its fiber may have ended, and then knows neither clock nor services. */
const giveBack = (attempt: CallAttempt): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const { call } = attempt
    call.fiber = fiber
    const failed = attempted(() => attempt.note(nowOf(fiber)))
    return both(attempt.end("all", GONE, false, "ignored"), failed) ?? Effect.void
  })
