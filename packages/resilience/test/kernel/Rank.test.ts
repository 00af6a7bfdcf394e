/** Which key is forgotten first where keys are bounded: one number of the state. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { breaker, type BreakerPolicy, type BreakerState } from "../../src/kernel/Breaker.ts"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import type { Decision, Kernel } from "../../src/kernel/Kernel.ts"
import { slidingLog } from "../../src/kernel/SlidingLog.ts"
import { slidingWindow } from "../../src/kernel/SlidingWindow.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

// oxlint-disable-next-line typescript/no-explicit-any -- kernels of all kinds are played alike
type AnyKernel = Kernel<any, any, any, Decision>

const limits: Record<string, readonly [kernel: AnyKernel, policyOf: (limit: number) => unknown]> = {
  "fixed window": [fixedWindow, (limit) => ({ limit, window: 1_000 })],
  "sliding window": [slidingWindow, (limit) => ({ limit, slice: 100, slices: 10 })],
  "sliding log": [slidingLog, (limit) => ({ limit, window: 1_000 })]
}

describe("the rank of a limit's key", () => {
  for (const [kind, [kernel, policyOf]] of Object.entries(limits)) {
    it.prop(
      `of a ${kind} is at most its end, and is its end where it is drained at once`,
      {
        limit: int(1, 20),
        start: int(0, 5_000),
        takes: Arbitrary.array(Arbitrary.all({ gap: int(0, 700), cost: int(1, 5) }), { maxLength: 12 })
      },
      ({ limit, start, takes }) => {
        const policy = policyOf(limit)
        const rank = (state: unknown) => kernel.rank!(policy, state)
        let state: unknown = kernel.initial(policy)
        let now = start
        for (const { cost, gap } of takes) {
          now += gap
          state = kernel.step(policy, state, { op: "take", cost }, now)[1]
          assert.isAtMost(rank(state), kernel.expiresAt(policy, state)!)
        }
        const drained = kernel.step(policy, kernel.initial(policy), { op: "take", cost: limit }, now)[1]
        assert.strictEqual(rank(drained), kernel.expiresAt(policy, drained))
      }
    )

    it(`of a ${kind} grows with what is owed, and with the time at which it was taken`, () => {
      const policy = policyOf(10)
      const rank = (cost: number, now: number) =>
        kernel.rank!(policy, kernel.step(policy, kernel.initial(policy), { op: "take", cost }, now)[1])
      for (let cost = 2; cost <= 10; cost++) assert.isBelow(rank(cost - 1, 5_000), rank(cost, 5_000))
      assert.isBelow(rank(3, 5_000), rank(3, 6_000))
    })
  }

  it("is the time at which it would be repaid evenly", () => {
    assert.strictEqual(fixedWindow.rank!({ limit: 10, window: 1_000 }, { start: 3_000, used: 3 }), 3_300)
    assert.strictEqual(
      slidingLog.rank!({ limit: 3, window: 1_000 }, { times: [100, 400], counts: [1, 1], total: 2 }),
      1_067
    )
    // counted for eleven slices, where the window has ten
    const policy = { limit: 10, slice: 100, slices: 10 }
    assert.strictEqual(slidingWindow.rank!(policy, { start: 500, counts: [2, 0, 3] }), 1_050)
  })

  it("is not beyond its end where a larger policy left more than the limit", () => {
    assert.strictEqual(fixedWindow.rank!({ limit: 10, window: 1_000 }, { start: 3_000, used: 99 }), 4_000)
  })
})

describe("the rank of a circuit", () => {
  const policy: BreakerPolicy = {
    trips: [
      { kind: "consecutive", failures: 5, within: 1_000 },
      { kind: "rate", slowAfter: 0, threshold: 0.5, minimumCalls: 20, calls: 100, slice: 0, slices: 0 }
    ],
    openLow: [300],
    openHigh: [300],
    openGrowth: 0,
    openCap: 300,
    permitted: 1,
    required: 1,
    lease: 0
  }
  const state = (phase: BreakerState["phase"], more: Partial<BreakerState> = {}): BreakerState => ({
    ...breaker.initial(policy),
    phase,
    ...more
  })
  const failed = (consecutive: number, rate: number, head = 0): BreakerState =>
    state("Closed", {
      windows: [
        { calls: consecutive, bad: consecutive, head, cells: [] },
        { calls: 100, bad: rate, head: 0, cells: [] }
      ]
    })
  const late = 2 ** 41

  it("is by phase, then by failures, then by time, and an isolated one is never forgotten", () => {
    const order = [
      state("Closed"),
      failed(0, 1),
      failed(1, 1, 10),
      failed(0, 3),
      failed(5, 100),
      failed(5_000, 5_000),
      state("HalfOpen", { since: 7, openFor: 300 }),
      state("Open", { since: 0, openFor: 300 }),
      state("Open", { since: 0, openFor: 301 }),
      state("Open", { since: late, openFor: 2 ** 40 }),
      state("Isolated")
    ]
    const ranks = order.map((one) => breaker.rank!(policy, one))
    assert.deepStrictEqual(
      ranks,
      ranks.toSorted((a, b) => a - b)
    )
    assert.strictEqual(new Set(ranks).size, ranks.length)
    assert.strictEqual(ranks.at(-1), Infinity)
    for (const rank of ranks.slice(0, -1)) assert.isTrue(Number.isSafeInteger(rank))
  })

  it("is, of two that count as many failures, lower for the one that forgets them first", () => {
    const only = { ...policy, trips: policy.trips.slice(0, 1) }
    const one = (head: number) => breaker.rank!(only, failed(1, 0, head))
    assert.isBelow(one(10), one(11))
    assert.isBelow(one(late), one(late + 1))
    const never = { ...policy, trips: [{ kind: "consecutive", failures: 5, within: 0 } as const] }
    assert.isBelow(one(late), breaker.rank!(never, failed(1, 0)), "one that never forgets comes last")
  })
})
