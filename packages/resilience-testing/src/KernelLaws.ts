/**
 * The laws of a kernel, to run on one of your own.
 *
 * A limiter kernel that keeps them works with everything here: waits are as long as it says, a call that is interrupted
 * gives back what it took, keys are forgotten when that changes nothing, and the state can live in any store.
 *
 * Each law tries small policies, where every millisecond and unit can be tried, and large ones if you name some. States
 * and receipts are frozen all the way down: a kernel that writes into one fails.
 *
 * **Example** (The laws of a kernel of your own)
 *
 * ```ts
 * import { it } from "@effect/vitest"
 * import { Arbitrary, Schema } from "effect"
 * import { KernelLaws } from "effect-resilience-testing"
 * import { fixedWindow } from "effect-resilience/kernel/FixedWindow" // yours
 *
 * const upTo = (maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum })))
 * const laws = KernelLaws.limiter({
 *   kernel: fixedWindow,
 *   policy: Arbitrary.all({ limit: upTo(20), window: upTo(50) }),
 *   capacity: ({ limit }) => limit,
 *   span: ({ window }) => window,
 *   atMost: ({ limit, window }, millis) => limit * (1 + Math.ceil(millis / window))
 * })
 * for (const { check, name } of laws) it.effect(name, () => check)
 * ```
 *
 * @since 0.1.0
 */
import * as assert from "node:assert/strict"
import * as Arbitrary from "effect/Arbitrary"
import * as Limiter from "effect-resilience/kernel/Limiter"
import { clockLaws, toleranceOf } from "./internal/limiterClocks.ts"
import { alike, type Answer, exact, Key, play, words } from "./internal/limiterKey.ts"
import {
  costOf,
  type Dice,
  type Given,
  int,
  numbersIn,
  read as readDice,
  rolls,
  start,
  YEAR
} from "./internal/limiterTraffic.ts"
import type { Admission, LimiterSpecimen } from "./internal/limiterSpecimen.ts"
import * as Law from "./Law.ts"

export type { Admission, LimiterSpecimen } from "./internal/limiterSpecimen.ts"

/**
 * The laws of a limiter kernel. Without `atMost`, `admits` or `atLeast`, the law about it is left out; without the kernel's
 * `span`, those about clocks that were far ahead.
 *
 * @category laws
 * @since 0.1.0
 */
export const limiter = <Policy, State, Receipt>(
  specimen: LimiterSpecimen<Policy, State, Receipt>,
  options: Law.SearchOptions = {}
): ReadonlyArray<Law.Law> => {
  const { admits, atLeast, atMost, capacity, kernel, span } = specimen
  const fresh = (policy: Policy, state?: State) => new Key(specimen, policy, state)
  const read = (policy: Policy, from: number, history: ReadonlyArray<Dice>, refunds?: number, busy?: boolean) =>
    readDice(specimen, policy, from, history, refunds, busy)

  const laws: Array<Law.Law> = []
  const given = (policy: Arbitrary.Arbitrary<Policy>): Arbitrary.Arbitrary<Given<Policy>> =>
    Arbitrary.all({ policy, from: start, history: rolls, future: rolls, size: int(0, 999) })
  const law = (name: string, check: (given: Given<Policy>) => void, runs = { small: 300, large: 150 }) => {
    laws.push(Law.make(name, given(specimen.policy), check, { ...options, runs: runs.small }))
    const { largePolicy } = specimen
    if (largePolicy === undefined || runs.large === 0) return
    laws.push(Law.make(`${name}, also with large numbers`, given(largePolicy), check, { ...options, runs: runs.large }))
  }

  law("a refusal leaves the state as it was", ({ from, history, policy }) => {
    const key = fresh(policy)
    for (const event of read(policy, from, history, 0)) {
      const before = key.state
      if (event.op === "take" && !key.take(event.cost, event.now).allowed) {
        assert.strictEqual(key.state, before, `refused at ${event.now}, and another state`)
      }
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
      assert.ok(answer.remaining >= last.remaining, `${last.remaining} units were left, and later ${answer.remaining}`)
      assert.ok(key.ask(last.remaining, event.now)[0].allowed, `${last.remaining} units were left, and later refused`)
      last = answer
    }
  })

  if (atMost !== undefined) {
    law("no span sees more than its bound", ({ from, history, policy }) => {
      const { calls } = play(fresh(policy), read(policy, from, history, 0))
      calls.forEach((first, i) => {
        let units = 0n
        for (const { cost, now } of calls.slice(i)) {
          units += BigInt(cost)
          const bound = atMost(policy, now - first.now)
          assert.ok(units <= BigInt(bound), `${units} units from ${first.now} to ${now}, at most ${bound} promised`)
        }
      })
    })
  }

  if (admits !== undefined) {
    law("a call is admitted exactly where the definition admits it", ({ from, history, policy }) => {
      const admitted: Array<Admission> = []
      play(fresh(policy), read(policy, from, history, 0), (event, answer) => {
        if (event.op !== "take") return
        const fits = event.cost === 0 || admits(policy, admitted, event)
        assert.strictEqual(answer.allowed, fits, `cost ${event.cost} at ${event.now}`)
        if (answer.allowed && event.cost > 0) admitted.push(event)
      })
    })
  }

  law("n of cost 1 at one instant equal one of cost n", ({ from, future, history, policy, size }) => {
    const singles = fresh(policy)
    const { now } = play(singles, read(policy, from, history))
    const whole = singles.copy()
    const n = 1 + (size % Math.min(capacity(policy) + 1, 60))
    let admitted = 0
    for (let i = 0; i < n; i++) if (singles.take(1, now).allowed) admitted++
    const answer = whole.take(n, now)
    assert.strictEqual(answer.allowed, admitted === n, `${admitted} of ${n} one by one, at ${now}`)
    if (answer.allowed) alike(singles, whole, now, future)
  })

  const within = kernel.span === undefined ? "" : " within the tolerance"
  law(`a clock that steps back${within} is read as the time of the newest admission, and grants no more`, (given) => {
    const { from, history, policy, size } = given
    const key = fresh(policy)
    const steady = fresh(policy)
    let newest = 0
    for (const event of read(policy, from, history, 0)) {
      if (event.op !== "take") continue
      const back = event.now % 3 === 0 ? (size % 7 === 0 ? event.now : Math.floor((span(policy) * size) / 700)) : 0
      const now = Math.max(0, newest - toleranceOf(kernel, policy), event.now - back)
      const time = Math.max(newest, now)
      const answer = key.take(event.cost, now)
      const asked = steady.take(event.cost, time)
      assert.strictEqual(answer.allowed, asked.allowed, `cost ${event.cost} at ${now}, newest ${newest}`)
      if (answer.retryAfter > 0) assert.strictEqual(now + answer.retryAfter, time + asked.retryAfter, `at ${now}`)
      if (answer.allowed && event.cost > 0) newest = time
    }
  })

  for (const [name, check] of clockLaws(specimen)) law(name, check)

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
      assert.deepStrictEqual(words(key.ask(1, event.now)[0]), words(before.ask(1, event.now)[0]), `at ${event.now}`)
    }
  })

  law(
    "what survives any refunds would have been admitted alone",
    ({ from, future, history, policy, size }) => {
      const key = fresh(policy)
      const events = read(policy, from, history, 40, size % 4 > 0)
      const { calls, now } = play(key, events)
      const alone = fresh(policy)
      for (const { cost, now } of calls) assert.ok(alone.take(cost, now).allowed, `cost ${cost} at ${now}`)
      for (const event of [{ now }, ...read(policy, now, future)]) {
        const [one] = key.ask(0, event.now)
        const [two] = alone.ask(0, event.now)
        assert.ok(
          one.remaining <= two.remaining,
          `${one.remaining} units left, ${two.remaining} without the refunded calls`
        )
        assert.ok(one.resetAfter >= two.resetAfter, `as good as new sooner than without the refunded calls`)
      }
    },
    { small: 3000, large: 1500 }
  )

  law("after `undo` nothing was spent", (given) => {
    const { from, future, history, policy, size } = given
    const key = fresh(policy)
    const { now, receipts } = play(key, read(policy, from, history))
    const before = key.copy()
    const take = { op: "take", cost: 1 + (size % capacity(policy)) } as const
    const answer = key.take(take.cost, now)
    if (!answer.allowed) return
    const said = kernel.undo === undefined ? Limiter : kernel // as a shared store does with a limit
    assert.ok(said.takes?.(take) !== false, `\`takes\` denies a take of ${take.cost} units`)
    const undo = said.undo?.(take, answer)
    assert.ok(undo !== undefined, `\`undo\` gives back nothing of ${take.cost} units`)
    key.step(undo, now)
    alike(key, before, now, future, receipts)
  })

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
      const left = Math.max(0, (kernel.expiresAt(policy, key.state) ?? 0) - event.now)
      assert.strictEqual(answer.resetAfter, left, `resetAfter and expiresAt at ${event.now}`)
      const [all] = key.ask(capacity(policy), event.now)
      const whole = answer.remaining === capacity(policy) ? 0 : answer.resetAfter
      assert.strictEqual(all.retryAfter, whole, `the whole capacity at ${event.now}`)
    })
  })

  law("remaining is what can be taken now", ({ from, history, policy }) => {
    const key = fresh(policy)
    play(key, read(policy, from, history), (event, answer) => {
      assert.strictEqual(key.ask(0, event.now)[0].remaining, answer.remaining, `asked twice at ${event.now}`)
      assert.ok(key.ask(answer.remaining, event.now)[0].allowed, `${answer.remaining} units are left, and refused`)
      assert.ok(
        !key.ask(answer.remaining + 1, event.now)[0].allowed,
        `${answer.remaining} units are left, and one more`
      )
    })
  })

  law("states and receipts survive serialisation", ({ from, history, policy }) => {
    const key = fresh(policy)
    const copy = fresh(policy)
    const receipts: Array<readonly [Receipt, Receipt]> = []
    for (const event of read(policy, from, history)) {
      copy.state = JSON.parse(JSON.stringify(copy.state))
      const pair = event.op === "refund" ? receipts.splice(event.pick % Math.max(1, receipts.length), 1)[0] : undefined
      if (event.op === "take") {
        const [one, two] = [key.take(event.cost, event.now), copy.take(event.cost, event.now)]
        assert.deepStrictEqual(words(one), words(two), `cost ${event.cost} at ${event.now}`)
        if (one.allowed) receipts.push([one.receipt, JSON.parse(JSON.stringify(two.receipt))])
      } else if (pair !== undefined) {
        assert.deepStrictEqual(words(key.refund(pair[0], event.now)), words(copy.refund(pair[1], event.now)))
      }
      assert.deepStrictEqual(copy.state, key.state)
    }
  })

  if (atLeast !== undefined) {
    law(
      "full demand gets the whole bound",
      ({ from, policy, size }) => {
        const key = fresh(policy)
        const every = 1 + (size % Math.max(1, Math.min(20, span(policy))))
        const ticks = 400
        const least = atLeast(policy, from, every, ticks)
        let admitted = 0
        for (let tick = 0; tick < ticks; tick++) {
          const now = from + tick * every
          const { remaining } = key.ask(0, now)[0]
          if (key.take(remaining, now).allowed) admitted += remaining
        }
        if (least !== undefined) assert.ok(admitted >= least, `${admitted} units, at least ${least} promised`)
      },
      { small: 300, large: 0 }
    )
  }

  law("a cost above the capacity never passes, and a cost of 0 takes nothing", ({ from, history, policy, size }) => {
    const key = fresh(policy)
    for (const event of read(policy, from, history)) {
      const [never, same] = key.ask(capacity(policy) + 1 + size, event.now + size * YEAR)
      assert.strictEqual(never.retryAfter, Limiter.NEVER, "a cost above the capacity")
      assert.ok(!never.allowed, "a cost above the capacity passed")
      assert.strictEqual(same, key.state, "a refusal left another state")
      const [peek, still] = key.ask(0, event.now)
      assert.ok(peek.allowed, "a cost of 0 was refused")
      assert.strictEqual(still, key.state, "a cost of 0 left another state")
      const copy = key.copy()
      copy.refund(peek.receipt, event.now)
      assert.deepStrictEqual(copy.state, key.state, "the refund of nothing gave something back")
      if (event.op === "take") key.take(event.cost, event.now)
    }
  })

  law("every number is whole and none is negative", ({ from, history, policy }) => {
    const key = fresh(policy)
    play(key, read(policy, from, history), (_, { receipt, remaining, resetAfter, retryAfter }) => {
      const wait = retryAfter === Limiter.NEVER ? 0 : retryAfter
      for (const number of [...numbersIn(key.state), ...numbersIn(receipt), remaining, resetAfter, wait]) {
        if (!Number.isSafeInteger(number) || number < 0) assert.fail(`${number} in ${JSON.stringify(key.state)}`)
      }
      assert.ok(remaining <= capacity(policy), `${remaining} units are left`)
    })
  })

  law("reset forgets, and no refund from before fills a key above its capacity", ({ from, history, policy, size }) => {
    const key = fresh(policy)
    const { now, receipts } = play(key, read(policy, from, history))
    const [answer, state] = kernel.step(policy, key.state, { op: "reset" }, now)
    assert.deepStrictEqual(state, kernel.initial(policy), "after a reset")
    assert.deepStrictEqual(words(answer), {
      allowed: true,
      remaining: capacity(policy),
      resetAfter: 0,
      retryAfter: 0
    })
    key.state = state
    key.take(1 + (size % capacity(policy)), now)
    for (const receipt of receipts) key.refund(receipt, now)
    if (numbersIn(key.state).some((number) => number < 0)) assert.fail(JSON.stringify(key.state))
    assert.ok(key.take(key.ask(0, now)[0].remaining, now).allowed, "what is left can be taken")
    assert.ok(!key.take(1, now).allowed, "more than the capacity")
  })

  const others = specimen.largePolicy
  const anyPolicy =
    others === undefined ? specimen.policy : Arbitrary.flatMap(int(0, 1), (i) => (i === 0 ? specimen.policy : others))
  laws.push(
    Law.make(
      "a state that another policy left heals",
      Arbitrary.all({ policy: specimen.policy, other: anyPolicy, from: start, history: rolls, future: rolls }),
      ({ from, future, history, other, policy }) => {
        const foreign = fresh(other)
        const { now } = play(foreign, read(other, from, history))
        const key = fresh(policy, foreign.state)
        const { remaining, resetAfter } = key.ask(0, now)[0]
        assert.ok(remaining >= 0 && remaining <= capacity(policy), `${remaining} units are left`)
        assert.ok(resetAfter <= span(policy), `as good as new only after ${resetAfter} ms`)
        exact(key, capacity(policy), now)
        alike(key, fresh(policy), now + resetAfter, future)
      },
      { ...options, runs: 300 }
    )
  )
  return laws
}
