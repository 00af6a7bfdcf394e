/** What is given back of an answer that nobody waits for any more, step by step. */
import { assert, describe, it } from "@effect/vitest"
import { resets, takes, undoing } from "../../src/remote/abandoned.ts"
import type { Decision } from "../../src/kernel/Kernel.ts"
import { type AnySpace, Step } from "../../src/Store.ts"

const space: AnySpace = {
  name: "app/limit",
  kernel: { id: "any@1", initial: () => null, expiresAt: () => 0, step: () => [{ allowed: true }, null] },
  policy: null,
  keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity }
}
const step = (input: object) => new Step(space, "key", input)
const take = step({ op: "take", cost: 2 })
const admit = step({ op: "admit", draw: 0 })
const refund = step({ op: "refund", receipt: "r" })
const record = step({ op: "record" })
const reset = step({ op: "reset" })

describe("a question", () => {
  it("takes something where any of its steps does", () => {
    for (const steps of [[take], [admit], [record, take], [admit, refund]]) assert.isTrue(takes(steps))
    for (const steps of [[], [refund], [record], [reset], [refund, record]]) assert.isFalse(takes(steps))
  })

  it("resets something where any of its steps does", () => {
    for (const steps of [[reset], [take, reset], [reset, record]]) assert.isTrue(resets(steps))
    for (const steps of [[], [take], [refund, record]]) assert.isFalse(resets(steps))
  })
})

describe("what is given back", () => {
  const of = (asked: Step, answer: object, allowed = true) =>
    undoing([asked], { now: 0, allowed, answers: [{ allowed, ...answer } as Decision] }) // of a kernel that is not typed

  it("is the receipt of what was taken", () => {
    const asked = step({ op: "take", cost: 2 })
    asked.place = "a place"
    const [back, ...more] = of(asked, { receipt: "of two" })
    assert.deepStrictEqual(more, [])
    assert.deepStrictEqual(back!.input, { op: "refund", receipt: "of two" })
    assert.deepStrictEqual([back!.space, back!.key, back!.place], [space, "key", "a place"])
  })

  it("is the slot of a probe, which counts for nothing", () => {
    const [back] = of(admit, { probe: 3, generation: 7 })
    const nothing = { outcome: "ignored", duration: 0, slowFed: 0, retryAfter: 0, draw: 0 }
    assert.deepStrictEqual(back!.input, { op: "record", generation: 7, probe: 3, ...nothing })
  })

  it("is nothing where nothing was taken", () => {
    assert.deepStrictEqual(of(take, { receipt: "of two" }, false), [])
    assert.deepStrictEqual(of(take, {}), [])
    assert.deepStrictEqual(of(admit, { probe: 0, generation: 7 }), [])
    assert.deepStrictEqual(of(admit, {}), [])
    assert.deepStrictEqual(of(refund, { receipt: "of two" }), [])
    assert.deepStrictEqual(of(reset, { receipt: "of two" }), [])
    assert.deepStrictEqual(of(record, { probe: 3, generation: 7 }), [])
    assert.deepStrictEqual(undoing([take], { now: 0, allowed: true, answers: [undefined] }), [])
  })
})
