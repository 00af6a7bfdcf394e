/**
 * The loop of attempts, as a layer: it stands around the admission, since a call that was refused may be tried again, too.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Option } from "effect/Option"
import * as Random from "effect/Random"
import { emit } from "../internal/events.ts"
import { nowOf } from "../internal/time.ts"
import { type Attempt, type Call, type Member, type Run, Stage } from "../Policy.ts"
import { RetryExhausted, TimeoutExceeded } from "../Rejection.ts"
import type { Account, RetryBudgetService } from "../RetryBudget.ts"
import { backOff } from "./backOff.ts"
import type { Driver } from "./driver.ts"
import { Metadata } from "./Metadata.ts"

type AnyCause = Cause.Cause<unknown>
/** What ends the call if no attempt follows: an error, or a value that the policy rejected. */
type Failed = Exit.Exit<unknown, unknown>

/** What a call may say of its own retries: it narrows what the policy says. */
export interface OwnRetry {
  readonly while?: ((error: never) => boolean) | undefined
  readonly retryAfter?: ((error: never) => Option<Duration.Input>) | undefined
}

/** What the loop asks of a policy. */
interface LoopPolicy {
  readonly maxAttempts: number
  readonly onExhausted: "last" | "wrap"
  readonly retries: (error: unknown, own: OwnRetry) => boolean
  readonly retriesTimeout: (error: TimeoutExceeded, own: OwnRetry) => boolean
  /** Whether timeouts are not repeated for the reason alone that there is a `while`. */
  readonly timeoutsLeftOut: (own: OwnRetry) => boolean
  /** Whether a value is worth another attempt; `undefined` where no value is. */
  readonly rejects: ((value: unknown) => boolean) | undefined
  /** Milliseconds that an error asks to be left alone for, and how many of them the call waits at most. */
  readonly hintOf: (error: unknown, own: OwnRetry) => number
  readonly maxRetryAfter: number
  /** Whether a call that is asked to wait longer than that asks earlier, and does not end. */
  readonly cutsRetryAfter: boolean
  readonly driver: () => Driver<unknown>
}

/** `RetryExhausted` has so many errors at most: the first says what began it, the others are the last ones. */
const MOST_ERRORS = 100

const NOTHING: OwnRetry = {}

/** What the call says of its retries; `callOptions` has read it. */
const ownOf = ({ own }: Call): OwnRetry | false | undefined => own["retry"] as OwnRetry | false | undefined

/** What one call has been through. Made when its first attempt has failed. */
class Loop {
  readonly policy: LoopPolicy
  readonly call: Call
  readonly next: Run
  readonly driver: Driver<unknown>
  readonly own: OwnRetry
  private readonly account: Account | undefined
  private readonly errors: Array<unknown> = []
  private readonly metadata = new Metadata()
  private paused = false
  /** Of the last attempt that failed, or of the first refusal. */
  private last: Failed | undefined

  constructor(policy: LoopPolicy, call: Call, next: Run, account?: Account) {
    this.account = account
    this.policy = policy
    this.call = call
    this.next = next
    this.driver = policy.driver()
    this.own = ownOf(call) || NOTHING // a call without retries has no loop
  }

  failed(attempt: Attempt, cause: AnyCause): ReturnType<Run> {
    this.account?.ended(attempt)
    if (!attempt.admitted) return this.notAdmitted(attempt, cause)
    const exit = (this.last = Exit.failCause(cause))
    return this.ended(attempt, exit, () => this.decide(attempt, exit, cause))
  }

  /** The attempt has succeeded with a value that is worth another one. */
  rejected(attempt: Attempt, value: unknown): ReturnType<Run> {
    const { call } = this
    this.account?.ended(attempt)
    const exit = (this.last = Exit.succeed(value))
    call.rejected = { value }
    return this.ended(attempt, exit, () => (call.timedOut || call.single ? exit : this.again(attempt, exit, value)))
  }

  private ended(attempt: Attempt, exit: Failed, then: () => ReturnType<Run>): ReturnType<Run> {
    const { call } = this
    const ended = call.endAttempt(attempt, exit)
    if (ended === undefined) return then()
    // begun in the same step that ends the admission: an interruption ends the wait for it, and not the report
    const report = Effect.runForkWith(call.fiber.context)(ended)
    return Effect.flatMap(Fiber.join(report), then)
  }

  private decide(attempt: Attempt, exit: Failed, cause: AnyCause): ReturnType<Run> {
    const { call, policy } = this
    const fail = cause.reasons.find(Cause.isFailReason)
    if (fail === undefined || cause.reasons.some(Cause.isDieReason) || call.timedOut || call.single) return exit
    const { error } = fail
    this.keep(error)
    if (!(error instanceof TimeoutExceeded) || error !== call.timeout) {
      return call.ask(() => policy.retries(error, this.own)) ? this.again(attempt, exit, error) : exit
    }
    if (call.ask(() => policy.retriesTimeout(error, this.own))) return this.again(attempt, exit, error)
    error.notRepeated = policy.timeoutsLeftOut(this.own) && attempt.n < policy.maxAttempts
    return exit
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
    if (!call.ask(() => policy.retries(error, this.own))) return answer
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
    if (policy.onExhausted !== "wrap" || exit._tag === "Success") return exit
    const { attempts, name: key, service } = call
    const error = new RetryExhausted({ service, key, attempts, errors })
    call.reports(error, exit)
    return Exit.fail(error)
  }

  /** Waits for the next attempt, unless there is none, or the deadline comes before it. */
  private again(failed: Attempt, exit: Failed, error: unknown): ReturnType<Run> {
    const { call, driver, policy } = this
    const { fiber, sink } = call
    const { n } = failed
    if (n >= policy.maxAttempts) return this.exhausted(exit)
    if (call.left(nowOf(fiber))) return exit
    const asked = call.ask(() => policy.hintOf(error, this.own))
    if (asked > policy.maxRetryAfter && !policy.cutsRetryAfter) return exit
    const hint = Math.min(asked, policy.maxRetryAfter)
    const draw = () => fiber.getRef(Random.Random).nextDoubleUnsafe()
    const own = call.ask(() => driver.next(error, n, nowOf(fiber), draw))
    const after = (own: number | undefined): ReturnType<Run> => {
      if (own === undefined) return this.exhausted(exit)
      const failedAt = nowOf(fiber)
      const left = call.waitsUntil(failedAt) - failedAt
      // all whose error asked for the same time must not come back in the same millisecond
      const spread = hint === 0 ? 0 : Math.floor((draw() * hint) / 10)
      const delay = hint === 0 ? own : Math.min(hint + spread + own, left - 1)
      if (delay >= left || hint >= left) return exit
      if (this.account?.reserve(failed, asked > 0, failedAt) === false) return exit
      if (sink !== undefined) {
        emit(sink, { _tag: "RetryScheduled", service: call.service, key: call.name, attempt: n, error, delay }, fiber)
      }
      return Effect.flatMap(delay > 0 ? backOff(call, delay) : this.turn(), () => {
        const now = nowOf(fiber)
        if (call.left(now)) return exit
        const context = this.metadata.next(error, delay, failedAt, now, fiber)
        const attempt = call.further(n + 1, 0, context)
        this.account?.begins(attempt)
        return this.round(attempt, now)
      })
    }
    return Effect.isEffect(own) ? Effect.flatMap(call.guard(own), after) : after(own)
  }

  /**
   * Without a delay, the fiber yields once: what runs it can interrupt it only when it has paused for the first time. From then
   * on, an interruption is seen before the next attempt begins.
   */
  private turn(): Effect.Effect<void> {
    if (this.paused) return Effect.void
    this.paused = true
    return Effect.yieldNow
  }

  private round(attempt: Attempt, now: number): ReturnType<Run> {
    const { rejects } = this.policy
    this.call.rejected = undefined
    const run = this.next(attempt, now)
    if (rejects !== undefined) return judged(rejects, run, attempt, () => this)
    return Effect.catchCause(run, (cause) => this.failed(attempt, cause))
  }
}

/** Runs an attempt, and goes on with the loop where another one may follow. */
const judged = (
  rejects: NonNullable<LoopPolicy["rejects"]>,
  run: ReturnType<Run>,
  attempt: Attempt,
  loop: () => Loop
): ReturnType<Run> =>
  Effect.matchCauseEffect(run, {
    onFailure: (cause) => loop().failed(attempt, cause),
    onSuccess: (value) =>
      attempt.call.ask(() => rejects(value)) ? loop().rejected(attempt, value) : Effect.succeed(value)
  })

export const loop = (policy: LoopPolicy, hint: Member["hint"], budget?: RetryBudgetService): Member => ({
  kind: "retry",
  stage: Stage.retry,
  hint,
  around: (next) => {
    const looped =
      (account?: Account): Run =>
      (attempt, now) => {
        const run = next(attempt, now)
        if (ownOf(attempt.call) === false) return run
        // most policies judge no value: then one function is all that a call makes here
        if (policy.rejects === undefined) {
          return Effect.catchCause(run, (cause) => new Loop(policy, attempt.call, next, account).failed(attempt, cause))
        }
        return judged(policy.rejects, run, attempt, () => new Loop(policy, attempt.call, next, account))
      }
    return budget === undefined ? looped() : budget.around(looped)
  }
})
