/**
 * The laws of every limiter kernel, as property tests over any kernel.
 *
 * All states and receipts are frozen: a kernel that writes into one fails every law.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import type { LimiterDecision, LimiterKernel } from "../../src/kernel/Limiter.ts"
import { NEVER } from "../../src/kernel/Limiter.ts"
import type { Admission, Dice, Event, Scale } from "./limiterTraffic.ts"
import { costOf, freeze, int, numbersIn, read as readDice, rolls, seed, start, YEAR } from "./limiterTraffic.ts"

/** A kernel with what its laws need to know of it. */
export interface Specimen<Policy, State, Receipt> extends Scale<Policy> {
  readonly kernel: LimiterKernel<Policy, State, Receipt>
  /** Small enough that every millisecond and every unit can be tried. */
  readonly small: Arbitrary.Arbitrary<Policy>
  /** Up to the largest numbers that are exact. */
  readonly large: Arbitrary.Arbitrary<Policy>
  /** The stated bound, over a whole history: what it breaks, or nothing. */
  readonly broken: (policy: Policy, admitted: ReadonlyArray<Admission>) => string | undefined
  /** The definition: whether one more call may be admitted after these. Naive, and in other arithmetic. */
  readonly admits: (policy: Policy, admitted: ReadonlyArray<Admission>, next: Admission) => boolean
  /** What `ticks` instants of full demand, `every` ms apart, admit at least; undefined where nothing is promised. */
  readonly least: (policy: Policy, start: number, every: number, ticks: number) => number | undefined
}

export const limiterLaws = <Policy, State, Receipt>(specimen: Specimen<Policy, State, Receipt>): void => {
  const { capacity, kernel, span } = specimen
  type Answer = LimiterDecision<Receipt>

  /** A key under one policy. It forgets nothing by itself. */
  class Key {
    readonly policy: Policy
    state: State
    constructor(policy: Policy, state: State = kernel.initial(policy)) {
      this.policy = policy
      this.state = freeze(state)
    }
    /** The answer, and the state only if asked to keep it. */
    ask(cost: number, now: number): readonly [Answer, State] {
      return freeze(kernel.step(this.policy, this.state, { op: "take", cost }, now))
    }
    take(cost: number, now: number): Answer {
      const [answer, state] = this.ask(cost, now)
      this.state = state
      return answer
    }
    refund(receipt: Receipt, now: number): Answer {
      const [answer, state] = freeze(kernel.step(this.policy, this.state, { op: "refund", receipt }, now))
      this.state = state
      return answer
    }
    copy(): Key {
      return new Key(this.policy, this.state)
    }
  }

  interface Call extends Admission {
    readonly receipt: Receipt
  }
  const read = (policy: Policy, from: number, history: ReadonlyArray<Dice>, refunds = 25, busy = false) =>
    readDice(specimen, policy, from, history, { busy, refunds })

  /** Plays a history; keeps the calls that were admitted and not refunded, and all receipts. */
  const play = (key: Key, events: ReadonlyArray<Event>, see?: (event: Event, answer: Answer) => void) => {
    const calls: Array<Call> = []
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
        const answer = key.refund((call as Call).receipt, now) // the list is not empty
        see?.(event, answer)
      }
    }
    return { calls, receipts, now }
  }

  const words = ({ allowed, remaining, resetAfter, retryAfter }: Answer) => ({
    allowed,
    remaining,
    resetAfter,
    retryAfter
  })

  /** Two keys answer alike from `from` on, also to refunds of what each admits, and of receipts from the past. */
  const alike = (
    a: Key,
    b: Key,
    from: number,
    history: ReadonlyArray<Dice>,
    old: ReadonlyArray<Receipt> = []
  ): void => {
    const left: Array<readonly [Receipt, Receipt]> = old.map((receipt) => [receipt, receipt])
    for (const event of read(a.policy, from, history)) {
      const most = capacity(a.policy)
      assert.deepStrictEqual(words(a.ask(most, event.now)[0]), words(b.ask(most, event.now)[0]), `at ${event.now}`)
      if (event.op === "take") {
        const one = a.take(event.cost, event.now)
        const two = b.take(event.cost, event.now)
        assert.deepStrictEqual(words(one), words(two), `cost ${event.cost} at ${event.now}`)
        if (one.allowed) left.push([one.receipt, two.receipt])
      } else if (left.length > 0) {
        const [pair] = left.splice(event.pick % left.length, 1)
        const [one, two] = pair as readonly [Receipt, Receipt] // the list is not empty
        assert.deepStrictEqual(
          words(a.refund(one, event.now)),
          words(b.refund(two, event.now)),
          `refund at ${event.now}`
        )
      }
    }
  }

  /** Refused at every millisecond before `retryAfter` (tried at all of them, or at 150), allowed at it. */
  const exact = (key: Key, cost: number, now: number): void => {
    const [answer] = key.ask(cost, now)
    if (answer.allowed) return assert.strictEqual(answer.retryAfter, 0)
    if (cost > capacity(key.policy)) return assert.strictEqual(answer.retryAfter, NEVER)
    const wait = answer.retryAfter
    assert.isAbove(wait, 0)
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
    assert.isTrue(key.ask(cost, now + wait)[0].allowed, `cost ${cost}, refused at ${now} + retryAfter ${wait}`)
  }

  interface Given {
    readonly policy: Policy
    readonly from: number
    readonly history: ReadonlyArray<Dice>
    readonly future: ReadonlyArray<Dice>
    readonly size: number
  }
  const law = (
    name: string,
    check: (given: Given) => void,
    runs: { small: number; large: number } = { small: 300, large: 150 }
  ) => {
    for (const size of ["small", "large"] as const) {
      if (runs[size] === 0) continue
      it.effect.prop(
        size === "small" ? name : `${name}, also with large numbers`,
        { policy: specimen[size], from: start, history: rolls, future: rolls, size: int(0, 999) },
        (given) => Effect.sync(() => check(given)),
        { timeout: 60_000, arbitrary: { runs: runs[size] * Number(process.env["LAWS_RUNS"] ?? 1), size: 40, seed } }
      )
    }
  }

  describe(`the laws of ${kernel.id} (LAWS_SEED=${seed})`, () => {
    law("a refusal leaves the state as it was", ({ from, history, policy }) => {
      const key = new Key(policy)
      for (const event of read(policy, from, history, 0)) {
        const before = key.state
        if (event.op === "take" && !key.take(event.cost, event.now).allowed) assert.strictEqual(key.state, before)
      }
    })

    law("retryAfter is exact", ({ from, history, policy, size }) => {
      const key = new Key(policy)
      const { now } = play(key, read(policy, from, history))
      for (const cost of [1, 1 + (size % capacity(policy)), capacity(policy), capacity(policy) + 1]) {
        exact(key, cost, now)
        exact(key, cost, Math.max(0, now - size)) // a clock that stepped back
      }
    })

    law("waiting never hurts", ({ from, future, history, policy }) => {
      const key = new Key(policy)
      const { now } = play(key, read(policy, from, history))
      let last = key.ask(0, Math.max(0, now - 3))[0]
      for (const event of [{ now }, ...read(policy, now, future)]) {
        const [answer] = key.ask(0, event.now)
        assert.isAtLeast(answer.remaining, last.remaining)
        assert.isTrue(key.ask(last.remaining, event.now)[0].allowed)
        last = answer
      }
    })

    law("no window sees more than its bound", ({ from, history, policy }) => {
      const { calls } = play(new Key(policy), read(policy, from, history, 0))
      assert.isUndefined(specimen.broken(policy, calls))
    })

    law("a call is admitted exactly where its definition admits it", ({ from, history, policy }) => {
      const admitted: Array<Admission> = []
      play(new Key(policy), read(policy, from, history, 0), (event, answer) => {
        if (event.op !== "take") return
        const fits = event.cost === 0 || specimen.admits(policy, admitted, event)
        assert.strictEqual(answer.allowed, fits, `cost ${event.cost} at ${event.now}`)
        if (answer.allowed && event.cost > 0) admitted.push(event)
      })
    })

    law("n of cost 1 at one instant equal one of cost n", ({ from, history, policy, size }) => {
      const singles = new Key(policy)
      const { now } = play(singles, read(policy, from, history))
      const whole = singles.copy()
      const n = 1 + (size % Math.min(capacity(policy) + 1, 60))
      let admitted = 0
      for (let i = 0; i < n; i++) if (singles.take(1, now).allowed) admitted++
      const answer = whole.take(n, now)
      assert.strictEqual(answer.allowed, admitted === n)
      if (!answer.allowed) return
      assert.deepStrictEqual(singles.state, whole.state)
    })

    law("a clock that steps back is read as the time of the newest admission, and grants no more", (given) => {
      const { from, history, policy, size } = given
      const key = new Key(policy)
      const steady = new Key(policy)
      let newest = 0
      for (const event of read(policy, from, history, 0)) {
        if (event.op !== "take") continue
        const back = event.now % 3 === 0 ? (size % 7 === 0 ? event.now : Math.floor((span(policy) * size) / 700)) : 0
        const now = Math.max(0, event.now - back)
        const time = Math.max(newest, now)
        const answer = key.take(event.cost, now)
        const asked = steady.take(event.cost, time)
        assert.strictEqual(answer.allowed, asked.allowed, `cost ${event.cost} at ${now}, newest ${newest}`)
        if (answer.retryAfter > 0) assert.strictEqual(now + answer.retryAfter, time + asked.retryAfter)
        if (answer.allowed && event.cost > 0) newest = time
      }
    })

    law("refunds in the reverse order, with nothing admitted between, restore the behaviour", (given) => {
      const key = new Key(given.policy)
      const { now, receipts } = play(key, read(given.policy, given.from, given.history))
      const before = key.copy()
      let latest = now
      const taken: Array<Receipt> = []
      for (const event of read(given.policy, now, given.future.slice(0, 6), 0)) {
        latest = event.now
        const answer = key.take(event.op === "take" ? event.cost : 1, latest)
        if (answer.allowed) taken.push(answer.receipt)
      }
      latest += given.size % 3
      for (const receipt of taken.reverse()) key.refund(receipt, latest)
      alike(key, before, latest, given.future, receipts)
    })

    law("refunds of one instant in any order, with nothing admitted later, restore the behaviour", (given) => {
      const { future, policy, size } = given
      const key = new Key(policy)
      const { now } = play(key, read(policy, given.from, given.history))
      const before = key.copy()
      const taken = future
        .slice(0, 6)
        .map((roll) => key.take(costOf(specimen, policy, roll), now))
        .filter((answer) => answer.allowed)
      const later = now + (size % 4 === 0 ? 0 : Math.floor((span(policy) * size) / 2000))
      for (let i = 0; taken.length > 0; i++) {
        const [answer] = taken.splice((size + i) % taken.length, 1)
        key.refund((answer as Answer).receipt, later) // the list is not empty
      }
      for (const event of read(policy, later, future, 0)) {
        assert.deepStrictEqual(words(key.ask(1, event.now)[0]), words(before.ask(1, event.now)[0]))
      }
    })

    law(
      "what survives any refunds would have been admitted alone",
      ({ from, future, history, policy, size }) => {
        const key = new Key(policy)
        const events = read(policy, from, history, 40, size % 4 > 0)
        const { calls, now } = play(key, events)
        const alone = new Key(policy)
        for (const { cost, now } of calls) assert.isTrue(alone.take(cost, now).allowed, `cost ${cost} at ${now}`)
        for (const event of [{ now }, ...read(policy, now, future)]) {
          const [one] = key.ask(0, event.now)
          const [two] = alone.ask(0, event.now)
          assert.isAtMost(one.remaining, two.remaining, `at ${event.now}`)
          assert.isAtLeast(one.resetAfter, two.resetAfter, `at ${event.now}`)
        }
      },
      { small: 3000, large: 1500 }
    )

    law("after expiresAt a state behaves like the initial one", ({ from, future, history, policy, size }) => {
      const key = new Key(policy)
      const { now, receipts } = play(key, read(policy, from, history))
      const expires = kernel.expiresAt(policy, key.state)
      const later = Math.max(now, expires ?? assert.fail("never expires")) + (size % 2) * (size % 50)
      alike(key, new Key(policy), later, future, receipts)
    })

    law("resetAfter is exact: not as good as new before, and then it is", ({ from, history, policy }) => {
      const key = new Key(policy)
      play(key, read(policy, from, history), (event) => {
        const [answer] = key.ask(0, event.now)
        assert.strictEqual(answer.resetAfter, Math.max(0, (kernel.expiresAt(policy, key.state) ?? 0) - event.now))
        const [all] = key.ask(capacity(policy), event.now)
        assert.strictEqual(all.retryAfter, answer.remaining === capacity(policy) ? 0 : answer.resetAfter)
      })
    })

    law("remaining is what can be taken now", ({ from, history, policy }) => {
      const key = new Key(policy)
      play(key, read(policy, from, history), (event, answer) => {
        assert.strictEqual(key.ask(0, event.now)[0].remaining, answer.remaining)
        assert.isTrue(key.ask(answer.remaining, event.now)[0].allowed)
        assert.isFalse(key.ask(answer.remaining + 1, event.now)[0].allowed)
      })
    })

    law("states and receipts survive serialisation", ({ from, history, policy }) => {
      const key = new Key(policy)
      const copy = new Key(policy)
      const receipts: Array<readonly [Receipt, Receipt]> = []
      for (const event of read(policy, from, history)) {
        copy.state = JSON.parse(JSON.stringify(copy.state))
        const pair =
          event.op === "refund" ? receipts.splice(event.pick % Math.max(1, receipts.length), 1)[0] : undefined
        if (event.op === "take") {
          const [one, two] = [key.take(event.cost, event.now), copy.take(event.cost, event.now)]
          assert.deepStrictEqual(words(one), words(two))
          if (one.allowed) receipts.push([one.receipt, JSON.parse(JSON.stringify(two.receipt))])
        } else if (pair !== undefined) {
          assert.deepStrictEqual(words(key.refund(pair[0], event.now)), words(copy.refund(pair[1], event.now)))
        }
        assert.deepStrictEqual(copy.state, key.state)
      }
    })

    law(
      "full demand gets the whole bound",
      ({ from, policy, size }) => {
        const key = new Key(policy)
        const every = 1 + (size % Math.max(1, Math.min(20, span(policy))))
        const ticks = 400
        const least = specimen.least(policy, from, every, ticks)
        let admitted = 0
        for (let tick = 0; tick < ticks; tick++) {
          const now = from + tick * every
          const { remaining } = key.ask(0, now)[0]
          if (key.take(remaining, now).allowed) admitted += remaining
        }
        if (least !== undefined) assert.isAtLeast(admitted, least)
      },
      { small: 300, large: 0 }
    )

    law("a cost above the capacity never passes, and a cost of 0 takes nothing", ({ from, history, policy, size }) => {
      const key = new Key(policy)
      for (const event of read(policy, from, history)) {
        const [never, same] = key.ask(capacity(policy) + 1 + size, event.now + size * YEAR)
        assert.strictEqual(never.retryAfter, NEVER)
        assert.isFalse(never.allowed)
        assert.strictEqual(same, key.state)
        const [peek, still] = key.ask(0, event.now)
        assert.isTrue(peek.allowed)
        assert.strictEqual(still, key.state)
        const copy = key.copy()
        copy.refund(peek.receipt, event.now)
        assert.deepStrictEqual(copy.state, key.state)
        if (event.op === "take") key.take(event.cost, event.now)
      }
    })

    law("every number is whole and none is negative", ({ from, history, policy }) => {
      const key = new Key(policy)
      play(key, read(policy, from, history), (_, { receipt, remaining, resetAfter, retryAfter }) => {
        const wait = retryAfter === NEVER ? 0 : retryAfter
        for (const number of [...numbersIn(key.state), ...numbersIn(receipt), remaining, resetAfter, wait]) {
          assert.isTrue(Number.isSafeInteger(number) && number >= 0, `${number}`)
        }
        assert.isAtMost(remaining, capacity(policy))
      })
    })

    law(
      "reset forgets, and no refund from before fills a key above its capacity",
      ({ from, history, policy, size }) => {
        const key = new Key(policy)
        const { now, receipts } = play(key, read(policy, from, history))
        const [answer, state] = kernel.step(policy, key.state, { op: "reset" }, now)
        assert.deepStrictEqual(state, kernel.initial(policy))
        assert.deepStrictEqual(words(answer), {
          allowed: true,
          remaining: capacity(policy),
          resetAfter: 0,
          retryAfter: 0
        })
        key.state = state
        key.take(1 + (size % capacity(policy)), now)
        for (const receipt of receipts) key.refund(receipt, now)
        assert.isTrue(numbersIn(key.state).every((number) => number >= 0))
        assert.isTrue(key.take(key.ask(0, now)[0].remaining, now).allowed)
        assert.isFalse(key.take(1, now).allowed)
      }
    )

    const anyPolicy = Arbitrary.flatMap(int(0, 1), (i) => (i === 0 ? specimen.small : specimen.large))
    it.effect.prop(
      "a state that another policy left heals",
      { policy: specimen.small, other: anyPolicy, from: start, history: rolls, future: rolls },
      ({ from, future, history, other, policy }) =>
        Effect.sync(() => {
          const foreign = new Key(other)
          const { now } = play(foreign, read(other, from, history))
          const key = new Key(policy, foreign.state)
          const { remaining, resetAfter } = key.ask(0, now)[0]
          assert.isTrue(remaining >= 0 && remaining <= capacity(policy))
          assert.isAtMost(resetAfter, span(policy))
          exact(key, capacity(policy), now)
          alike(key, new Key(policy), now + resetAfter, future)
        }),
      { timeout: 60_000, arbitrary: { runs: 300, size: 40, seed } }
    )
  })
}
