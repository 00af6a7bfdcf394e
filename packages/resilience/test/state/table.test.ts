/** How many keys a table looks at to forget some, what it keeps them in, and what transactions hear of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, TxRef } from "effect"
import { getHeapStatistics, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as memoryStore from "../../src/internal/memoryStore.ts"
import { transactions } from "../../src/internal/memoryTransactions.ts"
import { BoundedCell } from "../../src/internal/memoryCell.ts"
import { Table } from "../../src/internal/memoryTable.ts"
import type { Kernel } from "../../src/kernel/Kernel.ts"
import { type AnySpace, type KeyBounds, Step } from "../../src/Store.ts"
import { settle } from "./support.ts"

const unbounded: KeyBounds = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity }

/** A table of `keys`, of which each look finds what the test says: the key may go, or it stays. */
const looked = (keys: number, mayGo: (look: number) => boolean, bounds: Partial<KeyBounds> = {}) => {
  let looks = 0
  const kernel: Kernel<null, number, null, { readonly allowed: boolean }> = {
    id: "looked@1",
    initial: () => 0,
    step: (_, state) => [{ allowed: true }, state],
    expiresAt: () => (mayGo(looks++) ? 0 : undefined)
  }
  const space: AnySpace = { name: "looked", kernel, policy: null, keys: { ...unbounded, ...bounds } }
  const table = new Table(space)
  for (let i = 1; i <= keys; i++) table.write(`key ${i}`, undefined, i, 1)
  /** How many keys each of so many sweeps looks at. */
  const sweeps = (times: number) =>
    Array.from({ length: times }, () => {
      looks = 0
      table.sweep(1)
      return looks
    })
  return { sweeps, table }
}

/** Of so many commits the first sweeps, and each sixteenth after it. */
const every16th = (...looks: ReadonlyArray<number>) => looks.flatMap((n) => [n, ...Array.from({ length: 15 }, () => 0)])

describe("a sweep", () => {
  it("comes with every sixteenth commit, and looks at four keys where none of them goes", () => {
    const { sweeps, table } = looked(9_000, () => false)
    assert.deepStrictEqual(sweeps(64), every16th(4, 4, 4, 4))
    assert.strictEqual(table.size, 9_000)
  })

  it("looks at twice as many as the last one while all of them go, up to 512, and then at fewer and fewer", () => {
    let goes = true
    const { sweeps, table } = looked(9_000, () => goes)
    const growing = [4, 8, 16, 32, 64, 128, 256, 512, 512]
    const looks = sweeps(growing.length * 16)
    const sum = (numbers: ReadonlyArray<number>) => numbers.reduce((a, b) => a + b, 0)
    assert.deepStrictEqual(
      looks.map((n) => n > 0),
      every16th(...growing).map((n) => n > 0)
    )
    // a shard's end is a step of its own
    assert.isAtLeast(sum(looks), sum(growing) - 64)
    assert.isAtMost(sum(looks), sum(growing))
    assert.strictEqual(table.size, 9_000 - sum(looks))
    goes = false
    const fewer = sweeps(33 * 16).filter((n) => n > 0)
    assert.isAtMost(fewer[1]!, 512 - 16)
    assert.isAtLeast(fewer[1]!, 512 - 16 - 8)
    assert.deepStrictEqual(fewer.slice(-1), [4])
  })

  it("looks at more only where more than an eighth of them went", () => {
    let most = Infinity
    const { sweeps } = looked(9_000, (look) => look < most)
    const next = (goes: number) => {
      most = goes
      return Math.max(...sweeps(16))
    }
    assert.deepStrictEqual([1, 1, 2, 2, 3, 4, 5].map(next), [4, 8, 4, 8, 16, 32, 16])
  })

  it("in a transaction forgets none of the keys that it has touched", () => {
    const { sweeps, table } = looked(0, () => true)
    const [touched] = [table.insertCell("touched"), table.insertCell("other")]
    for (let i = 0; i < 2_000; i++) table.sweep(1, new Map([[touched, {}]]))
    assert.isUndefined(table.find("other"))
    assert.strictEqual(table.find("touched"), touched)
    sweeps(2_000)
    assert.isUndefined(table.find("touched"))
  })

  it("looks at nothing where there is but one key", () => {
    const { sweeps, table } = looked(1, () => true)
    const throughAllShards = 64 * 16
    assert.deepStrictEqual(
      sweeps(throughAllShards).filter((n) => n > 0),
      []
    )
    assert.strictEqual(table.size, 1)
  })
})

describe("the keys of a table", () => {
  const shardsOf = (keys: ReadonlyArray<string>) => {
    const table = looked(0, () => false).table
    for (const key of keys) table.write(key, undefined, 1, 1)
    // private: no other way to see what one insert can cost
    return table["shards"].flatMap((shard) => (shard === undefined ? [] : [shard.size]))
  }
  const digits = (length: number) => Array.from({ length: 6_400 }, (_, i) => `${i}`.padStart(length, "0"))

  it("are spread over all shards, so that none of them grows to its rehash at once with all", () => {
    for (const length of [4, 8, 40]) {
      const shards = shardsOf(digits(length))
      assert.lengthOf(shards, 64)
      assert.isAtMost(Math.max(...shards), 200, `${length} characters`)
    }
  })

  it("are spread by no more than their last eight characters, however long they are", () => {
    assert.lengthOf(shardsOf(digits(40).map((key) => `${key}the same`)), 1)
    assert.lengthOf(shardsOf(digits(40).map((key) => `${key}he same`)), 10)
  })
})

describe("a table with a bound", () => {
  it("takes keys in use out of the order once it is full, and not before", () => {
    const { table } = looked(0, () => false, { maxKeys: 2 })
    const hold = (key: string) => {
      const cell = table.insertCell(key)
      assert.instanceOf(cell, BoundedCell)
      cell.hold()
      return cell.index >= 0
    }
    assert.deepStrictEqual(["a", "b", "c"].map(hold), [true, false, false])
  })
})

/** How much more is in use of the heap after `run`, while what it answers is kept. */
const grown = (run: () => unknown): number => {
  setFlagsFromString("--expose-gc")
  const gc = runInNewContext("gc") as () => void // the flag puts it there
  const used = () => {
    gc()
    return getHeapStatistics().used_heap_size
  }
  const before = used()
  const kept = run()
  const after = used()
  assert.isDefined(kept)
  return after - before
}

describe("a key that is cut out of a larger string", () => {
  const megabyte = Buffer.alloc(1_000_000, "0123456789").toString("latin1")
  const cut = (length: number) => Array.from({ length: 20 }, (_, i) => `${i} ${megabyte}`.slice(0, length))

  for (const length of [2, 13, 40]) {
    it(`is found, and keeps nothing else of that string (${length} characters)`, () => {
      const { table } = looked(0, () => false)
      const bytes = grown(() => {
        for (const key of cut(length)) table.write(key, undefined, 1, 1)
        return table
      })
      assert.isBelow(bytes, 5_000_000)
      assert.deepStrictEqual(
        Array.from(table.entries(), ([key]) => key).toSorted(),
        Array.from(new Set(cut(length))).toSorted()
      )
      for (const key of cut(length)) assert.isDefined(table.find(key))
    })
  }

  it("would keep all of it if it were kept as it is", () => {
    assert.isAbove(
      grown(() => new Map(cut(13).map((key) => [key, 1]))),
      15_000_000
    )
  })
})

describe("what transactions hear of a cell", () => {
  it.effect("a write calls no waiter before the fiber that writes lets others run", () =>
    Effect.gen(function* () {
      const { table } = looked(0, () => false)
      const cell = table.insertCell("a")
      let woken = 0
      cell.pending.set("a waiter", () => woken++)
      table.write("a", cell, 1, 1)
      assert.strictEqual(woken, 0)
      yield* settle
      assert.strictEqual(woken, 1)
    })
  )

  it.effect("each write counts one up, wherever it is made, and so does the end of its key", () =>
    Effect.gen(function* () {
      const { table } = looked(0, () => true)
      const cell = table.insertCell("a")
      table.write("a", cell, 1, 1)
      assert.strictEqual(cell.version, 0, "a cell that no transaction has seen counts nothing")
      table.write("a", cell, 2, 1)
      assert.strictEqual(cell.version, 1)
      yield* TxRef.set(cell, 3)
      assert.strictEqual(cell.version, 2)
      table.write("a", cell, 4, 1)
      assert.strictEqual(cell.version, 3)
      table.insertCell("b")
      for (let i = 0; i < 2_000; i++) table.sweep(1)
      assert.isUndefined(table.find("a"))
      assert.strictEqual(cell.version, 4)
    })
  )

  it.effect("a watch of a key hears of each write of a transaction, until it ends", () =>
    Effect.gen(function* () {
      const store = memoryStore.make(transactions)
      const { space } = looked(0, () => false).table
      const step = new Step(space, "a", null)
      store.sync.hold(step, 1)
      const heard: Array<string> = []
      const leave = store.sync.watch(step, () => heard.push("first"))
      store.sync.watch(step, () => heard.push("second"))
      const write = (value: number) => Effect.andThen(TxRef.set(step.place as TxRef.TxRef<unknown>, value), settle) // `hold` left its cell there
      yield* write(1)
      yield* write(2)
      leave()
      yield* write(3)
      assert.deepStrictEqual(heard, ["first", "second", "first", "second", "second"])
    })
  )
})
