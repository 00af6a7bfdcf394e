/** How long an attempt is expected to take. */
import { assert, describe, it } from "@effect/vitest"
import { Expected } from "../../src/engine/Expected.ts"
import { drawsOf } from "../draws.ts"

const after = (cap: number, ...times: ReadonlyArray<number>): Expected => {
  const expected = new Expected(cap)
  for (const time of times) expected.add(time, 0)
  return expected
}

describe("the expected time of an attempt", () => {
  it("is not known where no attempt has ended", () => {
    assert.isUndefined(new Expected(1_000).at(0))
    assert.isUndefined(new Expected(1_000).at(1e12))
  })

  it("is the 95th percentile: the longest of up to 20, the second longest of 21 to 32", () => {
    const upTo = (n: number) => after(1_000, ...Array.from({ length: n }, (_, i) => i + 1)).at(0)
    assert.deepStrictEqual([1, 2, 19, 20, 21, 32].map(upTo), [1, 2, 19, 19, 20, 31])
  })

  it("forgets all but the last 32", () => {
    const expected = after(1_000, ...Array.from({ length: 32 }, () => 900))
    assert.strictEqual(expected.at(0), 900)
    for (let i = 0; i < 30; i++) expected.add(5, 0)
    assert.strictEqual(expected.at(0), 900)
    expected.add(5, 0)
    assert.strictEqual(expected.at(0), 5)
  })

  it("forgets what ended more than ten timeouts ago, also where nothing has ended since", () => {
    const expected = after(100, 50)
    expected.add(20, 400)
    assert.strictEqual(expected.at(1_000), 50)
    assert.strictEqual(expected.at(1_001), 20)
    assert.strictEqual(expected.at(1_400), 20)
    assert.isUndefined(expected.at(1_401))
    expected.add(70, 1_402)
    assert.strictEqual(expected.at(1_402), 70)
  })

  it("is never longer than the timeout, which is what an attempt that was cut counts with", () => {
    assert.strictEqual(after(100, Infinity).at(0), 100)
    assert.strictEqual(after(100, 5_000, 3).at(0), 100)
  })

  it("is what it would be, computed afresh from a list of all", () => {
    for (let seed = 0; seed < 200; seed++) {
      const draw = drawsOf(seed)
      const cap = 1 + draw(50)
      const expected = new Expected(cap)
      const all: Array<{ readonly time: number; readonly at: number }> = []
      let now = 0
      for (let i = 0; i < 100; i++) {
        now += draw(4) === 0 ? draw(12 * cap) : draw(3)
        if (draw(3) > 0) {
          const time = draw(2 * cap)
          expected.add(time, now)
          all.push({ time: Math.min(cap, time), at: now })
        }
        const recent = all.slice(-32).filter(({ at }) => now - at <= 10 * cap)
        const sorted = recent.map(({ time }) => time).toSorted((a, b) => a - b)
        assert.strictEqual(expected.at(now), sorted[Math.ceil(0.95 * sorted.length) - 1], `seed ${seed}`)
      }
    }
  })
})
