/** What a policy begins with on a key that another policy of the same algorithm has used. */
import { assert, describe, it } from "@effect/vitest"
import { adopted, type AnyKernel } from "../../src/kernel/Adoption.ts"
import { breaker, type BreakerPolicy, type BreakerState } from "../../src/kernel/Breaker.ts"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import { lease } from "../../src/kernel/Lease.ts"
import { slidingLog } from "../../src/kernel/SlidingLog.ts"
import { slidingWindow } from "../../src/kernel/SlidingWindow.ts"
import { tokenBucket } from "../../src/kernel/TokenBucket.ts"

const AT = 1_796_040_000_000

const limits: Readonly<
  Record<string, readonly [kernel: AnyKernel, policy: (most: number, window: number) => unknown]>
> = {
  "a token bucket": [tokenBucket, (most, window) => ({ limit: most, window, burst: most })],
  "a leased token bucket": [lease, (most, window) => ({ limit: most, window, burst: most })],
  "a fixed window": [fixedWindow, (most, window) => ({ limit: most, window })],
  "a sliding window": [slidingWindow, (most, window) => ({ limit: most, slice: window / 10, slices: 10 })],
  "a sliding log": [slidingLog, (most, window) => ({ limit: most, window })]
}

const take = (kernel: AnyKernel, policy: unknown, state: unknown, cost: number, now: number) =>
  kernel.step(policy, state, { op: "take", cost, most: cost }, now) as unknown as readonly [
    { readonly allowed: boolean; readonly remaining: number; readonly retryAfter: number },
    unknown
  ] // a limit's answer

describe("a limit that takes over", () => {
  for (const [name, [kernel, policyOf]] of Object.entries(limits)) {
    const from = policyOf(10, 60_000)
    const spent = () => take(kernel, from, kernel.initial(from), 7, AT)[1]

    it(`begins with the units that were used: ${name}`, () => {
      for (const most of [5, 7, 8, 100]) {
        const to = policyOf(most, 3_600_000)
        const state = adopted(kernel, true, to, from, spent(), AT)
        assert.strictEqual(take(kernel, to, state, 0, AT)[0].remaining, Math.max(0, most - 7))
        assert.isFalse(take(kernel, to, state, Math.max(0, most - 7) + 1, AT)[0].allowed)
      }
    })

    it(`begins with what was owed when that was written, and not with what is owed now: ${name}`, () => {
      // a millisecond before that time nothing of it is there, and after its span all is free
      const to = policyOf(7, 60_000)
      const state = adopted(kernel, true, to, from, spent(), AT)
      const later = AT + 66_000
      assert.strictEqual(take(kernel, to, state, 0, later)[0].remaining, 7)
      assert.deepStrictEqual(adopted(kernel, true, to, from, spent(), AT), state, "whenever it is asked")
    })

    it(`begins anew where nothing was used: ${name}`, () => {
      const to = policyOf(3, 1_000)
      assert.deepStrictEqual(adopted(kernel, true, to, from, kernel.initial(from), AT), kernel.initial(to))
    })
  }

  it("begins anew where the store does not know that it is a limit", () => {
    const from = { limit: 10, window: 60_000 }
    const [, spent] = take(fixedWindow, from, fixedWindow.initial(from), 7, AT)
    const to = { limit: 20, window: 60_000 }
    assert.deepStrictEqual(adopted(fixedWindow, false, to, from, spent, AT), fixedWindow.initial(to))
  })

  it("begins with nothing where no limit has such a policy: what holds it was damaged", () => {
    const to = { limit: 3, window: 60_000, burst: 3 }
    const state = { at: AT, debt: 3, since: AT, refunded: 0 }
    for (const from of [
      { limit: 0, window: 0, burst: 0 },
      { limit: 1, window: 1_000, burst: -1 },
      { limit: 1, window: 1, burst: 2 ** 53 }
    ]) {
      assert.isUndefined(adopted(tokenBucket, true, to, from, state, AT))
    }
    const [, spent] = take(tokenBucket, { ...to, burst: 1 }, tokenBucket.initial(to), 1, AT)
    assert.isDefined(adopted(tokenBucket, true, to, { ...to, burst: 1 }, spent, AT), "a bucket of one is a limit")
  })

  it("does what its kernel says, where that says it", () => {
    const kernel: AnyKernel = { ...fixedWindow, adopt: (policy: unknown, state: unknown) => ({ policy, state }) }
    const state = { start: 0, used: 3 }
    const from = { limit: 5, window: 10 }
    assert.deepStrictEqual(adopted(kernel, true, "to", from, state, AT), { policy: "to", state })
    assert.isUndefined(adopted(kernel, true, "to", { limit: 5, window: 0 }, state, AT), "there is no such policy")
    const picky: AnyKernel = { ...kernel, isState: (policy, state) => policy === from && state.used < 3 }
    assert.isUndefined(adopted(picky, true, "to", from, state, AT), "there is no such state of it")
    assert.isDefined(adopted(picky, true, "to", from, { start: 0, used: 2 }, AT))
  })
})

describe("a circuit that takes over", () => {
  const trip = { kind: "consecutive", failures: 3, within: 0 } as const
  const policy = (open: number, trips: BreakerPolicy["trips"] = [trip]): BreakerPolicy => ({
    trips,
    openLow: [open],
    openHigh: [open],
    openGrowth: 0,
    openCap: open,
    permitted: 2,
    required: 1,
    lease: 60_000
  })
  const from = policy(30_000)
  const report = (state: BreakerState, probe: number, now: number) =>
    breaker.step(
      from,
      state,
      {
        op: "record",
        generation: state.generation,
        probe,
        outcome: "failure",
        duration: 0,
        slowFed: 0,
        retryAfter: 0,
        draw: 0
      },
      now
    )[1]
  const failed = (times: number) => {
    let state = breaker.initial(from)
    for (let i = 0; i < times; i++) state = report(state, 0, AT)
    return state
  }
  const empty = { calls: 0, bad: 0, head: 0, cells: [] }
  const adopt = (to: BreakerPolicy, state: BreakerState) => adopted(breaker, false, to, from, state, AT) as BreakerState

  it("is as open as it was, for no longer than its own openings last", () => {
    const open = failed(3)
    for (const [longest, openFor] of [
      [60_000, 30_000],
      [30_000, 30_000],
      [10_000, 10_000]
    ] as const) {
      const state = adopt(policy(longest), open)
      const { generation, openings, since } = open
      assert.deepInclude(state, { phase: "Open", generation, since, openings, openFor, openedBy: "consecutive" })
      const [answer] = breaker.step(policy(longest), state, { op: "admit", draw: 0 }, AT + 1_000)
      assert.deepInclude(answer, { allowed: false, retryAfter: openFor - 1_000 })
    }
    const rare = { ...policy(20_000), openHigh: [5_000, 50_000], openCap: 20_000 }
    assert.strictEqual(adopt(rare, open).openFor, 30_000, "the longest of its openings is one of its own")
  })

  it("counts calls anew, in a window for each of its own trip policies", () => {
    const two = policy(30_000, [trip, { ...trip, failures: 9 }])
    const state = adopt(two, failed(2))
    assert.deepInclude(state, { phase: "Closed", windows: [empty, empty] })
    assert.deepStrictEqual(breaker.step(two, state, { op: "admit", draw: 0 }, AT)[0].allowed, true)
  })

  it("has all of its probes, and knows none of another policy's", () => {
    const open = failed(3)
    const [answer, probing] = breaker.step(from, open, { op: "admit", draw: 0 }, AT + 30_000)
    assert.deepInclude(answer, { allowed: true, phase: "HalfOpen", probe: 1 })
    const state = adopt(from, probing)
    assert.deepInclude(state, { phase: "HalfOpen", generation: probing.generation })
    assert.deepStrictEqual(state.trial, { issued: 0, successes: 0, failures: 0, probes: [] })
    let next = state
    for (const allowed of [true, true, false]) {
      const [admitted, after] = breaker.step(from, next, { op: "admit", draw: 0 }, AT + 30_000)
      assert.strictEqual(admitted.allowed, allowed)
      next = after
    }
  })

  it("stays isolated", () => {
    const [, isolated] = breaker.step(from, breaker.initial(from), { op: "isolate" }, AT)
    const state = adopt(policy(1_000), isolated)
    assert.deepInclude(state, { phase: "Isolated", generation: isolated.generation })
    assert.isFalse(breaker.step(policy(1_000), state, { op: "admit", draw: 0 }, AT + 10 ** 9)[0].allowed)
  })
})
