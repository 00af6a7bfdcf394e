import { assert, describe, it } from "@effect/vitest"
import { median, quantile, spread } from "../src/statistics.ts"

describe("statistics", () => {
  it("the median of an even number of samples lies between the two in the middle", () => {
    assert.strictEqual(median([40, 10, 30, 20]), 25)
    assert.strictEqual(median([3, 1, 2]), 2)
  })

  it("one sample that was interrupted does not move the median", () => {
    assert.strictEqual(median([10, 10, 10, 10, 9_000]), 10)
  })

  it("quantiles are interpolated, and reach the ends", () => {
    const samples = [5, 1, 4, 2, 3]
    assert.strictEqual(quantile(samples, 0), 1)
    assert.strictEqual(quantile(samples, 1), 5)
    assert.strictEqual(quantile(samples, 0.125), 1.5)
  })

  it("the spread is half the distance of the quartiles, relative to the median", () => {
    assert.strictEqual(spread([8, 9, 10, 11, 12]), 0.1)
    assert.strictEqual(spread([7, 7, 7]), 0)
  })

  it("no samples have no quantile", () => {
    assert.throws(() => median([]), RangeError)
  })

  it("sorting is by number, and leaves the samples as they were", () => {
    const samples = [10, 9, 100]
    assert.strictEqual(median(samples), 10)
    assert.deepStrictEqual(samples, [10, 9, 100])
  })
})
