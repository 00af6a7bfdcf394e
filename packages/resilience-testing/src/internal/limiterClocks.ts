/** What a limiter kernel makes of states from a clock that was far ahead. */
import * as assert from "node:assert/strict"
import { LEAST_TOLERANCE } from "effect-resilience/kernel/FarAhead"
import type { LimiterKernel } from "effect-resilience/kernel/Limiter"
import type { LimiterSpecimen } from "./limiterSpecimen.ts"
import { alike, Key, play, words } from "./limiterKey.ts"
import { type Given, read } from "./limiterTraffic.ts"

/** How far ahead of `now` a state is still believed. */
export const toleranceOf = <Policy, State, Receipt>(
  { span }: LimiterKernel<Policy, State, Receipt>,
  policy: Policy
): number => (span === undefined ? Infinity : Math.max(span(policy), LEAST_TOLERANCE))

class Clocks<Policy, State, Receipt> {
  private readonly specimen: LimiterSpecimen<Policy, State, Receipt>
  constructor(specimen: LimiterSpecimen<Policy, State, Receipt>) {
    this.specimen = specimen
  }

  private tolerance(policy: Policy): number {
    return toleranceOf(this.specimen.kernel, policy)
  }

  /** A state may know the beginning of a window only, which is up to a span before the newest admission. */
  private far(policy: Policy): number {
    return this.tolerance(policy) + this.specimen.span(policy) + 1
  }

  /** Many such spans in a row are still times that are counted exactly. */
  private isCountable(policy: Policy): boolean {
    return this.far(policy) < 2 ** 45
  }

  private fresh(policy: Policy): Key<Policy, State, Receipt> {
    return new Key(this.specimen, policy)
  }

  /** A state from far ahead answers and is kept as the initial one. */
  areOver({ from, future, history, policy, size }: Given<Policy>): void {
    if (!this.isCountable(policy)) return
    const { capacity } = this.specimen
    const key = this.fresh(policy)
    const { now, receipts } = play(key, read(this.specimen, policy, from + this.far(policy) + size, history))
    const past = from + size - (size % 2) * Math.min(size, from)
    if (past + this.far(policy) > now || receipts.length === 0) return
    for (const cost of [0, 1, capacity(policy), capacity(policy) + 1]) {
      const [answer, state] = key.ask(cost, past)
      const [asked, after] = this.fresh(policy).ask(cost, past)
      assert.deepStrictEqual(words(answer), words(asked), `cost ${cost} at ${past}, newest ${now}`)
      if (cost > 0 && cost <= capacity(policy)) assert.deepStrictEqual(state, after, "what is kept")
      else assert.strictEqual(state, key.state, "nothing was taken, and another state")
    }
    for (const receipt of receipts) key.refund(receipt, past)
    alike(key, this.fresh(policy), past, [{ gap: 0, size: 0, cost: 0, what: 99, pick: 0 }, ...future])
  }

  /** Whatever the clock showed, the longest refusal is the tolerance and a span. */
  closeForAWhile({ from, history, policy, size }: Given<Policy>): void {
    const { capacity, span } = this.specimen
    const tolerance = this.tolerance(policy)
    const key = this.fresh(policy)
    const { now } = play(key, read(this.specimen, policy, from, history))
    for (const ahead of [0, size, tolerance, tolerance + 1, this.far(policy), size * this.far(policy)]) {
      const { retryAfter } = key.ask(capacity(policy), Math.max(0, now - ahead))[0]
      assert.ok(retryAfter <= tolerance + span(policy), `closed for ${retryAfter} ms, ${ahead} ms before`)
    }
  }

  /** Between two steps back beyond the tolerance, no more than the bound is admitted. */
  grantOneBound(
    { from, history, policy, size }: Given<Policy>,
    atMost: (policy: Policy, millis: number) => number | bigint
  ): void {
    if (!this.isCountable(policy)) return
    const far = this.far(policy)
    const key = this.fresh(policy)
    let shift = 0
    let [first, newest, units] = [0, 0, 0n]
    for (const event of read(this.specimen, policy, from + 2 * history.length * far, history, 0)) {
      if (event.op !== "take") continue
      if ((event.now + size) % 5 === 0) shift += far * (1 + (size % 2)) // the clock is set back
      let now = event.now - shift
      if (now < newest && newest - now <= far) now = Math.max(now, newest - this.tolerance(policy))
      const isOver = newest - now > far
      const answer = key.take(event.cost, now)
      if (isOver && event.cost <= this.specimen.capacity(policy)) assert.ok(answer.allowed, `closed at ${now}`)
      if (!answer.allowed || event.cost === 0) continue
      if (isOver || units === 0n) [first, newest, units] = [now, now, 0n]
      newest = Math.max(newest, now)
      units += BigInt(event.cost)
      const bound = atMost(policy, newest - first)
      assert.ok(units <= BigInt(bound), `${units} units from ${first} to ${newest}, at most ${bound} promised`)
    }
  }
}

/** The laws of a kernel that has a `span`: it says how far ahead it believes a state. */
export const clockLaws = <Policy, State, Receipt>(
  specimen: LimiterSpecimen<Policy, State, Receipt>
): ReadonlyArray<readonly [name: string, check: (given: Given<Policy>) => void]> => {
  if (specimen.kernel.span === undefined) return []
  const clocks = new Clocks(specimen)
  const { atMost } = specimen
  return [
    ["what is further ahead than the tolerance is read as the initial state", (given) => clocks.areOver(given)],
    [
      "however far ahead a clock was, a key is closed for at most the tolerance and a span",
      (given) => clocks.closeForAWhile(given)
    ],
    ...(atMost === undefined
      ? []
      : [
          [
            "a step back beyond the tolerance grants at most one bound more",
            (given: Given<Policy>) => clocks.grantOneBound(given, atMost)
          ] as const
        ])
  ]
}
