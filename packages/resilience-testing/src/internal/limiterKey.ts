/**
 * One key of a limiter kernel, and what the laws do to it: play a history, compare it with another, probe its answers.
 *
 * All states and receipts are frozen: a kernel that writes into one fails every law.
 */
import * as assert from "node:assert/strict"
import { type LimiterDecision, type LimiterInput, NEVER } from "effect-resilience/kernel/Limiter"
import type { Admission, LimiterSpecimen } from "./limiterSpecimen.ts"
import { type Dice, type Event, freeze, read } from "./limiterTraffic.ts"

export type Answer<Receipt> = LimiterDecision<Receipt>

/** An answer without its receipt. */
export const words = ({ allowed, remaining, resetAfter, retryAfter }: Answer<unknown>) => ({
  allowed,
  remaining,
  resetAfter,
  retryAfter
})

/** A key under one policy. It forgets nothing by itself. */
export class Key<Policy, State, Receipt> {
  readonly specimen: LimiterSpecimen<Policy, State, Receipt>
  readonly policy: Policy
  state: State
  constructor(specimen: LimiterSpecimen<Policy, State, Receipt>, policy: Policy, state?: State) {
    this.specimen = specimen
    this.policy = policy
    this.state = freeze(state === undefined ? specimen.kernel.initial(policy) : state)
  }
  /** The answer to a take, and the state it would leave. */
  ask(cost: number, now: number): readonly [Answer<Receipt>, State] {
    return freeze(this.specimen.kernel.step(this.policy, this.state, { op: "take", cost }, now))
  }
  take(cost: number, now: number): Answer<Receipt> {
    const [answer, state] = this.ask(cost, now)
    this.state = state
    return answer
  }
  refund(receipt: Receipt, now: number): Answer<Receipt> {
    return this.step({ op: "refund", receipt }, now)
  }
  step(input: LimiterInput<Receipt>, now: number): Answer<Receipt> {
    const [answer, state] = freeze(this.specimen.kernel.step(this.policy, this.state, input, now))
    this.state = state
    return answer
  }
  copy(): Key<Policy, State, Receipt> {
    return new Key(this.specimen, this.policy, this.state)
  }
}

interface Call<Receipt> extends Admission {
  readonly receipt: Receipt
}

/** Plays a history; keeps the calls that were admitted and not refunded, and all receipts. */
export const play = <Policy, State, Receipt>(
  key: Key<Policy, State, Receipt>,
  events: ReadonlyArray<Event>,
  see?: (event: Event, answer: Answer<Receipt>) => void
) => {
  const calls: Array<Call<Receipt>> = []
  const receipts: Array<Receipt> = []
  let now = 0
  for (const event of events) {
    now = event.now
    if (event.op === "take") {
      const answer = key.take(event.cost, now)
      if (answer.allowed) {
        calls.push({ now, cost: event.cost, receipt: answer.receipt })
        receipts.push(answer.receipt)
      }
      see?.(event, answer)
    } else if (calls.length > 0) {
      const [call] = calls.splice(event.pick % calls.length, 1)
      const answer = key.refund((call as Call<Receipt>).receipt, now) // the list is not empty
      see?.(event, answer)
    }
  }
  return { calls, receipts, now }
}

/** Two keys answer alike from `from` on, also to refunds of what each admits, and of receipts from the past. */
export const alike = <Policy, State, Receipt>(
  a: Key<Policy, State, Receipt>,
  b: Key<Policy, State, Receipt>,
  from: number,
  history: ReadonlyArray<Dice>,
  old: ReadonlyArray<Receipt> = []
): void => {
  const most = a.specimen.capacity(a.policy)
  const left: Array<readonly [Receipt, Receipt]> = old.map((receipt) => [receipt, receipt])
  for (const event of read(a.specimen, a.policy, from, history)) {
    const { now } = event
    assert.deepStrictEqual(words(a.ask(most, now)[0]), words(b.ask(most, now)[0]), `at ${now}`)
    if (event.op === "take") {
      const one = a.take(event.cost, now)
      const two = b.take(event.cost, now)
      assert.deepStrictEqual(words(one), words(two), `cost ${event.cost} at ${now}`)
      if (one.allowed) left.push([one.receipt, two.receipt])
    } else if (left.length > 0) {
      const [pair] = left.splice(event.pick % left.length, 1)
      const [one, two] = pair as readonly [Receipt, Receipt] // the list is not empty
      assert.deepStrictEqual(words(a.refund(one, now)), words(b.refund(two, now)), `refund at ${now}`)
    }
  }
}

/** Refused at every millisecond before `retryAfter` (tried at all of them, or at 150), allowed at it. */
export const exact = <Policy, State, Receipt>(key: Key<Policy, State, Receipt>, cost: number, now: number): void => {
  const [answer] = key.ask(cost, now)
  if (answer.allowed) return assert.strictEqual(answer.retryAfter, 0)
  if (cost > key.specimen.capacity(key.policy)) return assert.strictEqual(answer.retryAfter, NEVER)
  const wait = answer.retryAfter
  assert.ok(wait > 0)
  const tries = new Set([0, wait - 1])
  const stride = wait <= 3000 ? 1 : wait / 100
  for (let ms = 0; ms < wait; ms += stride) tries.add(Math.floor(ms))
  for (let ms = Math.max(0, wait - 50); ms < wait; ms++) tries.add(ms)
  for (const ms of tries) {
    const [early, state] = key.ask(cost, now + ms)
    if (early.allowed || early.retryAfter !== wait - ms || state !== key.state) {
      assert.fail(`cost ${cost}, refused at ${now} for ${wait} ms: ${JSON.stringify(early)} ${ms} ms later`)
    }
  }
  assert.ok(key.ask(cost, now + wait)[0].allowed, `cost ${cost}, refused at ${now} + retryAfter ${wait}`)
}
