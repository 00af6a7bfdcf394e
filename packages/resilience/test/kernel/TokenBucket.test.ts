import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import { NEVER } from "../../src/kernel/Limiter.ts"
import type { TokenBucketPolicy, TokenBucketReceipt, TokenBucketState } from "../../src/kernel/TokenBucket.ts"
import { tokenBucket } from "../../src/kernel/TokenBucket.ts"
import { int, limiterLaws } from "./laws.ts"

const atMost = ({ burst, limit, window }: TokenBucketPolicy, millis: number): bigint =>
  BigInt(burst) + (BigInt(limit) * BigInt(millis)) / BigInt(window)

limiterLaws<TokenBucketPolicy, TokenBucketState, TokenBucketReceipt>({
  kernel: tokenBucket,
  // Half of the rates are one token each so many whole milliseconds: there, different histories meet in one state.
  policy: Arbitrary.map(
    Arbitrary.all({ limit: int(1, 30), window: int(1, 60), burst: int(1, 20), even: int(0, 1) }),
    ({ burst, even, limit, window }) => ({ limit, window: even === 1 ? limit * (1 + (window % 12)) : window, burst })
  ),
  largePolicy: Arbitrary.map(
    Arbitrary.all({ limit: int(1, 1e6), window: int(1, 1e9), burst: int(1, 1e6) }),
    ({ burst, limit, window }) => ({ limit, window, burst: Math.min(burst, Math.floor(2 ** 52 / window)) })
  ),
  capacity: ({ burst }) => burst,
  span: ({ burst, limit, window }) => Math.ceil((burst * window) / limit),
  atMost,
  // every span that ends with the call keeps to the bound
  admits: (policy, admitted, next) => {
    let units = 0n
    return [next, ...admitted.toReversed()].every(({ cost, now }) => {
      units += BigInt(cost)
      return units <= atMost(policy, next.now - now)
    })
  },
  // Where the bucket may be full between two ticks, what would drip over is lost to everybody.
  atLeast: ({ burst, limit, window }, _, every, ticks) =>
    every * limit <= (burst - 1) * window ? burst + Math.floor((limit * (ticks - 1) * every) / window) : undefined
})

describe("token bucket", () => {
  const bucket = (policy: TokenBucketPolicy) => {
    let state = tokenBucket.initial(policy)
    const step = (input: Parameters<typeof tokenBucket.step>[2], now: number) => {
      const [answer, next] = tokenBucket.step(policy, state, input, now)
      state = next
      return answer
    }
    return {
      take: (now: number, cost = 1) => step({ op: "take", cost }, now),
      refund: (now: number, receipt: TokenBucketReceipt) => step({ op: "refund", receipt }, now),
      reset: (now: number) => step({ op: "reset" }, now),
      burst: (now: number) => {
        let admitted = 0
        while (admitted < 2000 && step({ op: "take", cost: 1 }, now).allowed) admitted++
        return admitted
      },
      get state() {
        return state
      }
    }
  }

  /** The usual implementation: one theoretical arrival time, in doubles. */
  const gcraInDoubles = (limit: number, window: number, burst: number, now: number): number => {
    const interval = window / limit
    let arrival = now
    for (let admitted = 0; ; admitted++) {
      const next = Math.max(arrival, now) + interval
      if (next - burst * interval > now) return admitted
      arrival = next
    }
  }

  it("every limit from 1 to 1000 admits exactly its burst, where doubles admit one fewer for many", () => {
    const now = 1_700_000_000_000
    let fewer = 0
    for (let limit = 1; limit <= 1000; limit++) {
      for (const window of [1, 1000, 60_000, 86_400_000]) {
        assert.strictEqual(bucket({ limit, window, burst: limit }).burst(now), limit, `${limit} per ${window} ms`)
      }
      if (gcraInDoubles(limit, 1000, limit, now) < limit) fewer++
    }
    assert.isAbove(fewer, 300)
  })

  it("a drained bucket admits at retryAfter, for every limit from 1 to 1000", () => {
    for (let limit = 1; limit <= 1000; limit++) {
      const key = bucket({ limit, window: 1000, burst: 7 })
      assert.strictEqual(key.burst(12_345), 7)
      const { retryAfter } = key.take(12_345)
      assert.strictEqual(retryAfter, Math.ceil(1000 / limit))
      assert.isFalse(key.take(12_345 + retryAfter - 1).allowed)
      assert.isTrue(key.take(12_345 + retryAfter).allowed)
    }
  })

  it("a burst of 15 means 15, not 16 (pitfall 35)", () => {
    const key = bucket({ limit: 30, window: 60_000, burst: 15 })
    assert.strictEqual(key.burst(0), 15)
    assert.deepInclude(key.take(0), { allowed: false, remaining: 0, retryAfter: 2000, resetAfter: 30_000 })
  })

  it("a cost above the burst never passes, and tells what is really left (pitfall 36)", () => {
    const key = bucket({ limit: 10, window: 1000, burst: 5 })
    key.take(0, 3)
    assert.deepInclude(key.take(0, 6), { allowed: false, retryAfter: NEVER, remaining: 2, resetAfter: 300 })
    assert.deepInclude(key.take(0, 6_000_000), { allowed: false, retryAfter: NEVER, remaining: 2, resetAfter: 300 })
    assert.isTrue(key.take(0, 2).allowed)
  })

  it("is a leaky bucket as a meter: what was poured in drains at the rate", () => {
    const key = bucket({ limit: 2, window: 1000, burst: 5 }) // capacity 5, leaks 2 a second
    const backlog = (now: number) => 5 - key.take(now, 0).remaining
    for (let i = 0; i < 4; i++) key.take(0)
    assert.strictEqual(backlog(0), 4)
    assert.strictEqual(backlog(499), 4)
    assert.strictEqual(backlog(500), 3)
    assert.strictEqual(backlog(1000), 2)
    assert.deepInclude(key.take(1000, 4), { allowed: false, retryAfter: 500 })
    assert.strictEqual(backlog(2000), 0)
  })

  it("a clock that steps back waits for the time already seen", () => {
    const key = bucket({ limit: 1, window: 1000, burst: 1 })
    key.take(5000)
    assert.deepInclude(key.take(4000), { allowed: false, retryAfter: 2000, resetAfter: 2000 })
    assert.isTrue(key.take(6000).allowed)
  })

  it("a refund with nothing admitted since restores the very state", () => {
    const key = bucket({ limit: 3, window: 1000, burst: 5 })
    key.take(10, 2)
    const before = key.state
    const { receipt } = key.take(200, 3)
    key.refund(300, receipt)
    assert.strictEqual(key.state, before)
  })

  it("a refund gives back the part of the call's own interval that is still to come", () => {
    for (const [at, back] of [
      [100, 1000],
      [1000, 1000],
      [1400, 600],
      [1999, 1],
      [2000, 0],
      [2500, 0]
    ] as const) {
      const key = bucket({ limit: 1, window: 1000, burst: 3 })
      key.take(0)
      const { receipt } = key.take(0) // pays from 1000 to 2000
      key.take(50)
      const owed = key.take(at, 0).resetAfter
      key.refund(at, receipt)
      assert.strictEqual(owed - key.take(at, 0).resetAfter, back, `refunded at ${at}`)
    }
  })

  it("two refunds never free the token of a third call (golang/go#56924, #69419)", () => {
    const key = bucket({ limit: 1, window: 1000, burst: 2 })
    const a = key.take(0).receipt
    const b = key.take(0).receipt
    key.refund(0, a)
    // b pays alone now, up to 1000, though it was told 1000 to 2000.
    assert.isTrue(key.take(1000).allowed)
    key.refund(1000, b)
    assert.strictEqual(key.burst(1000), 1)
  })

  it("a forgotten key gives nothing back for what it forgot", () => {
    const policy = { limit: 1, window: 1000, burst: 2 }
    const key = bucket(policy)
    const a = key.take(1).receipt
    const b = key.take(1).receipt
    key.refund(1, a)
    key.reset(1500) // as a sweep would: the state expired at 1001
    key.take(1500)
    key.refund(1500, b)
    assert.strictEqual(key.burst(1500), 1)
  })

  it("refunds in the order of admission give everything back, also behind a survivor", () => {
    const key = bucket({ limit: 1, window: 1000, burst: 10 })
    const taken = [0, 10, 20, 30, 40].map((now) => key.take(now).receipt)
    key.take(50)
    for (const receipt of taken) key.refund(60, receipt)
    assert.strictEqual(key.take(60, 0).remaining, 9)
    assert.strictEqual(key.take(60, 0).resetAfter, 1000)
  })

  it("a refund frees no token of a call that came to the same debt later", () => {
    const key = bucket({ limit: 1, window: 10, burst: 3 })
    key.take(0)
    const { receipt } = key.take(0) // owes 20, its own part from 10 to 20
    key.take(10) // owes 20 again
    key.refund(10, receipt)
    assert.deepInclude(key.take(10, 0), { remaining: 2, resetAfter: 10 })
  })

  it("a refund frees no token of a call that filled the place of another refund", () => {
    const key = bucket({ limit: 1, window: 10, burst: 10 })
    const [z, a] = [key.take(0).receipt, key.take(0).receipt]
    const d = key.take(5).receipt // owes 25
    key.take(5)
    key.refund(5, a) // owes 25 again
    key.refund(5, d)
    key.refund(5, z)
    assert.isAtLeast(key.take(5, 0).resetAfter, 10)
  })

  it("a receipt from after the key was forgotten and the clock set back gives nothing back", () => {
    const key = bucket({ limit: 1, window: 1000, burst: 2 })
    const { receipt } = key.take(9000)
    key.reset(9000)
    key.take(100)
    key.refund(100, receipt)
    assert.strictEqual(key.take(100, 0).remaining, 1)
  })

  it("a bucket whose refunds overran the counter is not as good as new before that counter is", () => {
    const key = bucket({ limit: 1, window: 10, burst: 2 })
    let last = key.take(0).receipt
    for (let i = 0; i < 3; i++) {
      const next = key.take(0).receipt
      key.refund(0, last)
      last = next
    }
    key.refund(0, last)
    assert.deepInclude(key.take(0, 0), { remaining: 2, resetAfter: 1 })
    // Up to there, a call is told apart from older ones by nothing: it gives nothing back behind a later one.
    const { receipt } = key.take(0)
    key.take(5)
    key.refund(5, receipt)
    assert.strictEqual(key.take(5, 0).resetAfter, 15)
  })

  it("counts its refunds exactly, also where they come without end", () => {
    const key = bucket({ limit: 1, window: 2 ** 32, burst: 2 ** 20 }) // capacity 2^52
    key.take(0)
    for (let now = 0; now < 50; now++) {
      const large = key.take(now, 2 ** 20 - 2).receipt
      const small = key.take(now).receipt
      key.refund(now, large)
      key.refund(now, small)
      assert.strictEqual(key.take(now, 0).remaining, 2 ** 20 - 1)
      assert.isAtMost(key.state.refunded, 2 ** 52)
    }
  })
})
