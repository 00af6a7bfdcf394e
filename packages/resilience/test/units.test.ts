/** Buckets count in whole units whatever the numbers: decisions are those of the definition, in big integers. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter, Rejection } from "../src/index.ts"
import { lease } from "../src/kernel/Lease.ts"
import { type TokenBucketPolicy, type TokenBucketReceipt, tokenBucket } from "../src/kernel/TokenBucket.ts"
import { drawsOf } from "./draws.ts"

const DAY = 86_400_000
const NOW = 1_796_040_000_000

/** The numbers that the kernel is given. */
const policyOf = (limit: RateLimiter.Limit): TokenBucketPolicy => limit.spec.policy as TokenBucketPolicy // of a bucket

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)
const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)
const up = (a: bigint, b: bigint): bigint => (a + b - 1n) / b

interface State {
  readonly at: bigint
  readonly debt: bigint
  readonly since: bigint
  readonly refunded: bigint
}
interface Receipt {
  readonly cost: bigint
  readonly before: State
  readonly after: State
}

/** `limit` per `window`, as asked for: a token is `window` units, a millisecond pays back `limit` of them. */
class Definition {
  private readonly limit: bigint
  private readonly window: bigint
  private readonly burst: bigint
  state: State = { at: 0n, debt: 0n, since: 0n, refunded: 0n }

  constructor({ burst, limit, window }: TokenBucketPolicy) {
    this.limit = BigInt(limit)
    this.window = BigInt(window)
    this.burst = BigInt(burst)
  }

  private owed(time: bigint): bigint {
    return max(0n, this.state.debt - (time - this.state.at) * this.limit)
  }

  look(now: bigint) {
    const { at, debt, since } = this.state
    return {
      remaining: (this.burst * this.window - this.owed(max(now, at))) / this.window,
      resetAfter: max(0n, max(at + up(debt, this.limit), since) - now)
    }
  }

  take(cost: bigint, now: bigint): { readonly retryAfter: bigint; readonly receipt: Receipt | undefined } {
    const before = this.state
    if (cost > this.burst) return { retryAfter: -1n, receipt: undefined }
    const time = max(now, before.at)
    const owed = this.owed(time)
    const over = owed + (cost - this.burst) * this.window
    if (over > 0n) return { retryAfter: time - now + up(over, this.limit), receipt: undefined }
    const renewed = owed === 0n ? { since: max(time, before.since), refunded: 0n } : {}
    const after = { ...before, at: time, debt: owed + cost * this.window, ...renewed }
    this.state = after
    return { retryAfter: 0n, receipt: { cost, before, after } }
  }

  /** What is still owed of the call's own part of the debt. */
  refund({ after, before, cost }: Receipt, now: bigint): void {
    const { state } = this
    if ((["at", "debt", "since", "refunded"] as const).every((field) => state[field] === after[field])) {
      this.state = before
      return
    }
    const time = max(now, state.at)
    let back = min(cost * this.window, this.owed(time))
    if (after.at < state.at) {
      if (after.at < state.since) return
      back = min(back, after.debt - (state.refunded - after.refunded) - (time - after.at) * this.limit)
    }
    if (back <= 0n || after.at > state.at) return
    const refunded = state.refunded + back
    const isFull = refunded > this.burst * this.window
    this.state = {
      at: state.at,
      debt: state.debt - back,
      since: isFull ? max(time, state.since) + 1n : state.since,
      refunded: isFull ? 0n : refunded
    }
  }
}

describe("a bucket of large numbers", () => {
  const seed = Number(process.env["UNITS_SEED"] ?? 1)
  const draw = drawsOf(seed)
  const int = (least: number, most: number): number =>
    Math.min(most, least + Math.floor(((draw(2 ** 30) + draw(2 ** 30) / 2 ** 30) / 2 ** 30) * (most - least + 1)))

  const numbers: ReadonlyArray<() => readonly [limit: number, window: number]> = [
    () => [2 ** int(20, 45), DAY * int(1, 31)],
    () => [int(1, 1e9), DAY],
    () => [int(1, 1e12), DAY * int(1, 31)],
    () => [int(1, 2 ** 40), int(1, 100_000)],
    () => [int(1, 1_000), int(1, 10_000)],
    () => [1e10, DAY],
    () => [123_456_789, 30 * DAY]
  ]

  it(`decides 100,000 times as the definition does, takes back and leases as it does, and is never faster (UNITS_SEED=${seed})`, () => {
    let [decisions, rounded, refunds] = [0, 0, 0]
    for (let round = 0; decisions < 100_000; round++) {
      const [limit, window] = numbers[round % numbers.length]!()
      const burst = draw(2) === 0 ? limit : int(1, limit)
      const policy = policyOf(RateLimiter.tokenBucket({ limit, window, burst }))
      assert.strictEqual(policy.burst, burst)
      assert.isAtMost(policy.burst * policy.window, 2 ** 52)
      const [pays, asked] = [BigInt(policy.limit) * BigInt(window), BigInt(limit) * BigInt(policy.window)]
      assert.isTrue(pays <= asked, "never faster than asked for")
      assert.isTrue((asked - pays) * 100_000n <= asked, "a hundred-thousandth slower at most")
      if (pays < asked) rounded++
      // in the user's own numbers, unless the rate is another
      const definition = new Definition(pays === asked ? { limit, window, burst } : policy)
      const unit = BigInt(pays === asked ? window : policy.window) / BigInt(policy.window)
      let state = tokenBucket.initial(policy)
      const receipts: Array<readonly [TokenBucketReceipt, Receipt]> = []
      const rest = Math.ceil((burst * policy.window) / policy.limit)
      let now = NOW
      for (let i = 0; i < 40; i++) {
        const pace = draw(10)
        now += pace < 3 ? 0 : pace < 8 ? int(0, Math.ceil(rest / 8)) : int(0, 2 * rest)
        const at = BigInt(now)
        const [pair] = draw(4) === 0 && receipts.length > 0 ? receipts.splice(draw(receipts.length), 1) : []
        if (pair !== undefined) {
          state = tokenBucket.step(policy, state, { op: "refund", receipt: pair[0] }, now)[1]
          definition.refund(pair[1], at)
          refunds++
        } else {
          const least = draw(3) === 0 ? burst : int(1, Math.max(1, Math.floor(burst / 4)))
          const most = draw(3) === 0 ? int(least, burst) : least
          const remaining = Number(definition.look(at).remaining)
          const cost = Math.max(least, Math.min(most, remaining)) // of a lease: as many as there are
          const [answer, after] =
            most > least
              ? lease.step(policy, state, { cost: least, most }, now)
              : tokenBucket.step(policy, state, { op: "take", cost }, now)
          const { receipt, retryAfter } = definition.take(BigInt(cost), at)
          assert.strictEqual(BigInt(answer.retryAfter), retryAfter, `${limit} per ${window}, burst ${burst}`)
          assert.strictEqual(answer.allowed, receipt !== undefined)
          assert.strictEqual(BigInt(answer.remaining), definition.look(at).remaining)
          assert.strictEqual(BigInt(answer.resetAfter), definition.look(at).resetAfter)
          if (receipt !== undefined) receipts.push([answer.receipt, receipt])
          state = after
          decisions++
        }
        assert.strictEqual(BigInt(state.debt) * unit, definition.state.debt)
      }
    }
    assert.isAbove(rounded, 100)
    assert.isAbove(refunds, 10_000)
  })

  it("says the numbers that it was given, and counts in lowest terms", () => {
    const bucket = RateLimiter.tokenBucket({ limit: 100_000_000, window: "1 day" })
    assert.deepInclude(bucket, { limit: 100_000_000, window: DAY, capacity: 100_000_000 })
    assert.deepStrictEqual(policyOf(bucket), { limit: 125, window: 108, burst: 100_000_000 })
    assert.deepStrictEqual(
      policyOf(RateLimiter.tokenBucket({ limit: 100, window: "1 minute", burst: 100 })),
      policyOf(RateLimiter.tokenBucket({ limit: 6_000, window: "1 hour", burst: 100 }))
    )
    assert.deepStrictEqual(RateLimiter.fixedWindow({ limit: 100, window: "1 minute" }).spec.policy, {
      limit: 100,
      window: 60_000
    })
  })

  it("is accepted: a TiB a day, 123,456,789 in 30 days, 1,000 dollars a day in micro-dollars", () => {
    for (const [limit, window] of [
      [2 ** 40, "1 day"],
      [123_456_789, "30 days"],
      [1_000_000_000, "1 day"],
      [10_000_000_000, "1 day"]
    ] as const) {
      RateLimiter.tokenBucket({ limit, window })
      RateLimiter.leakyBucket({ limit, window, capacity: limit })
    }
  })

  it("is refused where it would not be refilled as asked for, with the field that is too large", () => {
    const refused = (make: () => unknown) => {
      try {
        make()
      } catch (error) {
        return error instanceof Rejection.InvalidPolicyError ? [error.parameter, error.value] : error
      }
      return "accepted"
    }
    const burst = 2 ** 40
    const slow = { limit: 1_000, window: "1 day" } as const
    assert.deepStrictEqual(
      refused(() => RateLimiter.tokenBucket({ ...slow, burst })),
      ["burst", burst]
    )
    assert.deepStrictEqual(
      refused(() => RateLimiter.leakyBucket({ ...slow, capacity: burst })),
      ["capacity", burst]
    )
    for (const limit of [0, 2.5, -1, NaN, 2 ** 53]) {
      assert.deepStrictEqual(
        refused(() => RateLimiter.tokenBucket({ limit, window: "1 day" })),
        ["limit", limit]
      )
    }
    const window = "1 month" as "1 day" // no unit of Effect's
    assert.deepStrictEqual(
      refused(() => RateLimiter.tokenBucket({ limit: 1, window })),
      ["window", window]
    )
  })

  it("takes the share of a process, and what a lease can be late with, of the numbers that the user gave", () => {
    const { spec } = RateLimiter.tokenBucket({ limit: 100_000_000, window: "1 day" })
    const third = spec.scale!(spec.policy as never, 1 / 3) as TokenBucketPolicy // of a bucket
    assert.deepStrictEqual(third, policyOf(RateLimiter.tokenBucket({ limit: 33_333_333, window: "1 day" })))
    const leased = RateLimiter.tokenBucket({
      limit: 2 ** 40,
      window: "1 day",
      lease: { duration: "10 seconds", share: 1_000 }
    })
    const late = Number((2n ** 40n * 10_000n + BigInt(DAY) - 1n) / BigInt(DAY))
    assert.deepInclude(leased, { limit: 2 ** 40, window: DAY, capacity: 2 ** 40 - late })
    assert.isAtMost(policyOf(leased).burst * policyOf(leased).window, 2 ** 52)
    const half = leased.spec.scale!(leased.spec.policy as never, 0.5) as TokenBucketPolicy // of a bucket
    assert.strictEqual(half.burst, Math.floor((2 ** 40 - late) / 2))
    assert.closeTo(half.limit / half.window / (2 ** 39 / DAY), 1, 1e-5)
  })

  it.effect("refuses a cost in fractions, and waits as long as a token takes", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 100_000_000, window: "1 day" }))
      assert.isTrue(yield* limiter.allow("a", { cost: 100_000_000 }))
      const exit = yield* Effect.exit(Effect.suspend(() => limiter.acquire("a", { cost: 0.5 })))
      assert.strictEqual(exit._tag, "Failure")
      assert.strictEqual((yield* limiter.peek("a")).waitFor(100_000), 86_400)
      yield* TestClock.adjust(86_399)
      assert.isFalse(yield* limiter.allow("a", { cost: 100_000 }))
      yield* TestClock.adjust(1)
      assert.isTrue(yield* limiter.allow("a", { cost: 100_000 }))
    })
  )
})
