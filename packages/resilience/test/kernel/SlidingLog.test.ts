import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { NEVER } from "../../src/kernel/Limiter.ts"
import type { SlidingLogPolicy, SlidingLogReceipt, SlidingLogState } from "../../src/kernel/SlidingLog.ts"
import { slidingLog } from "../../src/kernel/SlidingLog.ts"
import { int, limiterLaws } from "./laws.ts"
import type { KernelLaws } from "effect-resilience-testing"

/** What was taken in the `window` ms that end with `at`. */
const trailing = ({ window }: SlidingLogPolicy, admitted: ReadonlyArray<KernelLaws.Admission>, at: number): number =>
  admitted.reduce((sum, { cost, now }) => (now <= at && now > at - window ? sum + cost : sum), 0)

limiterLaws<SlidingLogPolicy, SlidingLogState, SlidingLogReceipt>({
  kernel: slidingLog,
  policy: Arbitrary.all({ limit: int(1, 20), window: int(1, 50) }),
  largePolicy: Arbitrary.all({ limit: int(1, 1e6), window: int(1, 1e9) }),
  capacity: ({ limit }) => limit,
  span: ({ window }) => window,
  atMost: ({ limit, window }, millis) => limit * (1 + Math.floor(millis / window)),
  admits: (policy, admitted, next) => trailing(policy, [...admitted, next], next.now) <= policy.limit,
  atLeast: ({ limit, window }, _, every, ticks) => limit * (1 + Math.floor((ticks - 1) / Math.ceil(window / every)))
})

describe("sliding log", () => {
  const policy = { limit: 10, window: 10_000 }
  const key = () => {
    let state = slidingLog.initial(policy)
    const take = (now: number, cost = 1) => {
      const [answer, next] = slidingLog.step(policy, state, { op: "take", cost }, now)
      state = next
      return answer
    }
    return { take, state: () => state }
  }

  it("the end of one window and the start of the next share one limit (pitfall 34)", () => {
    const { take } = key()
    assert.isTrue(take(9_999, 10).allowed)
    assert.deepInclude(take(10_000), { allowed: false, retryAfter: 9_999 })
    assert.isFalse(take(19_998).allowed)
    assert.isTrue(take(19_999, 10).allowed)
  })

  it("a paced client gets exactly the limit in any ten seconds (D3)", () => {
    const { take } = key()
    const admitted: Array<number> = []
    for (let now = 0; now < 60_000; now += 500) if (take(now).allowed) admitted.push(now)
    assert.strictEqual(admitted.length, 60)
    for (const now of admitted) {
      assert.isAtMost(admitted.filter((one) => one > now - 10_000 && one <= now).length, 10)
    }
  })

  it("waits for as many entries as the cost needs", () => {
    const { take } = key()
    take(100, 3)
    take(200, 3)
    take(300, 3)
    assert.deepInclude(take(300, 2), { allowed: false, remaining: 1, retryAfter: 9_800, resetAfter: 10_000 })
    assert.deepInclude(take(300, 4), { allowed: false, retryAfter: 9_800 })
    assert.deepInclude(take(300, 5), { allowed: false, retryAfter: 9_900 })
    assert.deepInclude(take(300, 10), { allowed: false, retryAfter: 10_000 })
  })

  it("keeps one entry for each instant, none for what was refused, and drops what is out", () => {
    const { state, take } = key()
    for (let i = 0; i < 100; i++) take(50)
    assert.deepStrictEqual(state(), { times: [50], counts: [10], total: 10 })
    for (let now = 100; now < 10_000; now += 100) take(now)
    assert.deepStrictEqual(state(), { times: [50], counts: [10], total: 10 })
    take(10_050, 2)
    assert.deepStrictEqual(state(), { times: [10_050], counts: [2], total: 2 })
  })

  it("a cost above the limit never passes, and tells what is really left (pitfall 36)", () => {
    const { take } = key()
    take(0, 4)
    assert.deepInclude(take(0, 11), { allowed: false, retryAfter: NEVER, remaining: 6, resetAfter: 10_000 })
  })

  it("a refund goes to its own entry, and an empty entry is dropped", () => {
    const step = (state: SlidingLogState, cost: number, now: number) =>
      slidingLog.step(policy, state, { op: "take", cost }, now)
    const [first, one] = step(slidingLog.initial(policy), 4, 1)
    const [, two] = step(one, 2, 2)
    const [, three] = slidingLog.step(policy, two, { op: "refund", receipt: first.receipt }, 3)
    assert.deepStrictEqual(three, { times: [2], counts: [2], total: 2 })
    assert.strictEqual(slidingLog.step(policy, three, { op: "refund", receipt: first.receipt }, 3)[1], three)
  })
})
