/**
 * The one decision to let an attempt run, on a store in this process.
 *
 * All tickets are asked in one step; if one refuses, none has spent anything. A call that may wait stands in the queue
 * of the member with the longest wait and asks again, for everything, when it is woken.
 */
import * as Effect from "effect/Effect"
import { emit } from "../internal/events.ts"
import { nowOf } from "../internal/time.ts"
import type { Refusal, Ticket } from "../Policy.ts"
import type { Rejection } from "../Rejection.ts"
import type { Step } from "../StoreModel.ts"
import type { CallAttempt } from "./Call.ts"

// oxlint-disable-next-line typescript/no-explicit-any -- as `Run`
type Admission = Effect.Effect<any, any, any>

const NOTHING: ReadonlyArray<Step> = []

/** The failure of an attempt whose admission has lapsed. The retry loop reports the previous attempt's error. */
const LEFT = Effect.fail("the admission of the call is over")

/** The steps of all tickets, in the order of the stages. */
export const stepsOf = (tickets: ReadonlyArray<Ticket>): ReadonlyArray<Step> => {
  let steps = NOTHING
  for (let i = 0; i < tickets.length; i++) {
    const own = tickets[i]!.steps
    if (own.length > 0) steps = steps.length === 0 ? own : [...steps, ...own]
  }
  return steps
}

/** Whether this process has no reason to refuse an attempt. Each ticket is asked: some tickets record that they were asked. */
export const isFree = (tickets: ReadonlyArray<Ticket>, now: number): boolean => {
  let free = true
  for (let i = 0; i < tickets.length; i++) if (!tickets[i]!.check(now)) free = false
  return free
}

/** Asks for an attempt, or asks again. Takes all, or nothing. */
export const admit = (attempt: CallAttempt, now: number): Admission => {
  const { call, tickets } = attempt
  if (attempt !== call.main && call.left(now)) return leave(attempt)
  const { store } = call.pipeline
  if (store.sync === undefined) return store.admit(attempt, isFree(tickets, now), now)
  let free = true
  let steps = NOTHING
  for (let i = 0; i < tickets.length; i++) {
    const ticket = tickets[i]!
    if (!ticket.check(now)) free = false
    const own = ticket.steps
    if (own.length > 0) steps = steps.length === 0 ? own : [...steps, ...own]
  }
  const allowed = steps.length === 0 || store.sync.commit(steps, now, free)
  return allowed && free ? take(attempt, now) : refused(attempt, now, true)
}

/** The retry loop also checks this, and fails the call with the previous attempt's error. */
export const leave = ({ call }: CallAttempt): Admission => {
  call.leave(false)
  return LEFT
}

export const take = (attempt: CallAttempt, now: number): Admission => {
  attempt.take(now)
  return attempt.call.pipeline.inside(attempt, now)
}

/** Reads why. The answers are on the steps, unless they were not asked. */
export const refused = (attempt: CallAttempt, now: number, asked: boolean): Admission => {
  const { call, tickets } = attempt
  let final: Refusal | undefined
  let waits: Refusal | undefined
  let waitsFor = 0
  let until = Infinity
  for (let i = 0; i < tickets.length; i++) {
    const one = tickets[i]!.refusal(now, asked)
    if (one === undefined) continue
    if (one.until === undefined) return reject(attempt, one.error)
    if (one.wait === undefined) {
      final ??= one
      continue
    }
    until = Math.min(until, one.until)
    if (waits !== undefined && (one.retryAt ?? -1) <= (waits.retryAt ?? -1)) continue
    waits = one
    waitsFor = i
  }
  if (now >= call.deadline) return Effect.fail(call.timeoutOf(true))
  if (final !== undefined) return reject(attempt, final.error)
  if (waits === undefined) return Effect.die(unexplained(attempt, now, asked))
  if (attempt.beside > 0) return reject(attempt, waits.error)
  const arrives = call.waiter === undefined
  const waiter = call.wait()
  waiter.deadline = until
  const full = waits.wait!(waiter) // of a refusal that may wait
  if (full !== undefined) return reject(attempt, full)
  if (arrives && call.sink !== undefined) {
    const { kind: policy } = attempt.gates[waitsFor]!
    const { fiber, name: key, service, sink } = call
    emit(sink, { _tag: "Queued", service, key, policy, limit: waits.queue ?? policy }, fiber)
  }
  return Effect.flatMap(waiter.park, () => admit(attempt, nowOf(call.fiber)))
}

/** A mistake in a policy: its ticket refused the call, and no `refusal` says why. Names the members that refused. */
const unexplained = ({ gates, tickets }: CallAttempt, now: number, asked: boolean): Error => {
  const refuses = (_: unknown, i: number) =>
    !tickets[i]!.check(now) || (asked && tickets[i]!.steps.some(({ result }) => !result?.[0].allowed))
  const kinds = gates.filter(refuses).map(({ kind }) => kind) // none, where `check` says otherwise the second time
  return new Error(`no refusal says why ${kinds.join()} refused`)
}

export const reject = (attempt: CallAttempt, error: unknown): Admission => {
  const { call, n } = attempt
  call.leave(false)
  const { fiber, name: key, service, sink } = call
  if (sink !== undefined) {
    emit(sink, { _tag: "Rejected", service, key, attempt: n, rejection: error as Rejection }, fiber) // a member's refusal is one
  }
  return Effect.fail(error)
}
