/**
 * The one decision to let a call, or an attempt, run.
 *
 * Circuit, limits and bulkhead are asked in one step; whatever refuses, nothing is spent anywhere. A call that may wait
 * stands in the queue of the member with the longest wait and asks again, for everything, when it is woken.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Sink } from "../../Event.ts"
import type { LimiterDecision } from "../../kernel/Limiter.ts"
import type { BreakerDecision } from "../../kernel/Breaker.ts"
import { type Rejection, type StoreError, TimeoutExceeded } from "../../Rejection.ts"
import type { Committed, Step, Store } from "../../Store.ts"
import type { CircuitPass } from "../CircuitGate.ts"
import { emit } from "../events.ts"
import type { LimitEntry } from "../LimitGate.ts"
import type { SlotGate } from "../SlotGate.ts"
import { nowOf, startTimer } from "../time.ts"
import { Waiter } from "../WaitQueue.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>
type LimitAnswer = LimiterDecision<unknown>

export interface AdmissionOptions {
  readonly service: string
  readonly key: string
  readonly attempt: number
  readonly store: Store["Service"]
  readonly pass: CircuitPass | undefined
  /** The permit of the call. Where it is not asked for, as for the slot of a further attempt, its circuit may move. */
  readonly watched: CircuitPass | undefined
  readonly entry: LimitEntry | undefined
  readonly slots: SlotGate | undefined
  /** The end of the whole call; no wait is longer. */
  readonly deadline: number
  readonly timeout: number
  readonly fiber: AnyFiber
  readonly sink: Sink | undefined
}

/** What a step answers that was not asked: nothing stands against it but those who wait already. */
const NOT_ASKED: LimitAnswer = { allowed: true, retryAfter: 0, remaining: 0, resetAfter: 0, receipt: undefined }

export class Admission {
  admitted = false
  private options: AdmissionOptions
  private readonly steps: ReadonlyArray<Step>
  private limitAnswers: ReadonlyArray<LimitAnswer | undefined> = []
  private slot = false
  private waiter: Waiter | undefined
  private unwatch: (() => void) | undefined
  private arrivedAt = -1
  private over = false

  constructor(options: AdmissionOptions) {
    this.options = options
    const { entry, pass } = options
    this.steps =
      pass === undefined ? (entry?.steps ?? []) : entry === undefined ? [pass.step] : [pass.step, ...entry.steps]
  }

  /** Succeeds once admitted. Nothing is held before, and whatever is held is given back by `end`. */
  request(): Effect.Effect<void, Rejection | TimeoutExceeded> {
    const { entry, fiber, pass, sink, slots, store, watched } = this.options
    const now = nowOf(fiber)
    if (pass === undefined && watched?.left(now, sink) === true) {
      this.leave() // with nothing: the caller looks, too
      return Effect.void
    }
    if (this.arrivedAt < 0) this.arrivedAt = now
    entry?.asks()
    const blocked = entry?.blocked(this.waiter) === true || slots?.blocked(this.waiter) === true
    if (store.sync === undefined) return this.requestElsewhere(blocked, now)
    pass?.gate.feedSync(pass.step.key, now, sink, fiber)
    if (this.steps.length === 0) return blocked ? this.refused([], now) : this.take([], now)
    const { allowed, answers } = store.sync.commit(this.steps, now, !blocked)
    return allowed && !blocked ? this.take(answers, now) : this.refused(answers, now)
  }

  private requestElsewhere(blocked: boolean, now: number): Effect.Effect<void, Rejection | TimeoutExceeded> {
    const { fiber, key, slots, timeout } = this.options
    if (this.steps.length === 0) return blocked ? this.refused([], now) : this.take([], now)
    if (blocked)
      return this.refused(
        this.steps.map(() => NOT_ASKED),
        now
      )
    if (slots !== undefined) {
      slots.take() // or a call of this process could take it during the trip
      this.slot = true
    }
    return Effect.flatMap(this.trip(now), (exit) => {
      if (exit === undefined) {
        this.releaseSlot()
        this.leave()
        return Effect.fail(new TimeoutExceeded({ key, scope: "call", timeoutMillis: timeout }))
      }
      if (exit._tag === "Failure") {
        this.releaseSlot()
        const error = exit.cause.reasons.find(Cause.isFailReason)?.error
        return error === undefined ? Effect.failCause(exit.cause) : this.reject(error)
      }
      if (exit.value.allowed) return this.proceed(nowOf(fiber))
      this.releaseSlot()
      return this.refused(exit.value.answers, nowOf(fiber))
    })
  }

  /**
   * Asks a store elsewhere; `undefined` when the call's time is over first. What the reply brings is noted when it
   * comes, not when the call reads it: by then the call may have been interrupted, or long have left.
   */
  private trip(now: number): Effect.Effect<Exit.Exit<Committed<ReadonlyArray<Step>>, StoreError> | undefined> {
    const { deadline, fiber, pass, sink, store } = this.options
    const fed = pass?.gate.feed(pass.step.key, now, sink, fiber)
    const commit = store.commit(this.steps)
    return Effect.callback((resume) => {
      // in a fiber of its own, begun in the same step that waits for it: a call may leave, its reply is still heard
      const asked = Effect.runForkWith(fiber.context)(fed === undefined ? commit : Effect.andThen(fed, commit))
      let cancel = () => {}
      asked.addObserver((exit) => {
        cancel()
        if (exit._tag === "Success" && exit.value.allowed) {
          if (this.over) Effect.runForkWith(asked.context)(this.giveBack(exit.value.answers))
          else this.admittedWith(exit.value.answers, nowOf(fiber))
        }
        resume(Effect.succeed(exit))
      })
      if (deadline !== Infinity && asked.pollUnsafe() === undefined) {
        cancel = startTimer(fiber, Math.max(1, deadline - now), () => {
          this.over = true
          resume(Effect.succeed(undefined))
        })
      }
      return Effect.sync(() => cancel())
    })
  }

  /** A reply for a call that has left. Its fiber may have ended, and then knows neither clock nor services. */
  private giveBack(answers: ReadonlyArray<unknown>): Effect.Effect<void> {
    return Effect.withFiber((fiber) => {
      this.options = { ...this.options, fiber }
      if (this.options.pass !== undefined) this.options.pass.fiber = fiber
      this.admittedWith(answers, nowOf(fiber))
      return this.end("ignored", 0, false) ?? Effect.void
    })
  }

  private take(answers: ReadonlyArray<unknown>, now: number): Effect.Effect<void> {
    const { slots } = this.options
    if (slots !== undefined && !this.slot) {
      slots.take()
      this.slot = true
    }
    this.admittedWith(answers, now)
    return this.proceed(now)
  }

  private proceed(now: number): Effect.Effect<void> {
    const { attempt, fiber, key, service, sink } = this.options
    if (sink !== undefined) {
      emit(
        sink,
        { _tag: "Admitted", service, key, attempt, waited: this.waiter === undefined ? 0 : now - this.arrivedAt },
        fiber
      )
    }
    return Effect.void
  }

  private admittedWith(answers: ReadonlyArray<unknown>, now: number): void {
    const { pass, sink } = this.options
    this.admitted = true
    // the first answer is the circuit's, the others are the limits', as in `steps`
    this.limitAnswers = (pass === undefined ? answers : answers.slice(1)) as ReadonlyArray<LimitAnswer>
    pass?.admitted(answers[0] as BreakerDecision, now, sink)
    this.leave(true)
  }

  private refused(answers: ReadonlyArray<unknown>, now: number): Effect.Effect<void, Rejection | TimeoutExceeded> {
    const { deadline, entry, key, pass, slots, timeout } = this.options
    if (pass !== undefined) {
      const answer = answers[0] as BreakerDecision // as in `admittedWith`
      if (!answer.allowed) return this.reject(pass.refusal(answer))
    }
    const limitAnswers = (pass === undefined ? answers : answers.slice(1)) as ReadonlyArray<LimitAnswer>
    const limit = entry?.assess(limitAnswers, now, this.arrivedAt, deadline, this.waiter)
    const slot = slots?.assess(key, now, this.arrivedAt, deadline, this.waiter)
    if (this.waiter !== undefined && now >= deadline) {
      this.leave()
      return Effect.fail(new TimeoutExceeded({ key, scope: "call", timeoutMillis: timeout }))
    }
    if (limit?._tag === "Rejected") return this.reject(limit.rejection)
    if (slot?._tag === "Rejected") return this.reject(slot.rejection)
    const arrives = this.waiter === undefined
    const waiter = this.wait(now)
    waiter.deadline = Math.min(limit?.deadline ?? Infinity, slot?.deadline ?? Infinity)
    if (limit !== undefined) {
      limit.stand(waiter)
      if (arrives) this.emitQueued("rateLimiter", limit.name)
    } else {
      slots!.queue.stand(waiter, Infinity)
      if (arrives) this.emitQueued("bulkhead", "bulkhead")
    }
    return Effect.flatMap(waiter.park, () => this.request())
  }

  /** From the first refusal on, the call also wakes when its circuit moves. */
  private wait(now: number): Waiter {
    if (this.waiter === undefined) {
      const { entry, fiber, watched } = this.options
      const waiter = (this.waiter = new Waiter(fiber, this.arrivedAt, entry?.cost ?? 1, entry?.set ?? ""))
      this.unwatch = watched?.gate.watch(watched.step, () => waiter.wake(), now)
    }
    return this.waiter
  }

  private leave(admitted = false): void {
    this.waiter?.leave(admitted)
    this.unwatch?.()
    this.unwatch = undefined
  }

  private reject(rejection: Rejection): Effect.Effect<never, Rejection> {
    this.leave()
    this.emitRejected(rejection)
    return Effect.fail(rejection)
  }

  private emitRejected(rejection: Rejection): void {
    const { attempt, fiber, key, service, sink } = this.options
    if (sink !== undefined) emit(sink, { _tag: "Rejected", service, key, attempt, rejection }, fiber)
  }

  private emitQueued(policy: "rateLimiter" | "bulkhead", limit: string): void {
    const { fiber, key, service, sink } = this.options
    if (sink !== undefined) emit(sink, { _tag: "Queued", service, key, policy, limit }, fiber)
  }

  releaseSlot(): void {
    if (!this.slot) return
    this.slot = false
    this.options.slots!.release()
  }

  /**
   * The end of what this admission was for, however it came. Gives back the slot and what was not used, and reports
   * the outcome. An attempt that started keeps what it spent. Does nothing the second time.
   */
  end(
    outcome: "success" | "failure" | "ignored",
    retryAfter: number,
    started: boolean
  ): Effect.Effect<void> | undefined {
    this.over = true
    this.leave()
    this.releaseSlot()
    if (!this.admitted) return undefined
    this.admitted = false
    const { entry, fiber, pass, sink, store } = this.options
    const now = nowOf(fiber)
    const recorded = pass?.record(started ? outcome : "ignored", now, retryAfter, sink)
    if (started || entry === undefined) return recorded
    const refunds = entry.refunds(this.limitAnswers)
    if (store.sync !== undefined) {
      store.sync.commit(refunds, now)
      entry.refunded()
      return recorded
    }
    const refunded = Effect.ignore(Effect.map(store.commit(refunds), () => entry.refunded()))
    return recorded === undefined ? refunded : Effect.andThen(recorded, refunded)
  }
}
