/**
 * One call through the members of a service:
 *
 *     layers around the call -> loop -> one admission -> layers around the attempt -> the effect
 *
 * The finalizer of the call is on the stack before anything is taken, and all that is taken is noted on the attempt in the
 * same synchronous step. So `finish` knows what to give back, wherever the fiber is interrupted.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Sink } from "../Event.ts"
import { errorOf } from "../internal/errorOf.ts"
import { ambientOf } from "../internal/ambient.ts"
import { emit, sinkOf } from "../internal/events.ts"
import { type Key, nameOf, type ReadKey, readKey } from "../internal/key.ts"
import { nowOf } from "../internal/time.ts"
import type { Outcome } from "../Outcome.ts"
import type * as Policy from "../Policy.ts"
import type { Attempt, Member, Run, Ticket } from "../Policy.ts"
import { TimeoutExceeded } from "../Rejection.ts"
import { Waiter } from "../waiting/WaitQueue.ts"
import { begin } from "./begin.ts"
import * as contexts from "./contexts.ts"
import { deadlineOf } from "./Deadline.ts"
import { attemptEnded, callEnded } from "./observed.ts"
import { exitOf, hintOf, type Judged, outcomeOf } from "./outcome.ts"
import type { CallOptions, Classify, Pipeline } from "./Pipeline.ts"
import { attempted, both, each, type Ended, watchAll } from "./tickets.ts"

type AnyExit = Exit.Exit<unknown, unknown>
type AnyFiber = Fiber.Fiber<unknown, unknown>

const NO_TICKETS: ReadonlyArray<Ticket> = []
const NO_MEMBERS: ReadonlyArray<Member> = []
const NOTHING: Readonly<Record<string, unknown>> = {}

/** Which tickets of an attempt are open: those of its own, and those of the call. */
const OWN = 1
const CALLS = 2

/** One run of the effect, and the tickets that were taken for it. */
export class CallAttempt implements Attempt {
  declare readonly call: WholeCall
  declare readonly n: number
  declare readonly beside: number
  declare gates: ReadonlyArray<Member>
  declare tickets: ReadonlyArray<Ticket>
  declare admitted: boolean
  declare started: boolean
  /** The call has left: a reply that comes now is given back. */
  declare over: boolean
  /** What the effect finds in its context, beside what the caller has put there. */
  declare context: Context.Context<never> | undefined
  declare private reserved: boolean
  declare private open: number
  /** The outcome was reported before the body has ended: all that is left is to release. */
  declare recorded: boolean

  constructor(call: WholeCall | undefined, n: number, beside: number) {
    this.call = call ?? (this as unknown as WholeCall) // a call is its own first attempt
    this.n = n
    this.beside = beside
    this.gates = NO_MEMBERS
    this.tickets = NO_TICKETS
    this.context = undefined
    this.admitted = this.started = this.over = this.reserved = this.recorded = false
    this.open = 0
  }

  /** The effect itself, and to know for sure that it began. */
  static readonly begin: Run = (attempt) => {
    const { call } = attempt as CallAttempt
    return begin(call.self, () => {
      ;(attempt as CallAttempt).started = true
    })
  }

  enter(gates: ReadonlyArray<Member>, now: number): void {
    const tickets = new Array<Ticket>(gates.length) // one that grows is copied, and larger
    for (let i = 0; i < gates.length; i++) tickets[i] = gates[i]!.enter!(this.call, now)
    this.gates = gates
    this.tickets = tickets
  }

  reserve(): void {
    this.reserved = true
    each(this.tickets, (ticket) => ticket.reserve?.())
  }

  unreserve(): void {
    if (!this.reserved) return
    this.reserved = false
    each(this.tickets, (ticket) => ticket.unreserve?.())
  }

  /** All is taken. A ticket that throws keeps no other from it: what `end` gives back was taken. */
  note(now: number): void {
    const { call, reserved, tickets } = this
    this.reserved = false
    this.admitted = true
    this.open = call.pipeline.perAttempt ? OWN : OWN | CALLS
    let thrown: { readonly defect: unknown } | undefined
    for (let i = 0; i < tickets.length; i++) {
      const ticket = tickets[i]!
      try {
        if (!reserved) ticket.reserve?.()
        ticket.admitted(now)
        if (ticket.context !== undefined) this.context = contexts.both(this.context, ticket.context)
      } catch (defect) {
        thrown ??= { defect }
      }
    }
    if (call.waiter !== undefined) call.leave(true)
    if (thrown !== undefined) throw thrown.defect
  }

  take(now: number): void {
    const { call } = this
    const waited = call.waiter === undefined ? 0 : now - call.arrivedAt
    this.note(now)
    const { fiber, service, sink } = call
    if (sink !== undefined) emit(sink, { _tag: "Admitted", service, key: call.name, attempt: this.n, waited }, fiber)
  }

  /** Whether a ticket, or the outcome of an admission without any, is still to be recorded. */
  get isOpen(): boolean {
    return this.open !== 0
  }

  /**
   * Ends the tickets that are still open, `"own"` those of the attempt alone: records the outcome, and gives back what was
   * taken. A member that throws keeps no other from it. Does nothing the second time.
   */
  end(which: "own" | "all", exit: AnyExit, started: boolean, outcome?: Outcome): Ended {
    if (!this.admitted) {
      const failed = attempted(() => this.unreserve())
      if (failed !== undefined) return failed // nothing is open
    }
    const due = this.open & (which === "own" ? OWN : OWN | CALLS)
    if (due === 0) return undefined
    this.open &= ~due
    const { gates, tickets } = this
    const { perAttempt } = this.call.pipeline
    let ended: Ended
    let thrown: { readonly defect: unknown } | undefined
    let known = outcome
    for (let i = 0; i < tickets.length; i++) {
      const part = perAttempt || gates[i]!.scope === "attempt" ? OWN : CALLS
      if ((part & due) === 0) continue
      const ticket = tickets[i]!
      if (ticket.record !== undefined && !this.recorded) {
        try {
          known ??= outcomeOf(this.call, exit, started)
        } catch (defect) {
          known = "ignored"
          thrown ??= { defect }
        }
        try {
          ended = both(ended, ticket.record(known, exit))
        } catch (defect) {
          thrown ??= { defect }
        }
      }
      if (ticket.release === undefined) continue
      try {
        ended = both(ended, ticket.release(started))
      } catch (defect) {
        thrown ??= { defect }
      }
    }
    return thrown === undefined ? ended : both(ended, Effect.die(thrown.defect))
  }
}

/** A call. It is its own first attempt. */
export class WholeCall extends CallAttempt implements Policy.Call, Judged {
  declare readonly pipeline: Pipeline
  declare readonly self: Effect.Effect<unknown, unknown, unknown>
  declare readonly key: ReadKey
  declare readonly startedAt: number
  declare readonly sink: Sink | undefined
  declare fiber: AnyFiber
  declare arrivedAt: number
  declare waiter: Waiter | undefined
  declare deadline: number
  declare timeout: TimeoutExceeded | undefined
  declare failed: AnyExit | undefined
  declare hadTime: boolean
  declare rejected: { readonly value: unknown } | undefined
  /** The attempt with the tickets of the call, and the attempt that is under way. */
  declare main: CallAttempt
  declare last: CallAttempt
  /** How many attempts began. */
  declare attempts: number
  /** The first attempt is nothing but the effect itself, and its end is still to be seen: by the loop, or at the call's end. */
  declare unseen: boolean
  declare begunAt: number
  declare private readonly options: CallOptions
  /** Computed lazily: serialising a record key is slow, and only errors and events need it. */
  declare private named: string | undefined
  declare private unwatch: (() => void) | undefined
  declare broken: boolean
  declare reported: { readonly error: unknown; readonly exit: AnyExit } | undefined
  declare outcome: Outcome | undefined

  constructor(
    pipeline: Pipeline,
    self: Effect.Effect<unknown, unknown, unknown>,
    key: Key,
    options: CallOptions,
    fiber: AnyFiber
  ) {
    super(undefined, 1, 0)
    this.pipeline = pipeline
    this.self = self
    this.key = readKey(key)
    this.options = options
    this.fiber = fiber
    this.sink = sinkOf(fiber) ?? pipeline.sink
    this.startedAt = pipeline.timed || this.sink !== undefined ? nowOf(fiber) : 0
    this.arrivedAt = 0
    this.waiter = undefined
    this.deadline = Infinity
    this.timeout = undefined
    this.failed = undefined
    this.hadTime = false
    this.rejected = undefined
    this.main = this.last = this
    this.attempts = 0
    this.unseen = false
    this.begunAt = 0
    this.named = undefined
    this.unwatch = undefined
    this.broken = false
    this.reported = undefined
    this.outcome = undefined
  }

  get service(): string {
    return this.pipeline.id
  }
  get name(): string {
    return (this.named ??= nameOf(this.key))
  }

  get cost(): number {
    return this.options.cost
  }
  get own(): Readonly<Record<string, unknown>> {
    return this.options.own ?? NOTHING
  }

  get maxWait(): number | undefined {
    return this.options.maxWait
  }

  get timedOut(): boolean {
    return this.timeout?.scope === "call"
  }

  /** When the calls around this one must have ended. */
  get outer(): number {
    return deadlineOf(this.fiber, ambientOf(this.fiber).clock)
  }

  waitsUntil(now: number): number {
    const end = Math.min(this.deadline, this.outer)
    return end === Infinity ? end : end - (this.pipeline.expected?.at(now) ?? 0)
  }

  get single(): boolean {
    const { admitted, tickets } = this.main
    return admitted && tickets.some(({ single }) => single === true)
  }

  left(now: number): boolean {
    const { admitted, tickets } = this.main
    if (!admitted) return false
    for (let i = 0; i < tickets.length; i++) if (tickets[i]!.left?.(now) === true) return true
    return false
  }

  get watch(): ((onMove: () => void) => () => void) | undefined {
    const { admitted, tickets } = this.main
    const watched = admitted ? tickets.filter(({ watch }) => watch !== undefined) : NO_TICKETS
    return watched.length === 0 ? undefined : (onMove) => watchAll(watched, onMove)
  }

  /** Into a queue. From its first wait on, the call wakes also when a ticket it asked for or holds changes. */
  wait(): Waiter {
    if (this.waiter === undefined) {
      const waiter = (this.waiter = new Waiter(this.fiber, this.arrivedAt))
      const watched = this.main.tickets.filter(({ watch }) => watch !== undefined)
      if (watched.length > 0) this.unwatch = watchAll(watched, () => waiter.wake())
    }
    return this.waiter
  }

  leave(admitted: boolean): void {
    if (this.waiter === undefined) return
    this.waiter.leave(admitted)
    this.waiter = undefined
    this.unwatch?.()
    this.unwatch = undefined
  }

  timeoutOf(wholeCall: boolean): TimeoutExceeded {
    const scope = wholeCall ? "call" : "attempt"
    const timeoutMillis = wholeCall ? this.deadline - this.startedAt : this.pipeline.longest.attempt
    // of an attempt it would keep a chain of all timeouts before it
    const cause = wholeCall && this.failed?._tag === "Failure" ? errorOf(this.failed.cause) : undefined
    return (this.timeout = new TimeoutExceeded({ service: this.service, key: this.name, scope, timeoutMillis, cause }))
  }

  ask<B>(f: () => B): B {
    try {
      return f()
    } catch (defect) {
      this.broken = true
      throw defect
    }
  }

  guard<B>(self: Effect.Effect<B>): Effect.Effect<B> {
    return Effect.onExitPrimitive(self, (exit) => void (this.broken ||= exit._tag === "Failure"))
  }

  hintOf(exit: AnyExit): number {
    return hintOf(this, exit)
  }
  isMain(attempt: Attempt): boolean {
    return attempt === this.main
  }

  further(n: number, beside: number, context?: Context.Context<never>): CallAttempt {
    const attempt = new CallAttempt(this, n, beside)
    attempt.context = context
    return attempt
  }

  reports(error: unknown, exit: AnyExit): void {
    this.reported = { error, exit }
  }

  /** A plain attempt has ended. */
  private see(exit: AnyExit): void {
    this.unseen = false
    if (this.sink !== undefined) attemptEnded(this.sink, this, 1, exit, nowOf(this.fiber) - this.begunAt)
  }

  endAttempt(attempt: Attempt, exit: AnyExit): Ended {
    if (this.unseen) this.see(exit)
    // a timeout of the whole call asks how the attempts before it have ended
    if (exit._tag === "Success" || !this.timedOut || errorOf(exit.cause) !== this.timeout) this.failed = exit
    return this.record(attempt as CallAttempt, "own", exit) // the engine makes all attempts
  }

  get classify(): Classify | undefined {
    return this.options.classify ?? this.pipeline.classify
  }
  /** Records what became of an attempt, once. Where its tickets are those of the call, the outcome is the call's. */
  private record(attempt: CallAttempt, which: "own" | "all", exit: AnyExit): Ended {
    const { isOpen, started } = attempt
    if (!isOpen || attempt !== this.main || (which === "own" && !this.pipeline.perAttempt)) {
      return attempt.end(which, exit, started)
    }
    try {
      if (!attempt.recorded) this.outcome = outcomeOf(this, exit, started)
    } catch (defect) {
      return both(attempt.end(which, exit, started, "ignored"), Effect.die(defect))
    }
    return attempt.end(which, exitOf(this, exit), started, this.outcome)
  }

  /** The end of the call, however it came. */
  finish(exit: AnyExit): Ended {
    if (this.unseen) this.see(exit)
    const { fiber, last, main, sink } = this
    main.over = last.over = true
    const left = this.waiter === undefined ? undefined : attempted(() => this.leave(false))
    const own = last === main ? undefined : this.record(last, "all", exit)
    const ended = both(left, both(own, this.record(main, "all", exit)))
    if (sink !== undefined) {
      callEnded(sink, this, exit, this.broken ? "ignored" : (this.outcome ?? "ignored"), nowOf(fiber) - this.startedAt)
    }
    return ended
  }
}
