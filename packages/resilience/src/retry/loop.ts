/**
 * The loop of attempts, as a layer: it stands around the admission, since a call that was refused may be tried again, too.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import { emit } from "../internal/events.ts"
import { nowOf } from "../internal/time.ts"
import { type Attempt, type Call, type Member, type Run, Stage } from "../Policy.ts"
import { RetryExhausted } from "../Rejection.ts"
import { backOff } from "./backOff.ts"
import type { Driver } from "./driver.ts"

type AnyCause = Cause.Cause<unknown>
type Failed = Exit.Exit<never, unknown>

/** What the loop asks of a policy. */
interface LoopPolicy {
  readonly maxAttempts: number
  readonly onExhausted: "last" | "wrap"
  readonly retries: (error: unknown) => boolean
  readonly driver: () => Driver<unknown>
}

/** `RetryExhausted` has so many errors at most: the first says what began it, the others are the last ones. */
const MOST_ERRORS = 100

/** What one call has been through. Made when its first attempt has failed. */
class Loop {
  readonly policy: LoopPolicy
  readonly call: Call
  readonly next: Run
  readonly driver: Driver<unknown>
  private readonly errors: Array<unknown> = []
  /** Of the last attempt that failed, or of the first refusal. */
  private last: Failed | undefined

  constructor(policy: LoopPolicy, call: Call, next: Run) {
    this.policy = policy
    this.call = call
    this.next = next
    this.driver = policy.driver()
  }

  failed(attempt: Attempt, cause: AnyCause): ReturnType<Run> {
    const { call } = this
    if (!attempt.admitted) return this.notAdmitted(attempt, cause)
    const exit = (this.last = Exit.failCause(cause))
    const ended = call.endAttempt(attempt, exit)
    if (ended === undefined) return this.decide(attempt, exit)
    // begun in the same step that ends the admission: an interruption ends the wait for it, and not the report
    const report = Effect.runForkWith(call.fiber.context)(ended)
    return Effect.flatMap(Fiber.join(report), () => this.decide(attempt, exit))
  }

  private decide(attempt: Attempt, exit: Failed): ReturnType<Run> {
    const { call, policy } = this
    const { cause } = exit as Exit.Failure<never, unknown> // all that comes here failed
    const fail = cause.reasons.find(Cause.isFailReason)
    if (fail === undefined || cause.reasons.some(Cause.isDieReason) || call.timedOut || call.single) return exit
    const { error } = fail
    this.keep(error)
    const worthwhile = error === call.timeout || call.ask(() => policy.retries(error))
    return worthwhile ? this.again(attempt, exit, error) : exit
  }

  /** The first refusal is the call's answer. A later one only means that there is no further attempt. */
  private notAdmitted(attempt: Attempt, cause: AnyCause): ReturnType<Run> {
    const { call, last, policy } = this
    const exit = Exit.failCause(cause)
    const fail = cause.reasons.find(Cause.isFailReason)
    if (fail === undefined || call.timedOut) return exit
    if (last !== undefined && !call.isMain(attempt)) return last
    const { error } = fail
    const answer = last ?? exit
    if (!call.ask(() => policy.retries(error))) return answer
    this.last = answer
    this.keep(error)
    return this.again(attempt, answer, error)
  }

  private keep(error: unknown): void {
    if (this.policy.onExhausted !== "wrap") return
    this.errors.push(error)
    if (this.errors.length > MOST_ERRORS) this.errors.splice(1, 1)
  }

  private exhausted(exit: Failed): Failed {
    const { call, errors, policy } = this
    if (policy.onExhausted !== "wrap") return exit
    const { attempts, name: key, service } = call
    const error = new RetryExhausted({ service, key, attempts, errors })
    call.reports(error, exit)
    return Exit.fail(error)
  }

  /** Waits for the next attempt, unless there is none. */
  private again({ n }: Attempt, exit: Failed, error: unknown): ReturnType<Run> {
    const { call, driver, policy } = this
    const { fiber, sink } = call
    if (n >= policy.maxAttempts) return this.exhausted(exit)
    if (call.left(nowOf(fiber))) return exit
    const draw = () => fiber.getRef(Random.Random).nextDoubleUnsafe()
    const delay = call.ask(() => driver.next(error, n, nowOf(fiber), draw))
    const after = (delay: number | undefined): ReturnType<Run> => {
      if (delay === undefined) return this.exhausted(exit)
      if (sink !== undefined) {
        emit(sink, { _tag: "RetryScheduled", service: call.service, key: call.name, attempt: n, error, delay }, fiber)
      }
      const left = call.deadline - nowOf(fiber)
      return Effect.flatMap(backOff(call, Math.min(delay, left)), () => {
        const now = nowOf(fiber)
        if (call.left(now)) return exit
        return delay >= left ? Effect.fail(call.timeoutOf(true)) : this.round(call.further(n + 1, 0), now)
      })
    }
    return Effect.isEffect(delay) ? Effect.flatMap(call.guard(delay), after) : after(delay)
  }

  private round(attempt: Attempt, now: number): ReturnType<Run> {
    return Effect.catchCause(this.next(attempt, now), (cause) => this.failed(attempt, cause))
  }
}

export const loop = (policy: LoopPolicy, hint: Member["hint"]): Member => ({
  kind: "retry",
  stage: Stage.retry,
  hint,
  around: (next) => (attempt, now) =>
    Effect.catchCause(next(attempt, now), (cause) => new Loop(policy, attempt.call, next).failed(attempt, cause))
})
