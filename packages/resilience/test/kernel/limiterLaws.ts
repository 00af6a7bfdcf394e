/**
 * The laws of every limiter kernel, as property tests over any kernel.
 *
 * Each law runs over small policies, where every millisecond and unit can be tried, and over the largest exact ones.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { NEVER } from "../../src/kernel/Limiter.ts"
import type { Answer, Specimen } from "./limiterKey.ts"
import { alike, exact, Key, play, words } from "./limiterKey.ts"
import type { Admission, Dice } from "./limiterTraffic.ts"
import { costOf, int, numbersIn, read as readDice, rolls, seed, start, YEAR } from "./limiterTraffic.ts"

/** Registers every law for one kernel. */
export const limiterLaws = <Policy, State, Receipt>(specimen: Specimen<Policy, State, Receipt>): void => {
  const { capacity, kernel, span } = specimen
  const fresh = (policy: Policy, state?: State) => new Key(specimen, policy, state)
  const read = (policy: Policy, from: number, history: ReadonlyArray<Dice>, refunds?: number, busy?: boolean) =>
    readDice(specimen, policy, from, history, refunds, busy)

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
      const key = fresh(policy)
      for (const event of read(policy, from, history, 0)) {
        const before = key.state
        if (event.op === "take" && !key.take(event.cost, event.now).allowed) assert.strictEqual(key.state, before)
      }
    })

    law("retryAfter is exact", ({ from, history, policy, size }) => {
      const key = fresh(policy)
      const { now } = play(key, read(policy, from, history))
      for (const cost of [1, 1 + (size % capacity(policy)), capacity(policy), capacity(policy) + 1]) {
        exact(key, cost, now)
        exact(key, cost, Math.max(0, now - size)) // a clock that stepped back
      }
    })

    law("waiting never hurts", ({ from, future, history, policy }) => {
      const key = fresh(policy)
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
      const { calls } = play(fresh(policy), read(policy, from, history, 0))
      assert.isUndefined(specimen.broken(policy, calls))
    })

    law("a call is admitted exactly where its definition admits it", ({ from, history, policy }) => {
      const admitted: Array<Admission> = []
      play(fresh(policy), read(policy, from, history, 0), (event, answer) => {
        if (event.op !== "take") return
        const fits = event.cost === 0 || specimen.admits(policy, admitted, event)
        assert.strictEqual(answer.allowed, fits, `cost ${event.cost} at ${event.now}`)
        if (answer.allowed && event.cost > 0) admitted.push(event)
      })
    })

    law("n of cost 1 at one instant equal one of cost n", ({ from, history, policy, size }) => {
      const singles = fresh(policy)
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
      const key = fresh(policy)
      const steady = fresh(policy)
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
      const key = fresh(given.policy)
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
      const key = fresh(policy)
      const { now } = play(key, read(policy, given.from, given.history))
      const before = key.copy()
      const taken = future
        .slice(0, 6)
        .map((roll) => key.take(costOf(specimen, policy, roll), now))
        .filter((answer) => answer.allowed)
      const later = now + (size % 4 === 0 ? 0 : Math.floor((span(policy) * size) / 2000))
      for (let i = 0; taken.length > 0; i++) {
        const [answer] = taken.splice((size + i) % taken.length, 1)
        key.refund((answer as Answer<Receipt>).receipt, later) // the list is not empty
      }
      for (const event of read(policy, later, future, 0)) {
        assert.deepStrictEqual(words(key.ask(1, event.now)[0]), words(before.ask(1, event.now)[0]))
      }
    })

    law(
      "what survives any refunds would have been admitted alone",
      ({ from, future, history, policy, size }) => {
        const key = fresh(policy)
        const events = read(policy, from, history, 40, size % 4 > 0)
        const { calls, now } = play(key, events)
        const alone = fresh(policy)
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
      const key = fresh(policy)
      const { now, receipts } = play(key, read(policy, from, history))
      const expires = kernel.expiresAt(policy, key.state)
      const later = Math.max(now, expires ?? assert.fail("never expires")) + (size % 2) * (size % 50)
      alike(key, fresh(policy), later, future, receipts)
    })

    law("resetAfter is exact: not as good as new before, and then it is", ({ from, history, policy }) => {
      const key = fresh(policy)
      play(key, read(policy, from, history), (event) => {
        const [answer] = key.ask(0, event.now)
        assert.strictEqual(answer.resetAfter, Math.max(0, (kernel.expiresAt(policy, key.state) ?? 0) - event.now))
        const [all] = key.ask(capacity(policy), event.now)
        assert.strictEqual(all.retryAfter, answer.remaining === capacity(policy) ? 0 : answer.resetAfter)
      })
    })

    law("remaining is what can be taken now", ({ from, history, policy }) => {
      const key = fresh(policy)
      play(key, read(policy, from, history), (event, answer) => {
        assert.strictEqual(key.ask(0, event.now)[0].remaining, answer.remaining)
        assert.isTrue(key.ask(answer.remaining, event.now)[0].allowed)
        assert.isFalse(key.ask(answer.remaining + 1, event.now)[0].allowed)
      })
    })

    law("states and receipts survive serialisation", ({ from, history, policy }) => {
      const key = fresh(policy)
      const copy = fresh(policy)
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
        const key = fresh(policy)
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
      const key = fresh(policy)
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
      const key = fresh(policy)
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
        const key = fresh(policy)
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
          const foreign = fresh(other)
          const { now } = play(foreign, read(other, from, history))
          const key = fresh(policy, foreign.state)
          const { remaining, resetAfter } = key.ask(0, now)[0]
          assert.isTrue(remaining >= 0 && remaining <= capacity(policy))
          assert.isAtMost(resetAfter, span(policy))
          exact(key, capacity(policy), now)
          alike(key, fresh(policy), now + resetAfter, future)
        }),
      { timeout: 60_000, arbitrary: { runs: 300, size: 40, seed } }
    )
  })
}
