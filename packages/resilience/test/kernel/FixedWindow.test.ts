import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import type { FixedWindowPolicy, FixedWindowReceipt, FixedWindowState } from "../../src/kernel/FixedWindow.ts"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import { NEVER } from "../../src/kernel/Limiter.ts"
import { int, limiterLaws } from "./laws.ts"
import type { KernelLaws } from "effect-resilience-testing"

const costOf = (admitted: ReadonlyArray<KernelLaws.Admission>): number =>
  admitted.reduce((sum, { cost }) => sum + cost, 0)
const aligned = ({ window }: FixedWindowPolicy, admitted: ReadonlyArray<KernelLaws.Admission>, at: number): number =>
  costOf(admitted.filter(({ now }) => now - (now % window) === at - (at % window)))

limiterLaws<FixedWindowPolicy, FixedWindowState, FixedWindowReceipt>({
  kernel: fixedWindow,
  policy: Arbitrary.all({ limit: int(1, 20), window: int(1, 50) }),
  largePolicy: Arbitrary.all({ limit: int(1, 1e6), window: int(1, 1e9) }),
  capacity: ({ limit }) => limit,
  span: ({ window }) => window,
  // the limit in each aligned window that a span touches
  atMost: ({ limit, window }, millis) => limit * (1 + Math.ceil(millis / window)),
  admits: (policy, admitted, next) => aligned(policy, [...admitted, next], next.now) <= policy.limit,
  atLeast: ({ limit, window }, start, every, ticks) => {
    const windows = new Set<number>()
    for (let tick = 0; tick < ticks; tick++) windows.add(Math.floor((start + tick * every) / window))
    return limit * windows.size
  }
})

describe("fixed window", () => {
  const policy = { limit: 10, window: 10_000 }
  const key = () => {
    let state = fixedWindow.initial(policy)
    return (now: number, cost = 1) => {
      const [answer, next] = fixedWindow.step(policy, state, { op: "take", cost }, now)
      state = next
      return answer
    }
  }

  it("a client paced at half the interval never gets 19 in one window (pitfall 34, D3)", () => {
    const take = key()
    const admitted: Array<number> = []
    for (let now = 0; now < 100_000; now += 500) if (take(now).allowed) admitted.push(Math.floor(now / 10_000))
    for (let window = 0; window < 10; window++) {
      assert.strictEqual(admitted.filter((one) => one === window).length, 10)
    }
  })

  it("one of ten used stays used until the window ends (D3)", () => {
    const take = key()
    assert.deepInclude(take(0), { remaining: 9, resetAfter: 10_000 })
    assert.deepInclude(take(9_999, 0), { remaining: 9, resetAfter: 1 })
    assert.deepInclude(take(10_000, 0), { remaining: 10, resetAfter: 0 })
  })

  it("twice the limit may pass across an edge, as stated, and no more (pitfall 34)", () => {
    const take = key()
    assert.isTrue(take(9_999, 10).allowed)
    assert.isTrue(take(10_000, 10).allowed)
    assert.deepInclude(take(19_998), { allowed: false, retryAfter: 2 })
  })

  it("a cost above the limit never passes, and tells what is really left (pitfall 36)", () => {
    const take = key()
    take(1, 4)
    assert.deepInclude(take(1, 11), { allowed: false, retryAfter: NEVER, remaining: 6, resetAfter: 9_999 })
  })

  it("a clock that steps back into an earlier window stays in the newest one", () => {
    const take = key()
    assert.isTrue(take(25_000, 10).allowed)
    assert.deepInclude(take(10_000), { allowed: false, retryAfter: 20_000 })
    assert.isTrue(take(30_000).allowed)
  })

  it("a longer window takes over what a shorter one left, and does not freeze the key", () => {
    const [, old] = fixedWindow.step(
      { limit: 10, window: 1_000 },
      fixedWindow.initial(policy),
      { op: "take", cost: 8 },
      8_123_000
    )
    const [answer] = fixedWindow.step(policy, old, { op: "take", cost: 3 }, 8_124_000)
    assert.deepInclude(answer, { allowed: false, remaining: 2, retryAfter: 6_000 })
    assert.isTrue(fixedWindow.step(policy, old, { op: "take", cost: 10 }, 8_130_000)[0].allowed)
  })

  it("a refund after the window ended changes nothing", () => {
    const [first, one] = fixedWindow.step(policy, fixedWindow.initial(policy), { op: "take", cost: 4 }, 9_000)
    const [, two] = fixedWindow.step(policy, one, { op: "take", cost: 4 }, 11_000)
    const [, three] = fixedWindow.step(policy, two, { op: "refund", receipt: first.receipt }, 11_000)
    assert.strictEqual(three, two)
  })
})
