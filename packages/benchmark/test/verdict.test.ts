import { assert, describe, it } from "@effect/vitest"
import type { Line } from "../src/model.ts"
import { betterPeers, toMarkdown, verdict } from "../src/report.ts"
import { isFarOff, isPeerBetter, measureOf, verdictOf } from "../src/verdict.ts"

const line = (ours: number, theirs: number | undefined, bar: number | undefined, unit: Line["unit"] = "ns"): Line => ({
  ours: { name: "ours", value: ours },
  theirs: theirs === undefined ? undefined : { name: "peer", value: theirs },
  unit,
  bar
})

describe("verdict", () => {
  it("a bar beside a peer is about the ratio", () => {
    assert.strictEqual(measureOf(line(50, 100, 0.5)), 0.5)
    assert.strictEqual(verdictOf(line(50, 100, 0.5)), "met")
    assert.strictEqual(verdictOf(line(51, 100, 0.5)), "missed")
  })

  it("a bar without a peer is about the figure", () => {
    assert.strictEqual(verdictOf(line(130, undefined, 130, "bytes")), "met")
    assert.strictEqual(verdictOf(line(131, undefined, 130, "bytes")), "missed")
  })

  it("where nothing is asked, nothing is missed", () => {
    assert.strictEqual(verdictOf(line(500, 1, undefined)), "none")
    assert.isFalse(isFarOff(line(500, 1, undefined)))
  })

  it("a figure that is no number misses its bar", () => {
    assert.strictEqual(verdictOf(line(NaN, 1, 1)), "missed")
    assert.isTrue(isFarOff(line(NaN, 1, 1)))
  })

  it("a short run fails above one and a half times the bar, and not at it", () => {
    assert.isFalse(isFarOff(line(75, 100, 0.5)))
    assert.isTrue(isFarOff(line(76, 100, 0.5)))
  })

  it("a short run holds a known miss to what is known of it", () => {
    const known = (ours: number): Line => ({ ...line(ours, undefined, 6, "kB"), known: 18 })
    assert.strictEqual(verdictOf(known(18)), "missed")
    assert.isFalse(isFarOff(known(19.8)))
    assert.isTrue(isFarOff(known(19.9)))
  })

  it("a short run judges no time by itself, but it does judge bytes", () => {
    assert.isFalse(isFarOff(line(100, undefined, 5, "ms")))
    assert.isTrue(isFarOff(line(300, undefined, 130, "bytes")))
  })
})

describe("report", () => {
  it("a miss says by what factor", () => {
    assert.strictEqual(verdict(line(100, 100, 0.5)), "missed by 2.00")
    assert.strictEqual(verdict(line(50, 100, 0.5)), "met")
  })

  it("the table has a row for each peer, and names the case once", () => {
    const table = toMarkdown([{ title: "a case", lines: [line(50, 100, 0.5), line(2_500, 1_000, 2)] }])
    assert.deepStrictEqual(table.split("\n").slice(2), [
      "| a case | 50.0 ns | peer | 100 ns | 0.50 | 0.50 | met |",
      "|  | 2.50 µs | peer | 1.00 µs | 2.50 | 2.00 | **missed by 1.25** |"
    ])
  })

  it("the page names the peers that take less, but for those that are none", () => {
    assert.isTrue(isPeerBetter(line(10, 9, undefined)))
    assert.isFalse(isPeerBetter(line(9, 9, undefined)))
    const results = [{ title: "a case", lines: [line(10, 9, undefined), line(10, 11, undefined)] }]
    assert.strictEqual(
      betterPeers(results, () => false),
      "- a case, 10.0 ns: peer (9.00 ns)"
    )
    assert.strictEqual(
      betterPeers(results, () => true),
      "Nowhere, in these cases."
    )
  })
})
