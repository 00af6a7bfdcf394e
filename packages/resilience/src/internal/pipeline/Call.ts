/**
 * One call through the pipeline:
 *
 *     admission -> attempts with backoff, each under a timer -> the outcome, recorded once
 *
 * The finalizer of the call is on the stack before anything is taken, and all that is taken is noted here in the same
 * synchronous step. So wherever the fiber is interrupted, `end` finds what there is to give back.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type { Sink } from "../../Event.ts"
import { fromExit, type Outcome } from "../../Outcome.ts"
import { isRejection, type Rejection, RetryExhausted, TimeoutExceeded } from "../../Rejection.ts"
import type { Driver, OnExhausted, Policy } from "../../RetryPolicy.ts"
import type { CircuitPass } from "../CircuitGate.ts"
import { errorOf } from "../errorOf.ts"
import { emit, sinkOf } from "../events.ts"
import { type Key, nameOf, type ReadKey, readKey } from "../key.ts"
import { nowOf } from "../time.ts"
import { maybeInTransaction, outsideTransactions } from "../transaction.ts"
import { Admission, type Caller } from "./Admission.ts"
import { backOff } from "./backOff.ts"
import { begin, beginsNext } from "./begin.ts"
import { attemptEnded, observed } from "./observed.ts"
import type { CallOptions, Pipeline, PipelineError } from "./Pipeline.ts"
import { withTimer } from "./withTimer.ts"

/** `RetryExhausted` has so many errors at most: the first says what began it, the others are the last ones. */
const MOST_ERRORS = 100

const keepError = (errors: Array<unknown>, error: unknown): void => {
  errors.push(error)
  if (errors.length > MOST_ERRORS) errors.splice(1, 1)
}

/** Runs one call. */
export const run = <A, E, R>(
  pipeline: Pipeline,
  self: Effect.Effect<A, E, R>,
  key: Key,
  options: CallOptions
): Effect.Effect<A, E | PipelineError, R> =>
  Effect.withFiber<A, E | PipelineError, R>((fiber) => {
    const call = new Call(pipeline, self, key, options, fiber)
    const begun = Effect.suspend(() => call.begin())
    const caught =
      call.plain && pipeline.retry !== undefined ? Effect.catchCause(begun, (cause) => call.caught(cause)) : begun
    const run = Effect.onExitPrimitive(caught, (exit) => call.end(exit))
    return maybeInTransaction(fiber) ? outsideTransactions(run) : run
  })

class Call<A, E, R> implements Caller {
  declare readonly pipeline: Pipeline
  declare readonly sink: Sink | undefined
  declare deadline: number
  declare private readonly self: Effect.Effect<A, E, R>
  declare private readonly key: ReadKey
  /** Computed lazily: serialising a record key is slow, and only errors and events need it. */
  declare private named: string | undefined
  declare private readonly options: CallOptions
  declare private readonly fiber: Fiber.Fiber<unknown, unknown>
  declare private startedAt: number
  /** The admission whose outcome is still to be reported. */
  declare private admission: Admission | undefined
  declare private pass: CircuitPass | undefined
  /** A later attempt's own slot. */
  declare private slot: Admission | undefined
  declare private driver: Driver<unknown> | undefined
  /** Of all attempts, where the last error is to be wrapped. */
  declare private errors: Array<unknown> | undefined
  declare private attempts: number
  /** Whether the first attempt may be nothing but the effect itself: nobody watches the time that it takes. */
  declare readonly plain: boolean
  /** Whether it was, and its end is still to be seen: by `caught`, or at the call's end. */
  declare private unseen: boolean
  declare private begunAt: number
  declare private started: boolean
  declare private timedOut: boolean
  /** The last timeout of this call's own: no function of the user knows it. */
  declare private timeout: TimeoutExceeded | undefined
  /** A function of the user threw: the call tells nothing about the dependency. */
  declare private broken: boolean
  declare private lastExit: Exit.Exit<never, E | PipelineError> | undefined
  declare private outcome: Outcome | undefined

  constructor(
    pipeline: Pipeline,
    self: Effect.Effect<A, E, R>,
    key: Key,
    options: CallOptions,
    fiber: Fiber.Fiber<unknown, unknown>
  ) {
    this.pipeline = pipeline
    this.self = self
    this.key = readKey(key)
    this.named = undefined
    this.options = options
    this.fiber = fiber
    this.sink = sinkOf(fiber)
    this.plain = Math.min(pipeline.timeout, pipeline.attemptTimeout) === Infinity
    this.unseen = false
    this.deadline = Infinity
    this.startedAt = this.begunAt = -1
    this.admission = undefined
    this.pass = undefined
    this.slot = undefined
    this.driver = undefined
    this.errors = pipeline.retry?.onExhausted === "wrap" ? [] : undefined
    this.attempts = 0
    this.started = false
    this.timedOut = false
    this.timeout = undefined
    this.broken = false
    this.lastExit = undefined
    this.outcome = undefined
  }

  get name(): string {
    return (this.named ??= nameOf(this.key))
  }

  begin(): Effect.Effect<A, E | PipelineError, R> {
    this.startedAt = nowOf(this.fiber)
    this.deadline = this.startedAt + this.pipeline.timeout
    return this.attempt(1, this.startedAt)
  }

  /** Whatever comes out of `begin`: of an attempt that has no handler of its own, or the end of all others. */
  caught(cause: Cause.Cause<E | PipelineError>): Effect.Effect<A, E | PipelineError, R> {
    if (!this.unseen) return Effect.failCause(cause)
    this.see(Exit.failCause(cause), nowOf(this.fiber))
    return this.failed(cause as Cause.Cause<E>, 1, this.pipeline.retry!) // nothing of ours fails in a plain attempt
  }

  /** A plain attempt has ended. */
  private see(exit: Exit.Exit<unknown, unknown>, now: number): void {
    this.unseen = false
    if (this.sink !== undefined) attemptEnded(this.sink, this, 1, exit, now - this.begunAt, this.fiber)
  }

  private attempt(n: number, now: number): Effect.Effect<A, E | PipelineError, R> {
    const { pipeline } = this
    const whole = this.admission === undefined || pipeline.perAttempt
    if (!whole && pipeline.slots === undefined) return this.runAttempt(n, now)
    const admission = this.admissionFor(n, whole)
    const admitted = admission.request(now)
    return admitted === Effect.void ? this.admitted(n, whole, now) : this.waiting(admitted, n, whole)
  }

  private waiting(
    admitted: Effect.Effect<void, Rejection | TimeoutExceeded>,
    n: number,
    whole: boolean
  ): Effect.Effect<A, E | PipelineError, R> {
    return Effect.matchEffect(admitted, {
      onFailure: (error) => this.notAdmitted(error, n, whole),
      onSuccess: () => this.admitted(n, whole, nowOf(this.fiber))
    })
  }

  private admitted(n: number, whole: boolean, now: number): Effect.Effect<A, E | PipelineError, R> {
    // while a further attempt waits for its slot, the circuit that admitted the call may move
    return !whole && this.moved(now) ? this.lastExit! : this.runAttempt(n, now)
  }

  /** Whether the circuit has left the generation that admitted the call. */
  private moved(now: number): boolean {
    return this.pass?.left(now, this.sink) === true
  }

  private admissionFor(n: number, whole: boolean): Admission {
    const { fiber, key, options, pipeline } = this
    if (!whole) return (this.slot = new Admission(this, n, undefined, this.pass, undefined, fiber))
    const pass = (this.pass = pipeline.circuit?.pass(key, fiber))
    const entry = pipeline.limits?.entry(key, options.cost, options.maxWait)
    this.started = false
    return (this.admission = new Admission(this, n, pass, pass, entry, fiber))
  }

  /** The first refusal is the call's answer. A later one only means that there is no further attempt. */
  private notAdmitted(
    error: Rejection | TimeoutExceeded,
    n: number,
    whole: boolean
  ): Effect.Effect<A, E | PipelineError, R> {
    if (error instanceof TimeoutExceeded) {
      this.timedOut = true
      this.timeout = error
      return Effect.fail(error)
    }
    if (!whole) return this.lastExit! // of the attempt before
    const { retry } = this.pipeline
    const exit = this.lastExit ?? Exit.fail(error)
    if (retry === undefined || !this.ask(() => retry.retries(error))) return exit
    this.lastExit = exit
    if (this.errors !== undefined) keepError(this.errors, error)
    this.admission = this.pass = undefined
    return n < retry.maxAttempts ? this.again(exit, error, n) : this.exhausted(exit)
  }

  private runAttempt(n: number, now: number): Effect.Effect<A, E | PipelineError, R> {
    const { attemptTimeout, retry } = this.pipeline
    this.attempts = n
    // with the fiber's next operation the effect begins: what an interruption finds is that it has
    if (this.plain && n === 1 && beginsNext(this.fiber)) {
      this.started = this.unseen = true
      this.begunAt = now
      return this.self
    }
    const timed = this.timed(attemptTimeout, now)
    const seen = this.sink === undefined ? timed : observed(timed, this, n, now, this.fiber, this.sink)
    return retry === undefined ? seen : Effect.catchCause(seen, (cause) => this.failed(cause, n, retry))
  }

  private timed(attemptTimeout: number, now: number): Effect.Effect<A, E | TimeoutExceeded, R> {
    const onBegin = () => {
      this.started = true
    }
    const left = this.deadline - now
    const millis = Math.min(attemptTimeout, left)
    return millis === Infinity
      ? begin(this.self, onBegin)
      : withTimer(this.self, this.fiber, millis, onBegin, () => this.timeoutOf(left <= attemptTimeout))
  }

  private timeoutOf(wholeCall: boolean): TimeoutExceeded {
    if (wholeCall) this.timedOut = true
    const { attemptTimeout, timeout } = this.pipeline
    this.timeout = new TimeoutExceeded({
      service: this.pipeline.id,
      key: this.name,
      scope: wholeCall ? "call" : "attempt",
      timeoutMillis: wholeCall ? timeout : attemptTimeout
    })
    return this.timeout
  }

  private failed(
    cause: Cause.Cause<E | TimeoutExceeded>,
    n: number,
    retry: Policy<unknown, OnExhausted>
  ): Effect.Effect<A, E | PipelineError, R> {
    const exit = (this.lastExit = Exit.failCause(cause))
    this.slot?.releaseSlot()
    this.admission!.releaseSlot() // it is what let the attempt through
    const reported = this.pipeline.perAttempt ? this.report(exit) : undefined
    const next = (): Effect.Effect<A, E | PipelineError, R> => {
      const fail = cause.reasons.find(Cause.isFailReason)
      if (fail === undefined || cause.reasons.some(Cause.isDieReason) || this.timedOut || this.pass?.probe) return exit
      const error = fail.error
      if (this.errors !== undefined) keepError(this.errors, error)
      const worthwhile = error === this.timeout || this.ask(() => retry.retries(error))
      if (!worthwhile) return exit
      return n < retry.maxAttempts ? this.again(exit, error, n) : this.exhausted(exit)
    }
    if (reported === undefined) return next()
    // begun in the same step that ends the admission: an interruption ends the wait for it, and not the report
    const report = Effect.runForkWith(this.fiber.context)(reported)
    return Effect.flatMap(Fiber.join(report), next)
  }

  private exhausted(exit: Exit.Exit<never, E | PipelineError>): Effect.Effect<never, E | PipelineError> {
    const { attempts, errors, name: key } = this
    return errors === undefined
      ? exit
      : Effect.fail(new RetryExhausted({ service: this.pipeline.id, key, attempts, errors }))
  }

  /** Waits for the next attempt, unless there is none. */
  private again(
    exit: Exit.Exit<never, E | PipelineError>,
    error: unknown,
    n: number
  ): Effect.Effect<A, E | PipelineError, R> {
    const { fiber, pipeline, sink } = this
    if (this.moved(nowOf(fiber))) return exit
    this.driver ??= pipeline.retry!.driver()
    const draw = () => fiber.getRef(Random.Random).nextDoubleUnsafe()
    const delay = this.ask(() => this.driver!.next(error, n, nowOf(fiber), draw))
    const after = (delay: number | undefined): Effect.Effect<A, E | PipelineError, R> => {
      if (delay === undefined) return this.exhausted(exit)
      if (sink !== undefined) {
        emit(sink, { _tag: "RetryScheduled", service: pipeline.id, key: this.name, attempt: n, delay }, fiber)
      }
      const left = this.deadline - nowOf(fiber)
      return Effect.flatMap(backOff(fiber, Math.min(delay, left), this.pass), () => {
        const now = nowOf(fiber)
        if (this.moved(now)) return exit
        return delay >= left ? Effect.fail(this.timeoutOf(true)) : this.attempt(n + 1, now)
      })
    }
    return Effect.isEffect(delay) ? Effect.flatMap(this.guard(delay), after) : after(delay)
  }

  /** A function of the user: what it throws ends the call, and is not held against the dependency. */
  private ask<B>(f: () => B): B {
    try {
      return f()
    } catch (defect) {
      this.broken = true
      throw defect
    }
  }

  private guard<B>(self: Effect.Effect<B>): Effect.Effect<B> {
    return Effect.onExitPrimitive(self, (exit) => void (this.broken ||= exit._tag === "Failure"))
  }

  private outcomeOf(exit: Exit.Exit<A, E | PipelineError>): Outcome {
    if (this.broken || !this.started) return "ignored"
    if (exit._tag === "Failure") {
      if (Cause.hasInterruptsOnly(exit.cause)) return "ignored"
      const error = errorOf(exit.cause)
      if (error !== undefined && error === this.timeout) return "failure"
      if (isRejection(error)) return fromExit(exit)
      // this call's own: it wraps the exit of the last attempt
      if (error instanceof RetryExhausted && error.errors === this.errors) return this.outcomeOf(this.lastExit!)
    }
    const classify = this.options.classify ?? this.pipeline.classify
    return classify === undefined ? fromExit(exit) : this.ask(() => classify(exit))
  }

  /** What a failure asks the circuit for, where there is one. */
  private hintOf(exit: Exit.Exit<unknown, unknown>): number {
    const error = exit._tag === "Failure" ? errorOf(exit.cause) : undefined
    return error === undefined
      ? 0
      : this.ask(() => this.pipeline.circuit!.hintOf(error) ?? this.pipeline.retry?.hintOf(error) ?? 0)
  }

  /** Reports the outcome of what was admitted, once. */
  private report(exit: Exit.Exit<A, E | PipelineError>): Effect.Effect<void> | undefined {
    const { admission, started } = this
    if (admission?.admitted !== true) return admission?.end("ignored", 0, started)
    try {
      const outcome = (this.outcome = this.outcomeOf(exit))
      const asks = outcome === "failure" || outcome === "throttled"
      const hint = asks && this.pass !== undefined ? this.hintOf(exit) : 0
      return admission.end(outcome, hint, started)
    } catch (defect) {
      this.outcome = "ignored"
      const given = admission.end("ignored", 0, started)
      return given === undefined ? Effect.die(defect) : Effect.andThen(given, Effect.die(defect))
    }
  }

  end(exit: Exit.Exit<A, E | PipelineError>): Effect.Effect<void> | undefined {
    const { fiber, pipeline, sink } = this
    const now = sink === undefined ? 0 : nowOf(fiber)
    if (this.unseen) this.see(exit, now)
    this.slot?.end("ignored", 0, true)
    const reported = this.report(exit)
    if (sink !== undefined) {
      emit(
        sink,
        {
          _tag: "CallEnded",
          service: pipeline.id,
          key: this.name,
          outcome: this.outcome ?? "ignored",
          attempts: this.attempts,
          duration: this.startedAt < 0 ? 0 : now - this.startedAt,
          timedOut: this.timedOut,
          rejected: this.attempts === 0 && exit._tag === "Failure" && isRejection(errorOf(exit.cause))
        },
        fiber
      )
    }
    return reported
  }
}
