/** What is given back of an answer that nobody waits for any more, step by step. */
import { assert, describe, it } from "@effect/vitest"
import { takes, undoing } from "../../src/remote/abandoned.ts"
import { breaker } from "../../src/kernel/Breaker.ts"
import type { Decision } from "../../src/kernel/Kernel.ts"
import { slidingLog } from "../../src/kernel/SlidingLog.ts"
import { type AnySpace, Command, copyStep, Step } from "../../src/Store.ts"

const any: AnySpace["kernel"] = {
  id: "any@1",
  initial: () => null,
  expiresAt: () => 0,
  step: () => [{ allowed: true }, null]
}
const spaceOf = (kernel: AnySpace["kernel"], isLimit?: boolean): AnySpace => ({
  name: "app/limit",
  kernel,
  policy: null,
  keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity },
  isLimit
})
const space = spaceOf(slidingLog)
const step = (input: unknown, of = space) => new Step(of, "key", input)
const take = step({ op: "take", cost: 2 })
const refund = step({ op: "refund", receipt: "r" })
const reset = step({ op: "reset" })
const circuit = spaceOf(breaker)
const admit = step({ op: "admit", draw: 0 }, circuit)
const record = step({ op: "record" }, circuit)

describe("a question", () => {
  it("takes something where any of its steps does", () => {
    for (const steps of [[take], [admit], [record, take], [admit, refund]]) assert.isTrue(takes(steps))
    for (const steps of [[], [refund], [record], [reset], [refund, record]]) assert.isFalse(takes(steps))
  })

  it("takes something of a kernel of one's own where that says so, or can undo whatever it is asked", () => {
    const undo = () => "undo"
    for (const kernel of [
      { ...any, undo },
      { ...any, undo, takes: (input: unknown) => input === null }
    ]) {
      assert.isTrue(takes([step(null, spaceOf(kernel))]))
    }
    const takesNothing = { ...any, undo, takes: () => false }
    for (const kernel of [any, { ...any, takes: () => true }, takesNothing]) {
      assert.isFalse(takes([step(null, spaceOf(kernel)), step({ op: "take" }, spaceOf(kernel))]))
    }
  })

  it("takes something of a limit whose kernel says nothing of it", () => {
    const limit = spaceOf(any, true)
    assert.isTrue(takes([step({ op: "take", cost: 1 }, limit)]))
    assert.isFalse(takes([step({ op: "refund", receipt: 1 }, limit), step({ op: "reset" }, limit)]))
  })

  it("resets where a step is a command, unless that says that it does not", () => {
    const resets = [take, new Command(space, "key", null), new Command(space, "key", null, false)].flatMap((one) =>
      [one, copyStep(one, space, null)].map(({ isReset }) => isReset)
    )
    assert.deepStrictEqual(resets, [false, false, true, true, false, false])
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

  it("is what a kernel of one's own says, asked with its own `this`", () => {
    class Own {
      readonly id = "own@1"
      readonly word = "back"
      readonly initial = () => null
      readonly expiresAt = () => 0
      readonly step = () => [{ allowed: true }, null] as const
      undo(input: unknown, answer: Decision) {
        return input === "spend" ? { [this.word]: answer } : undefined
      }
    }
    const own = spaceOf(new Own(), true) // also where it is a limit
    assert.deepStrictEqual(of(step("spend", own), {})[0]!.input, { back: { allowed: true } })
    assert.deepStrictEqual(of(step("look", own), {}), [])
    const denied = spaceOf({ ...any, takes: () => false, undo: () => "undo" })
    assert.deepStrictEqual(of(step("spend", denied), {}), [])
  })

  it("is the receipt of a limit whose kernel says nothing of it", () => {
    const [back] = of(step({ op: "take", cost: 1 }, spaceOf(any, true)), { receipt: 7 })
    assert.deepStrictEqual(back!.input, { op: "refund", receipt: 7 })
  })

  it("is nothing where nothing was taken", () => {
    assert.deepStrictEqual(of(step({ op: "take", cost: 1 }, spaceOf(any)), { receipt: 7 }), [])
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
