/** The heap behind timers and keys that may be forgotten. */
import { assert, it } from "@effect/vitest"
import { Schema } from "effect"
import { pop, push, remove, type Timed } from "../../src/internal/heap.ts"

const times = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })))

it.prop(
  "what is left comes out in the order of its times, whatever was taken out before",
  [times, times],
  ([ats, gone]) => {
    const heap: Array<Timed> = []
    const items = ats.map((at): Timed => ({ at, index: 0 }))
    for (const item of items) push(heap, item)
    const left = new Set(items)
    for (const i of gone) {
      const item = items[i]
      if (item === undefined || !left.delete(item)) continue
      remove(heap, item)
    }
    assert.deepStrictEqual(
      Array.from(heap, ({ index }) => index),
      Array.from(heap.keys())
    )
    const out: Array<number> = []
    while (heap.length > 0) out.push(pop(heap).at)
    assert.deepStrictEqual(
      out,
      Array.from(left, ({ at }) => at).toSorted((a, b) => a - b)
    )
  }
)

it("what takes the place of one that left may have to rise", () => {
  const heap: Array<Timed> = []
  const items = [1, 20, 2, 21, 22, 3, 4, 30, 31, 32, 33, 5, 6, 7, 8].map((at): Timed => ({ at, index: 0 }))
  for (const item of items) push(heap, item)
  remove(heap, items[3]!) // the last is earlier than the parent of this place
  const out: Array<number> = []
  while (heap.length > 0) out.push(pop(heap).at)
  assert.deepStrictEqual(out, [1, 2, 3, 4, 5, 6, 7, 8, 20, 22, 30, 31, 32, 33])
})
