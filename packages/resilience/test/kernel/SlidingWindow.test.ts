import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { NEVER } from "../../src/kernel/Limiter.ts"
import type { SlidingWindowPolicy, SlidingWindowReceipt, SlidingWindowState } from "../../src/kernel/SlidingWindow.ts"
import { slidingWindow } from "../../src/kernel/SlidingWindow.ts"
import { int, limiterLaws } from "./laws.ts"
import type { KernelLaws } from "effect-resilience-testing"

const costOf = (admitted: ReadonlyArray<KernelLaws.Admission>): number =>
  admitted.reduce((sum, { cost }) => sum + cost, 0)

limiterLaws<SlidingWindowPolicy, SlidingWindowState, SlidingWindowReceipt>({
  kernel: slidingWindow,
  policy: Arbitrary.all({ limit: int(1, 20), slice: int(1, 10), slices: int(1, 8) }),
  largePolicy: Arbitrary.all({ limit: int(1, 1e6), slice: int(1, 5e7), slices: int(1, 20) }),
  capacity: ({ limit }) => limit,
  span: ({ slice, slices }) => slice * (slices + 1),
  // the limit also where both ends of the window are included, which is one millisecond more than promised
  atMost: ({ limit, slice, slices }, millis) => limit * (1 + Math.floor(millis / (slice * slices + 1))),
  admits: ({ limit, slice, slices }, admitted, { cost, now }) =>
    cost + costOf(admitted.filter((one) => one.now >= now - (now % slice) - slices * slice)) <= limit,
  // The whole limit at once, and again when its slice has left.
  atLeast: ({ limit, slice, slices }, _, every, ticks) =>
    limit * (1 + Math.floor(((ticks - 1) * every) / (slice * (slices + 1) + every - 1)))
})

describe("sliding window", () => {
  const policy = { limit: 10, slice: 1_000, slices: 10 }
  const key = () => {
    let state = slidingWindow.initial(policy)
    return (now: number, cost = 1) => {
      const [answer, next] = slidingWindow.step(policy, state, { op: "take", cost }, now)
      state = next
      return answer
    }
  }

  it("the end of one window and the start of the next share one limit (pitfall 34)", () => {
    const take = key()
    assert.isTrue(take(9_999, 10).allowed)
    assert.deepInclude(take(10_000), { allowed: false, retryAfter: 10_000 })
    assert.isFalse(take(19_999).allowed)
    assert.isTrue(take(20_000, 10).allowed)
  })

  it("a paced client never gets more than the limit in any ten seconds (D3)", () => {
    const take = key()
    const admitted: Array<number> = []
    for (let now = 0; now < 60_000; now += 500) if (take(now).allowed) admitted.push(now)
    for (const now of admitted) {
      assert.isAtMost(admitted.filter((one) => one > now - 10_000 && one <= now).length, 10)
    }
    assert.isAtLeast(admitted.length, 54)
  })

  it("units come back slice by slice, each at most one slice late", () => {
    const take = key()
    take(500, 4)
    take(1_500, 4)
    assert.deepInclude(take(2_000, 3), { allowed: false, remaining: 2, retryAfter: 9_000, resetAfter: 10_000 })
    assert.deepInclude(take(2_000, 10), { allowed: false, retryAfter: 10_000 })
    assert.strictEqual(take(10_999, 0).remaining, 2)
    assert.strictEqual(take(11_000, 0).remaining, 6)
    assert.strictEqual(take(12_000, 0).remaining, 10)
  })

  it("a key seen again after long idleness has forgotten every slice", () => {
    const take = key()
    take(0, 10)
    assert.isTrue(take(31_536_000_000, 10).allowed)
    assert.isFalse(take(31_536_000_000).allowed)
  })

  it("a cost above the limit never passes, and tells what is really left (pitfall 36)", () => {
    const take = key()
    take(0, 4)
    assert.deepInclude(take(0, 11), { allowed: false, retryAfter: NEVER, remaining: 6, resetAfter: 11_000 })
  })

  it("a refund goes to the slice it came from, while that counts", () => {
    const [first, one] = slidingWindow.step(policy, slidingWindow.initial(policy), { op: "take", cost: 4 }, 500)
    const [, two] = slidingWindow.step(policy, one, { op: "take", cost: 3 }, 5_500)
    const [answer, three] = slidingWindow.step(policy, two, { op: "refund", receipt: first.receipt }, 6_000)
    assert.strictEqual(answer.remaining, 7)
    assert.deepStrictEqual(three.counts, [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    const [, four] = slidingWindow.step(policy, three, { op: "take", cost: 1 }, 11_000)
    assert.strictEqual(slidingWindow.step(policy, four, { op: "refund", receipt: first.receipt }, 11_000)[1], four)
  })

  it("a longer slice takes over what a shorter one left, and does not freeze the key", () => {
    const short = { limit: 10, slice: 100, slices: 10 }
    const [, old] = slidingWindow.step(short, slidingWindow.initial(short), { op: "take", cost: 8 }, 8_123_456)
    assert.deepInclude(slidingWindow.step(policy, old, { op: "take", cost: 3 }, 8_124_000)[0], {
      allowed: false,
      remaining: 2
    })
    assert.isTrue(slidingWindow.step(policy, old, { op: "take", cost: 10 }, 8_134_000)[0].allowed)
  })

  it("a policy of fewer slices does not look at those that it does not count, when it says how long a key is kept", () => {
    const short = { limit: 10, slice: 100, slices: 2 }
    const end = (counts: ReadonlyArray<number>) => slidingWindow.expiresAt(short, { start: 1_000, counts })
    assert.strictEqual(end([0, 0, 5, 0, 0]), 1_100)
    assert.strictEqual(end([0, 0, 0, 0, 5]), 1_000)
  })
})
