import { assert, describe, it } from "@effect/vitest"
import { lease } from "../../src/kernel/Lease.ts"
import { type TokenBucketPolicy, type TokenBucketState, tokenBucket } from "../../src/kernel/TokenBucket.ts"
import { int } from "./laws.ts"

const policy: TokenBucketPolicy = { limit: 10, window: 1_000, burst: 20 }

describe("tokens of a bucket taken ahead", () => {
  const taken = (state: TokenBucketState, cost: number, most: number, now = 1_000) => {
    const [answer, after] = lease.step(policy, state, { cost, most }, now)
    return { answer, after, taken: answer.allowed ? answer.receipt.cost : 0 }
  }
  const fresh = lease.initial(policy)

  it("are as many as were asked for, or as there are, or none where they are too few", () => {
    assert.strictEqual(taken(fresh, 3, 12).taken, 12)
    assert.strictEqual(taken(fresh, 3, 50).taken, 20)
    const { after } = taken(fresh, 1, 15)
    assert.strictEqual(taken(after, 5, 9).taken, 5)
    const refused = taken(after, 6, 9)
    assert.deepStrictEqual([refused.taken, refused.answer.retryAfter, refused.after === after], [0, 100, true])
    assert.strictEqual(taken(after, 6, 9, 1_100).taken, 6)
    assert.strictEqual(taken(fresh, 21, 21).answer.retryAfter, -1)
  })

  it("are asked for by a kernel with a name and a version of its own", () => {
    assert.match(lease.id, /^[\w-]+@\d+$/)
    assert.notStrictEqual(lease.id, tokenBucket.id)
  })

  it.prop(
    "are a take of the bucket's, of what was taken",
    [int(0, 20), int(1, 21), int(0, 30), int(0, 3_000)],
    ([before, cost, more, now]) => {
      const [, state] = tokenBucket.step(policy, fresh, { op: "take", cost: before }, 500)
      const leased = lease.step(policy, state, { cost, most: cost + more }, now)
      const { remaining } = tokenBucket.step(policy, state, { op: "take", cost: 0 }, now)[0]
      const expected = Math.max(cost, Math.min(cost + more, remaining))
      assert.deepStrictEqual(leased, tokenBucket.step(policy, state, { op: "take", cost: expected }, now))
      assert.strictEqual(leased[0].allowed, cost <= remaining)
      assert.strictEqual(lease.expiresAt(policy, leased[1]), tokenBucket.expiresAt(policy, leased[1]))
    }
  )
})
