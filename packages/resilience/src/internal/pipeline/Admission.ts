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
import type { Outcome } from "../../Outcome.ts"
import { type Rejection, type StoreError, TimeoutExceeded } from "../../Rejection.ts"
import type { Step } from "../../StoreModel.ts"
import { heard } from "../answers.ts"
import type { CircuitPass } from "../CircuitGate.ts"
import { emit } from "../events.ts"
import type { LimitEntry } from "../LimitGate.ts"
import type { SlotGate } from "../SlotGate.ts"
import type { Guarded, Local, Reply } from "../storeView.ts"
import { nowOf } from "../time.ts"
import { startTimer } from "../timers.ts"
import { Waiter } from "../WaitQueue.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** What an admission knows of its call. */
export interface Caller {
  readonly pipeline: {
    readonly id: string
    readonly store: Local | Guarded
    readonly slots: SlotGate | undefined
    readonly timeout: number
  }
  /** The key's name. */
  readonly name: string
  /** The end of the whole call; no wait is longer. */
  readonly deadline: number
  readonly sink: Sink | undefined
}

/** What a step answers that was not asked: nothing stands against it but those who wait already. */
const NOT_ASKED: LimiterDecision<unknown> = {
  allowed: true,
  retryAfter: 0,
  remaining: 0,
  resetAfter: 0,
  receipt: undefined
}

const NOTHING: ReadonlyArray<Step> = []

/** The circuit's step first, then those of the limits. */
const stepsOf = (pass: CircuitPass | undefined, entry: LimitEntry | undefined): ReadonlyArray<Step> => {
  if (pass === undefined) return entry === undefined ? NOTHING : entry.steps
  if (entry === undefined) return [pass]
  return entry.steps.length === 1 ? [pass, entry.steps[0]!] : [pass, ...entry.steps]
}

export class Admission {
  declare admitted: boolean
  declare private readonly call: Caller
  declare private readonly attempt: number
  declare private readonly pass: CircuitPass | undefined
  /** The permit of the call. Where it is not asked for, as for the slot of a further attempt, its circuit may move. */
  declare private readonly watched: CircuitPass | undefined
  declare private readonly entry: LimitEntry | undefined
  declare private fiber: AnyFiber
  declare private slot: boolean
  declare private waiter: Waiter | undefined
  private unwatch: (() => void) | undefined = undefined
  declare private arrivedAt: number
  declare private over: boolean

  constructor(
    call: Caller,
    attempt: number,
    pass: CircuitPass | undefined,
    watched: CircuitPass | undefined,
    entry: LimitEntry | undefined,
    fiber: AnyFiber
  ) {
    this.call = call
    this.attempt = attempt
    this.pass = pass
    this.watched = watched
    this.entry = entry
    this.fiber = fiber
    this.admitted = false
    this.slot = false
    this.waiter = undefined
    this.arrivedAt = -1
    this.over = false
  }

  /** `Effect.void` once admitted. Nothing is held before, and whatever is held is given back by `end`. */
  request(now: number): Effect.Effect<void, Rejection | TimeoutExceeded> {
    const { entry, fiber, pass, watched } = this
    const { pipeline, sink } = this.call
    const { slots, store } = pipeline
    if (pass === undefined && watched?.left(now, sink) === true) {
      this.leave() // with nothing: the caller looks, too
      return Effect.void
    }
    if (this.arrivedAt < 0) this.arrivedAt = now
    entry?.asks()
    const blocked = entry?.blocked(this.waiter) === true || slots?.blocked(this.waiter) === true
    if (store.sync === undefined) return this.requestElsewhere(store, blocked, now)
    pass?.gate.feedSync(pass.key, now, sink, fiber)
    const steps = stepsOf(pass?.gate.welcomes(pass, now) === true ? undefined : pass, entry)
    const allowed = steps.length === 0 || store.sync.commit(steps, now, !blocked)
    return allowed && !blocked ? this.take(now) : this.refused(now)
  }

  private requestElsewhere(
    store: Guarded,
    blocked: boolean,
    now: number
  ): Effect.Effect<void, Rejection | TimeoutExceeded> {
    const { pipeline } = this.call
    const steps = stepsOf(this.pass, this.entry)
    if (blocked) {
      for (const step of steps) step.result = [NOT_ASKED, undefined]
      return this.refused(now)
    }
    if (steps.length === 0) return this.take(now)
    if (pipeline.slots !== undefined) {
      pipeline.slots.take() // or a call of this process could take it during the trip
      this.slot = true
    }
    return this.ask(store, steps, now)
  }

  /**
   * What the reply of a store elsewhere brings is noted when it comes, not when the call reads it: by then the call may have
   * been interrupted, or long have left.
   */
  private ask(
    store: Guarded,
    steps: ReadonlyArray<Step>,
    now: number
  ): Effect.Effect<void, Rejection | TimeoutExceeded> {
    const { fiber, pass } = this
    const { context } = fiber // of a call that has left, the fiber may have ended
    const { deadline, sink } = this.call
    const fed = pass?.gate.feed(pass.key, now, sink, fiber)
    return Effect.callback((resume) => {
      const cancel =
        deadline === Infinity
          ? () => {}
          : startTimer(fiber, Math.max(1, deadline - now), () => resume(Effect.suspend(() => this.tooLate())))
      const ask = () =>
        store.begin(steps, fiber, (exit) => {
          cancel()
          if (exit._tag === "Failure" || !exit.value.allowed) {
            return resume(Effect.suspend(() => this.notAllowed(steps, exit)))
          }
          heard(steps, exit.value)
          if (this.over) return Effect.runForkWith(context)(this.giveBack())
          const now = nowOf(fiber)
          this.admittedAt(now)
          resume(this.proceed(now))
        })
      if (fed === undefined) ask()
      else Effect.runForkWith(context)(fed).addObserver(ask)
      return Effect.sync(cancel)
    })
  }

  private notAllowed(
    steps: ReadonlyArray<Step>,
    exit: Exit.Exit<Reply, StoreError>
  ): Effect.Effect<void, Rejection | TimeoutExceeded> {
    this.releaseSlot()
    if (exit._tag === "Success") {
      heard(steps, exit.value)
      return this.refused(nowOf(this.fiber))
    }
    const error = exit.cause.reasons.find(Cause.isFailReason)?.error
    return error === undefined
      ? Effect.failCause(exit.cause as Cause.Cause<never>) // it has no failure
      : this.reject(error)
  }

  /** A reply for a call that has left. Its fiber may have ended, and then knows neither clock nor services. */
  private giveBack(): Effect.Effect<void> {
    return Effect.withFiber((fiber) => {
      this.fiber = fiber
      if (this.pass !== undefined) this.pass.fiber = fiber
      this.admittedAt(nowOf(fiber))
      return this.end("ignored", 0, false) ?? Effect.void
    })
  }

  private take(now: number): Effect.Effect<void> {
    const { slots } = this.call.pipeline
    if (slots !== undefined) {
      slots.take()
      this.slot = true
    }
    this.admittedAt(now)
    return this.proceed(now)
  }

  private proceed(now: number): Effect.Effect<void> {
    const { pipeline, sink } = this.call
    if (sink !== undefined) {
      const waited = this.waiter === undefined ? 0 : now - this.arrivedAt
      emit(
        sink,
        { _tag: "Admitted", service: pipeline.id, key: this.call.name, attempt: this.attempt, waited },
        this.fiber
      )
    }
    return Effect.void
  }

  private admittedAt(now: number): void {
    this.admitted = true
    this.pass?.admitted(now, this.call.sink)
    this.entry?.taken(this.waiter)
    this.leave(true)
  }

  /** Reads what was answered: the answers are on the steps. */
  private refused(now: number): Effect.Effect<void, Rejection | TimeoutExceeded> {
    const { entry, pass } = this
    const { deadline, pipeline } = this.call
    const { slots } = pipeline
    const answer = pass?.result?.[0]
    if (answer?.allowed === false) return this.reject(pass!.refusal(answer)) // whose answer it is
    const limit = entry?.assess(now, this.arrivedAt, deadline, this.waiter)
    const slot = slots?.assess(this.call.name, now, this.arrivedAt, deadline, this.waiter)
    if (now >= deadline) return this.tooLate()
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
    return Effect.flatMap(waiter.park, () => this.request(nowOf(this.fiber)))
  }

  /** From the first refusal on, the call also wakes when its circuit moves. */
  private wait(now: number): Waiter {
    if (this.waiter === undefined) {
      const { entry, fiber, watched } = this
      const waiter = (this.waiter = new Waiter(fiber, this.arrivedAt, entry?.cost ?? 1, entry?.set ?? ""))
      this.unwatch = watched?.gate.watch(watched, () => waiter.wake(), now)
    }
    return this.waiter
  }

  private leave(admitted = false): void {
    this.waiter?.leave(admitted)
    this.unwatch?.()
    this.unwatch = undefined
  }

  /** The call ends, and with it all that this has begun. */
  private tooLate(): Effect.Effect<never, TimeoutExceeded> {
    const { name: key, pipeline } = this.call
    return Effect.fail(
      new TimeoutExceeded({ service: pipeline.id, key, scope: "call", timeoutMillis: pipeline.timeout })
    )
  }

  private reject(rejection: Rejection): Effect.Effect<never, Rejection> {
    this.leave()
    this.emitRejected(rejection)
    return Effect.fail(rejection)
  }

  private emitRejected(rejection: Rejection): void {
    const { pipeline, sink } = this.call
    if (sink === undefined) return
    emit(
      sink,
      { _tag: "Rejected", service: pipeline.id, key: this.call.name, attempt: this.attempt, rejection },
      this.fiber
    )
  }

  private emitQueued(policy: "rateLimiter" | "bulkhead", limit: string): void {
    const { pipeline, sink } = this.call
    if (sink !== undefined) {
      emit(sink, { _tag: "Queued", service: pipeline.id, key: this.call.name, policy, limit }, this.fiber)
    }
  }

  releaseSlot(): void {
    if (!this.slot) return
    this.slot = false
    this.call.pipeline.slots!.release()
  }

  /**
   * The end of what this admission was for, however it came. Gives back the slot and what was not used, and reports
   * the outcome. An attempt that started keeps what it spent. Does nothing the second time.
   */
  end(outcome: Outcome, retryAfter: number, started: boolean): Effect.Effect<void> | undefined {
    this.over = true
    this.leave()
    this.releaseSlot()
    if (!this.admitted) return undefined
    this.admitted = false
    const { entry } = this
    const recorded = this.pass?.record(started ? outcome : "ignored", retryAfter, this.call.sink)
    if (started || entry === undefined) return recorded
    const { store } = this.call.pipeline
    const refunds = entry.refunds()
    if (store.sync !== undefined) {
      store.sync.commit(refunds, nowOf(this.fiber))
      entry.refunded()
      return recorded
    }
    const refunded = Effect.ignore(Effect.map(store.commit(refunds), () => entry.refunded()))
    return recorded === undefined ? refunded : Effect.andThen(recorded, refunded)
  }
}
