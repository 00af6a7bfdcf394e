/** Who goes to the database next, and who goes together. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { Rejection } from "effect-resilience"
import { type Entry, Line } from "../src/internal/line.ts"

/** A line whose batches a test ends. The answer of a commit is the number of its batch. */
const make = () => {
  const batches: Array<{
    readonly rows: ReadonlyArray<string>
    readonly end: (error?: Rejection.StoreError) => void
    readonly fiber: Fiber.Fiber<void, Rejection.StoreError>
  }> = []
  const line = new Line<number>((entries: ReadonlyArray<Entry<number>>) => {
    let resume: (effect: Effect.Effect<void, Rejection.StoreError>) => void = () => {}
    const fiber = Effect.runFork(Effect.callback<void, Rejection.StoreError>((r) => void (resume = r)))
    const number = batches.length
    batches.push({
      rows: entries.map(({ rows }) => rows.join("+")),
      fiber,
      end: (error) => {
        if (error !== undefined) return resume(Effect.fail(error))
        for (const entry of entries) entry.resume(Exit.succeed(number))
        return resume(Effect.void)
      }
    })
    return fiber
  })
  const join = (...rows: ReadonlyArray<string>) =>
    Effect.forkChild(line.join({ steps: [], rows }), { startImmediately: true })
  return { batches, join, started: () => batches.map(({ rows }) => rows) }
}

const turns = Effect.forEach(Array.from({ length: 10 }), () => Effect.yieldNow, { discard: true })

describe("commits in line", () => {
  it.effect("those that share a row wait for each other, and then go together, in the order of their arrival", () =>
    Effect.gen(function* () {
      const { batches, join, started } = make()
      const first = yield* join("a")
      const rest = [yield* join("a", "b"), yield* join("a"), yield* join("b")]
      assert.deepStrictEqual(started(), [["a"]])
      batches[0]!.end()
      assert.strictEqual(yield* Fiber.join(first), 0)
      yield* turns
      assert.deepStrictEqual(started(), [["a"], ["a+b", "a", "b"]])
      batches[1]!.end()
      for (const fiber of rest) assert.strictEqual(yield* Fiber.join(fiber), 1)
    })
  )

  it.effect("those that share none go side by side, and one without rows waits for nobody", () =>
    Effect.gen(function* () {
      const { join, started } = make()
      yield* join("a")
      yield* join("b")
      yield* join()
      yield* join()
      assert.deepStrictEqual(started(), [["a"], ["b"], [""], [""]])
    })
  )

  it.effect("nobody overtakes one that waits for the same row", () =>
    Effect.gen(function* () {
      const { batches, join, started } = make()
      yield* join("a")
      yield* join("a", "b")
      yield* join("b") // b is free, but somebody older waits for it
      yield* join("c")
      assert.deepStrictEqual(started(), [["a"], ["c"]])
      batches[0]!.end()
      yield* turns
      assert.deepStrictEqual(started(), [["a"], ["c"], ["a+b", "b"]])
    })
  )

  it.effect("a batch is not larger than 128, and those left over go next", () =>
    Effect.gen(function* () {
      const { batches, join, started } = make()
      for (let i = 0; i < 131; i++) yield* join("a")
      batches[0]!.end()
      yield* turns
      assert.lengthOf(started()[1]!, 128)
      assert.lengthOf(started(), 2)
      batches[1]!.end()
      yield* turns
      assert.deepStrictEqual(started()[2], ["a", "a"])
    })
  )

  it.effect("one that leaves before its turn is not asked, and holds back nobody any more", () =>
    Effect.gen(function* () {
      const { batches, join, started } = make()
      yield* join("a")
      const leaves = yield* join("a", "b")
      yield* join("b")
      yield* Fiber.interrupt(leaves)
      assert.deepStrictEqual(started(), [["a"], ["b"]])
      batches[0]!.end()
      yield* turns
      assert.lengthOf(started(), 2)
    })
  )

  it.effect("a batch is interrupted when the last of its callers has left, and not before", () =>
    Effect.gen(function* () {
      const { batches, join, started } = make()
      yield* join("a")
      const two = [yield* join("a"), yield* join("a")]
      batches[0]!.end()
      yield* turns
      yield* Fiber.interrupt(two[0]!)
      yield* turns
      assert.isUndefined(batches[1]!.fiber.pollUnsafe())
      const next = yield* join("a")
      yield* Fiber.interrupt(two[1]!)
      yield* turns
      assert.isTrue(Exit.isFailure(batches[1]!.fiber.pollUnsafe()!))
      assert.deepStrictEqual(started(), [["a"], ["a", "a"], ["a"]])
      batches[2]!.end()
      assert.strictEqual(yield* Fiber.join(next), 2)
    })
  )

  it.effect("a batch that fails is told to each of its callers, and the next one begins", () =>
    Effect.gen(function* () {
      const { batches, join, started } = make()
      const first = yield* join("a")
      const second = yield* join("a")
      const error = new Rejection.StoreError({ reason: "unavailable" })
      batches[0]!.end(error)
      assert.strictEqual(yield* Effect.flip(Fiber.join(first)), error)
      yield* turns
      assert.lengthOf(started(), 2)
      batches[1]!.end()
      assert.strictEqual(yield* Fiber.join(second), 1)
    })
  )
})
