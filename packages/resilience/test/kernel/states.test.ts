/** The states themselves: what stores keep. What they mean for decisions is told by the laws. */
import { assert, describe, it } from "@effect/vitest"
import { type BreakerState, breaker, indifferent, view } from "../../src/kernel/Breaker.ts"
import { add, EMPTY } from "../../src/kernel/BreakerWindow.ts"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import { slidingLog } from "../../src/kernel/SlidingLog.ts"
import { slidingWindow } from "../../src/kernel/SlidingWindow.ts"
import { tokenBucket, type TokenBucketState } from "../../src/kernel/TokenBucket.ts"
import { byCalls, consecutive, defaults, make } from "./breakerCircuit.ts"

const circuit = { ...defaults, trips: [consecutive(1), byCalls(50, 4, 2)] }
const bucket = { limit: 1, window: 10, burst: 4 } // a token is 10 units, and takes 10 ms

it("a kernel's name and version stand next to its states: changed by accident, a store would forget everything", () => {
  assert.deepStrictEqual(
    [breaker, fixedWindow, slidingLog, slidingWindow, tokenBucket].map(({ id }) => id),
    ["circuit-breaker@3", "fixed-window@2", "sliding-log@2", "sliding-window@2", "token-bucket@2"]
  )
})

it("an absent key means these states", () => {
  assert.deepStrictEqual(tokenBucket.initial(bucket), { at: 0, debt: 0, since: 0, refunded: 0 })
  assert.deepStrictEqual(fixedWindow.initial({ limit: 1, window: 1 }), { start: 0, used: 0 })
  assert.deepStrictEqual(slidingWindow.initial({ limit: 1, slice: 1, slices: 3 }), { start: 0, counts: [] })
  assert.deepStrictEqual(slidingLog.initial({ limit: 1, window: 1 }), { times: [], counts: [], total: 0 })
  assert.deepStrictEqual(breaker.initial(circuit), {
    phase: "Closed",
    generation: 0,
    ended: 0,
    since: 0,
    openFor: 0,
    openings: 0,
    openedBy: "none",
    draw: 0,
    windows: [EMPTY, EMPTY],
    trial: { issued: 0, successes: 0, failures: 0, probes: [] }
  })
})

it("a success is told to a half-open circuit, also to one that was left by other trips and remembers no failure", () => {
  const policy = { ...defaults, trips: [consecutive(1)] }
  const state: BreakerState = { ...breaker.initial(policy), phase: "HalfOpen", generation: 2 }
  assert.isFalse(indifferent(policy, state))
})

it("a receipt for nothing gives nothing back", () => {
  const log = slidingLog.step(
    { limit: 3, window: 10 },
    { times: [7, 9], counts: [1, 1], total: 2 },
    { op: "take", cost: 0 },
    9
  )
  const { receipt } = log[0]
  assert.deepStrictEqual(slidingLog.step({ limit: 3, window: 10 }, log[1], { op: "refund", receipt }, 9)[1], log[1])
  const window = fixedWindow.step({ limit: 3, window: 10 }, { start: 10, used: 2 }, { op: "take", cost: 0 }, 12)
  const refund = { op: "refund", receipt: window[0].receipt } as const
  assert.deepStrictEqual(fixedWindow.step({ limit: 3, window: 10 }, window[1], refund, 12)[1], { start: 10, used: 2 })
})

describe("a circuit's state", () => {
  const after = (state: BreakerState, ...steps: ReadonlyArray<readonly [outcome: "success" | "failure", at: number]>) =>
    steps.reduce((before, [outcome, at]) => {
      const [{ generation, probe }, admitted] = breaker.step(circuit, before, { op: "admit", draw: 0 }, at)
      const report = { generation, probe, outcome, duration: 0, slowFed: 0, retryAfter: 0, draw: 0 }
      return breaker.step(circuit, admitted, { op: "record", ...report }, at)[1]
    }, state)

  it("counts its openings, and nothing else", () => {
    const openings = (...steps: Parameters<typeof after> extends [unknown, ...infer Rest] ? Rest : never) =>
      after(breaker.initial(circuit), ...steps).openings
    assert.strictEqual(openings(["success", 1]), 0)
    assert.strictEqual(openings(["failure", 1]), 1)
    assert.strictEqual(openings(["failure", 1], ["failure", 200]), 2)
    assert.strictEqual(openings(["failure", 1], ["failure", 200], ["success", 400]), 0)
  })

  it("does not grow with failures in a row, where they count however old", () => {
    const trip = consecutive(9)
    const three = [1, 2, 3].reduce((window, now) => add(trip, window, true, now), EMPTY)
    assert.deepStrictEqual(three, { calls: 3, bad: 3, head: 0, cells: [] })
  })

  it("that a policy with more probes left lets one call through, and does not refuse for ever", () => {
    const wide = { ...circuit, permitted: 5, required: 5 }
    let state = after(breaker.initial(circuit), ["failure", 1])
    for (let i = 0; i < 4; i++) {
      const [{ generation, probe }, admitted] = breaker.step(wide, state, { op: "admit", draw: 0 }, 200)
      const report = { generation, probe, outcome: "success", duration: 0, slowFed: 0, retryAfter: 0, draw: 0 } as const
      state = breaker.step(wide, admitted, { op: "record", ...report }, 200)[1]
    }
    const narrow = { ...circuit, permitted: 2, required: 2 }
    assert.deepInclude(view(narrow, state, 201), { phase: "HalfOpen", successes: 4, retryAfter: 0 })
    assert.isTrue(breaker.step(narrow, state, { op: "admit", draw: 0 }, 201)[0].allowed)
  })
})

describe("a window of the last calls", () => {
  it("notes a failure behind any number of successes, also of more than one word of bits", () => {
    for (const successes of [0, 1, 29, 30, 31, 59, 60, 61, 95]) {
      const trip = byCalls(50, 100, 1)
      let window = EMPTY
      for (let i = 0; i < successes; i++) window = add(trip, window, false, 1)
      window = add(trip, window, true, 1)
      assert.deepInclude(window, { calls: successes + 1, bad: 1 })
      for (let i = 1; i < 100; i++) window = add(trip, window, false, 1)
      assert.deepInclude(window, { calls: 100, bad: 1 }, `after ${successes}`)
      window = add(trip, window, false, 1)
      assert.deepInclude(window, { calls: 100, bad: 0 }, "it fell out")
    }
  })
})

describe("slow calls are ranked among slow trips alone", () => {
  it("whatever other trips stand before them", () => {
    const slow = make({ trips: [consecutive(9), byCalls(50, 4, 1), byCalls(50, 4, 1, 20)] })
    const permit = slow.admit(0)
    slow.slow(permit, 20, 0)
    assert.strictEqual(slow.view(20).phase, "Open")
  })
})

describe("a token bucket's refund", () => {
  const refund = (state: TokenBucketState, cost: number, after: TokenBucketState, now: number) =>
    tokenBucket.step(
      bucket,
      state,
      { op: "refund", receipt: { cost, before: tokenBucket.initial(bucket), after } },
      now
    )[1]

  it("takes off what others gave back since the call, and not what they gave back before", () => {
    const left = { at: 100, debt: 20, since: 90, refunded: 10 }
    assert.deepStrictEqual(refund({ at: 101, debt: 29, since: 90, refunded: 10 }, 1, left, 101), {
      at: 101,
      debt: 19,
      since: 90,
      refunded: 20
    })
    // 20, less 6 that came back since, less 10 that time paid
    assert.strictEqual(refund({ at: 110, debt: 30, since: 90, refunded: 16 }, 1, left, 110).debt, 26)
  })

  it("is not undone as a whole where the counter of refunds began anew in between", () => {
    const left = { at: 100, debt: 10, since: 100, refunded: 0 }
    assert.deepStrictEqual(refund({ ...left, since: 101 }, 1, left, 100), {
      at: 100,
      debt: 0,
      since: 101,
      refunded: 10
    })
  })

  it("starts the counter anew where it has passed the capacity, and later each time", () => {
    const left = { at: 100, debt: 20, since: 90, refunded: 0 }
    const state = { at: 100, debt: 30, since: 101, refunded: 35 }
    assert.deepStrictEqual(refund(state, 1, left, 100), { at: 100, debt: 20, since: 102, refunded: 0 })
    assert.deepStrictEqual(refund({ ...state, since: 95 }, 1, left, 100).since, 101)
  })
})
