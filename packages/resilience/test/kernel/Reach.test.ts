/** `reach` of each kernel against the kernel itself: units that come one by one, each let through as early as it can. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import type { LimiterKernel } from "../../src/kernel/Limiter.ts"
import { slidingLog } from "../../src/kernel/SlidingLog.ts"
import { slidingWindow } from "../../src/kernel/SlidingWindow.ts"
import { tokenBucket } from "../../src/kernel/TokenBucket.ts"
import { int } from "./laws.ts"

interface Numbers {
  readonly limit: number
  readonly window: number
  readonly burst: number
  readonly slice: number
  readonly slices: number
}

/** A kernel, the policy for some numbers, and the largest cost that it takes. */
interface Kind {
  // oxlint-disable-next-line typescript/no-explicit-any -- kernels of every policy and state, which only meet themselves
  readonly kernel: LimiterKernel<any, any, any>
  readonly policyOf: (numbers: Numbers) => unknown
  readonly most: (numbers: Numbers) => number
  /** Absent: of all numbers. */
  readonly isExact?: (numbers: Numbers) => boolean
}

const kinds: ReadonlyArray<Kind> = [
  {
    kernel: tokenBucket,
    policyOf: (numbers) => numbers,
    most: ({ burst }) => burst,
    isExact: ({ burst, limit, window }) => burst === 1 || limit <= (burst - 1) * window
  },
  { kernel: fixedWindow, policyOf: (numbers) => numbers, most: ({ limit }) => limit },
  { kernel: slidingWindow, policyOf: (numbers) => numbers, most: ({ limit }) => limit },
  { kernel: slidingLog, policyOf: (numbers) => numbers, most: ({ limit }) => limit }
]

const numbers = Arbitrary.all({
  limit: int(1, 9),
  window: int(1, 50),
  burst: int(1, 9),
  slice: int(1, 9),
  slices: int(1, 5)
})

/** What was taken before: how long after the one before, and how much. A clock may step back. */
const before = Arbitrary.array(Arbitrary.all({ after: int(-3, 12), cost: int(1, 3) }), { maxLength: 20 })

describe("reach", () => {
  for (const { isExact = () => true, kernel, most, policyOf } of kinds) {
    const stateOf = (numbers: Numbers, taken: ReadonlyArray<{ readonly after: number; readonly cost: number }>) => {
      const policy = policyOf(numbers)
      let state: unknown = kernel.initial(policy)
      let now = 1_000
      for (const { after, cost } of taken) {
        now += after
        state = kernel.step(policy, state, { op: "take", cost }, now)[1]
      }
      return { policy, state, now }
    }

    /** The time at which each of the calls goes. */
    const turns = (policy: unknown, from: unknown, costs: ReadonlyArray<number>, now: number) => {
      let state = from
      let at = now
      return costs.map((cost) => {
        const input = { op: "take", cost } as const
        at += kernel.step(policy, state, input, at)[0].retryAfter
        state = kernel.step(policy, state, input, at)[1]
        return at
      })
    }

    it.effect.prop(
      `of ${kernel.id} is the turn of the last, where each asks for one unit`,
      { numbers, taken: before, gap: int(-4, 60), count: int(1, 40) },
      ({ count, gap, numbers, taken }) =>
        Effect.sync(() => {
          const { now: last, policy, state } = stateOf(numbers, taken)
          const now = last + gap
          const expected = turns(policy, state, Array(count).fill(1), now)
          const told = expected.map((_, i) => kernel.reach!(policy, state, i + 1, now))
          if (isExact(numbers)) assert.deepStrictEqual(told, expected)
          else assert.isTrue(told.every((one, i) => one <= expected[i]!))
        }),
      { arbitrary: { runs: 400 } }
    )

    it.effect.prop(
      `of ${kernel.id} is never after the turn of the last, where they ask for several`,
      { numbers, taken: before, gap: int(-4, 60), costs: Arbitrary.array(int(1, 9), { minLength: 1, maxLength: 20 }) },
      ({ costs, gap, numbers, taken }) =>
        Effect.sync(() => {
          const { now: last, policy, state } = stateOf(numbers, taken)
          const now = last + gap
          const fitting = costs.map((cost) => Math.min(cost, most(numbers)))
          let units = 0
          turns(policy, state, fitting, now).forEach((turn, i) => {
            units += fitting[i]!
            assert.isAtMost(kernel.reach!(policy, state, units, now), turn)
          })
        }),
      { arbitrary: { runs: 200 } }
    )

    it.effect(`of ${kernel.id} reads a state from a clock that was far ahead as one that owes nothing`, () =>
      Effect.sync(() => {
        const { now, policy, state } = stateOf({ limit: 2, window: 50, burst: 2, slice: 10, slices: 5 }, [
          { after: 100_000, cost: 2 }
        ])
        assert.isAbove(kernel.reach!(policy, state, 1, now), now)
        assert.strictEqual(kernel.reach!(policy, state, 2, now - 50_000), now - 50_000)
      })
    )
  }

  it.effect("of windows lets what a larger policy left shrink first", () =>
    Effect.sync(() => {
      assert.strictEqual(fixedWindow.reach!({ limit: 3, window: 10 }, { start: 40, used: 99 }, 3, 45), 50)
      const times = [40, 42, 44]
      assert.strictEqual(slidingLog.reach!({ limit: 3, window: 10 }, { times, counts: [3, 3, 3], total: 9 }, 1, 45), 54)
    })
  )
})
