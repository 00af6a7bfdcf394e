/**
 * One timer around one attempt.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import { ambientOf } from "../internal/ambient.ts"
import { nowOf } from "../internal/time.ts"
import { startTimer } from "../internal/timers.ts"
import type { TimeoutExceeded } from "../Rejection.ts"
import type { CallAttempt, WholeCall } from "./Call.ts"
import { AttemptDeadline, type Deadline } from "./Deadline.ts"
import { exitOf, outcomeOf } from "./outcome.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** How soon a fiber that could not be interrupted is looked at again: 2 ms, then twice as long, up to 100 ms. */
const FIRST_LOOK = 2
const LAST_LOOK = 100

/**
 * Runs the effect in a fiber of its own, so that it can be interrupted without the call, and fails with `TimeoutExceeded`
 * when it took too long. The fiber starts at once: an effect that ends synchronously never sets a timer. As with
 * Effect's own timeout, its finalizers are awaited; a defect in one of them is not swallowed.
 *
 * An effect that is in an uninterruptible region when the time is up is interrupted when it has left it. If it ends there,
 * what it ended with is the attempt's: an interruption would make Effect throw a result away that cannot be undone.
 */
export const withTimer = (
  self: Effect.Effect<unknown, unknown, unknown>,
  attempt: CallAttempt,
  begunAt: number,
  onBegin: () => void
): Effect.Effect<unknown, unknown, unknown> =>
  // forked inside the callback, in the same step that registers its cancellation: no interruption fits between
  Effect.callback<unknown, unknown>((resume) => {
    const { call } = attempt
    const { deadline, fiber: parent, outer, pipeline } = call
    const left = deadline - begunAt
    const isCalls = left <= pipeline.longest.attempt
    const millis = Math.min(pipeline.longest.attempt, left)
    if (millis <= 0) return resume(Effect.fail(call.timeoutOf(true)))
    const counts = begins(call, millis, begunAt)
    onBegin()
    const { clock } = ambientOf(parent)
    const own: Deadline = { at: Math.min(begunAt + millis, outer), clock, over: false }
    const context = Context.add(parent.context, AttemptDeadline, own)
    // the parent's fiber has all that `self` requires, or it could not run this
    const child = Effect.runForkWith(context)(self as Effect.Effect<unknown, unknown>, dispatchedBy(parent))
    const done = child.pollUnsafe()
    if (done !== undefined) {
      own.over = true
      if (counts && done._tag === "Success") took(call, begunAt)
      return resume(done)
    }
    let timeout: TimeoutExceeded | undefined
    let interrupted = false
    const interrupt = (again: number) => {
      interrupted = isInterruptible(child)
      if (interrupted) child.interruptUnsafe(parent.id)
      else cancel = startTimer(parent, again, () => interrupt(Math.min(LAST_LOOK, 2 * again)))
    }
    let cancel = startTimer(parent, millis, () => {
      timeout = timesOut(attempt, isCalls, counts)
      interrupt(FIRST_LOOK)
    })
    child.addObserver((exit) => {
      cancel()
      own.over = true
      if (timeout === undefined) {
        if (counts && exit._tag === "Success") took(call, begunAt)
        return resume(exit)
      }
      const died = exit._tag === "Failure" && exit.cause.reasons.some(Cause.isDieReason)
      resume(!interrupted || died ? exit : Exit.fail(timeout))
    })
    return Effect.suspend(() => {
      cancel()
      return Effect.asVoid(Fiber.interrupt(child))
    })
  })

/** An attempt begins, and may take `millis`. Answers whether the time that it takes counts for the estimate. */
const begins = (call: WholeCall, millis: number, now: number): boolean => {
  const { expected } = call.pipeline
  if (expected === undefined) {
    call.hadTime = true
    return false
  }
  const estimate = millis >= expected.cap ? 0 : expected.at(now)
  // without an estimate, an attempt that begins at once has all the time that there is
  if (millis >= (estimate ?? Math.min(expected.cap, call.deadline - call.startedAt))) call.hadTime = true
  return estimate === undefined || millis >= estimate
}

/** An attempt that counts has succeeded. */
const took = ({ fiber, pipeline }: WholeCall, begunAt: number): void => {
  const now = nowOf(fiber)
  pipeline.expected!.add(now - begunAt, now) // without an estimate, none counts
}

/**
 * The time of an attempt is up. What this decides for the circuit is reported now, since the body may take long to end, or
 * never do.
 */
const timesOut = (attempt: CallAttempt, wholeCall: boolean, counts: boolean): TimeoutExceeded => {
  const { call } = attempt
  const { expected, perAttempt } = call.pipeline
  const error = call.timeoutOf(wholeCall)
  if (counts) expected!.add(Infinity, nowOf(call.fiber)) // as for `took`
  const due = perAttempt ? attempt : wholeCall ? call.main : undefined
  if (due?.isOpen === true) recordNow(due, due === attempt, Exit.fail(error))
  return error
}

/** Reports the outcome of an attempt whose body still runs. `isLast`: further attempts of the call have tickets of their own. */
const recordNow = (due: CallAttempt, isLast: boolean, exit: Exit.Exit<never, unknown>): void => {
  const { call } = due
  const { context } = call.fiber
  try {
    call.outcome = outcomeOf(call, exit, due.started)
  } catch {
    return // a function of the user threw: it will again when the call ends, and is reported there
  }
  due.recorded = true
  const { outcome } = call
  const told = exitOf(call, exit)
  due.tickets.forEach((ticket, i) => {
    if (ticket.record === undefined || (!isLast && due.gates[i]!.scope === "attempt")) return
    const reported = Effect.suspend(() => ticket.record!(outcome, told) ?? Effect.void)
    // not awaited: a defect in it has no call to end
    Effect.runForkWith(context)(Effect.ignoreCause(reported, { log: "Unhandled", message: "A report threw" }))
  })
}

/** The field is not in Effect's type of a fiber. Where it is missing, the fiber is interrupted at once. */
const isInterruptible = (fiber: AnyFiber): boolean =>
  (fiber as { readonly interruptible?: boolean }).interruptible !== false

/** `Effect.runSync` drains only the dispatcher of the fiber it started, so a child must not have another. */
const dispatchedBy = (parent: AnyFiber): { readonly scheduler?: Scheduler.Scheduler } => {
  const scheduler = parent.getRef(Scheduler.Scheduler)
  if (scheduler.executionMode !== "sync") return {}
  return {
    scheduler: {
      executionMode: "sync",
      shouldYield: (fiber) => scheduler.shouldYield(fiber),
      makeDispatcher: () => parent.currentDispatcher
    }
  }
}
