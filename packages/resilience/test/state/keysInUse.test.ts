/** What an eviction costs beside keys that cannot go, counted in operations of the heap. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { vi } from "vitest"
import type * as Heap from "../../src/internal/heap.ts"
import * as memoryStore from "../../src/internal/memoryStore.ts"
import { transactions } from "../../src/internal/memoryTransactions.ts"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import { type KeyBounds, Step } from "../../src/Store.ts"
import { settle } from "./support.ts"

const counted = vi.hoisted(() => ({ operations: 0 }))

vi.mock("../../src/internal/heap.ts", async (original) => {
  const heap = await original<typeof Heap>()
  const counting =
    <A extends ReadonlyArray<unknown>, B>(f: (...args: A) => B) =>
    (...args: A): B => {
      counted.operations++
      return f(...args)
    }
  return { ...heap, push: counting(heap.push), pop: counting(heap.pop), remove: counting(heap.remove) }
})

const maxKeys = 500
const many = 8_000
const news = 300

const setUp = (keys: Partial<KeyBounds> = {}) => {
  const store = memoryStore.make(transactions)
  const space = {
    name: "s",
    kernel: fixedWindow,
    policy: { limit: 10, window: 1_000_000 },
    keys: { maxKeys, overflow: "evict", idleTimeToLive: Infinity, ...keys }
  } as const
  const step = (key: string, cost = 1) => new Step(space, key, { op: "take", cost })
  const take = (key: string, cost?: number) => {
    const one = step(key, cost)
    assert.isTrue(store.sync.commit([one], 0))
    return one
  }
  return { space, step, store, take, size: () => store.sync.size(space) }
}

/** Operations for `news` new keys, each of which makes one go. */
const evictions = ({ size, take }: ReturnType<typeof setUp>): number => {
  for (let i = 0; i < maxKeys; i++) take(`free ${i}`)
  const [before, there] = [counted.operations, size()]
  for (let i = 0; i < news; i++) take(`new ${i}`)
  assert.strictEqual(size(), there)
  return counted.operations - before
}

describe("an eviction costs no more beside 8,000 keys", () => {
  const without = evictions(setUp())

  it("and is counted at all", () => assert.isAtLeast(without, news))

  it("on which calls hold a permit", () => {
    const bounded = setUp()
    for (let i = 0; i < many; i++) bounded.store.sync.hold(bounded.take(`held ${i}`, 2), 0)
    assert.isAtMost(evictions(bounded), without)
    assert.isAtLeast(bounded.size(), many)
  })

  it("that were released again", () => {
    const bounded = setUp()
    const held = Array.from({ length: many }, (_, i) => bounded.take(`held ${i}`, 2))
    for (const step of held) bounded.store.sync.hold(step, 0)
    for (const step of held) bounded.store.sync.release(step)
    bounded.take("next")
    assert.strictEqual(bounded.size(), maxKeys, "the bound holds again")
    assert.isAtMost(evictions(bounded), without)
  })

  it.effect("on which transactions wait", () =>
    Effect.gen(function* () {
      const bounded = setUp()
      const { space, store } = bounded
      for (let i = 0; i < 400; i++) bounded.take(`waited on ${i}`, 2)
      const fibers = yield* Effect.forEach(Array.from({ length: 400 }), (_, i) =>
        Effect.forkChild(Effect.tx(Effect.andThen(store.read(space, `waited on ${i}`), Effect.txRetry)))
      )
      yield* settle
      assert.isAtMost(evictions(bounded), without)
      assert.isDefined(store.sync.read(space, "waited on 399"))
      yield* Fiber.interruptAll(fibers)
      for (let i = 0; i < maxKeys; i++) bounded.take(`later ${i}`, 3)
      assert.isUndefined(store.sync.read(space, "waited on 399"), "free again, it may go")
    })
  )

  it.effect("that a transaction has written, than beside as many that calls have written", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: many }, (_, i) => `written ${i}`)
      const written = () => {
        const bounded = setUp({ maxKeys: many + maxKeys })
        for (const name of names) bounded.take(name)
        return bounded
      }
      const plain = written()
      for (const name of names) plain.take(name, 2)
      const bounded = written()
      const writes = names.map((name) => bounded.step(name, 2))
      yield* Effect.tx(Effect.forEach(writes, (step) => bounded.store.commit([step]), { discard: true }))
      assert.isAtMost(evictions(bounded), evictions(plain))
      assert.isDefined(bounded.store.sync.read(bounded.space, "written 0"))
    })
  )

  it.effect("that the transaction which looks for room has touched itself", () =>
    Effect.gen(function* () {
      const touched = 2_000
      const { space, step, store } = setUp({ maxKeys: touched, overflow: "reject" })
      const ask = (key: string) => Effect.map(store.commit([step(key)]), ({ allowed }) => allowed)
      const refused = yield* Effect.tx(
        Effect.gen(function* () {
          for (let i = 0; i < touched; i++) assert.isTrue(yield* ask(`mine ${i}`))
          assert.isFalse(yield* ask("one more"))
          const before = counted.operations
          for (let i = 0; i < news; i++) assert.isFalse(yield* ask(`more ${i}`))
          return counted.operations - before
        })
      )
      assert.isAtMost(refused, news)
      assert.strictEqual(store.sync.size(space), touched)
    })
  )
})
