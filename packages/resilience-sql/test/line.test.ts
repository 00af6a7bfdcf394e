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
  const joinWith = (rows: ReadonlyArray<string>) =>
    Effect.forkChild(line.join({ steps: [], rows }), { startImmediately: true })
  const join = (...rows: ReadonlyArray<string>) => joinWith(rows)
  // as a test may look into it: what is left when nothing waits
  const queues = () => (line as unknown as { readonly queues: ReadonlyMap<string, unknown> }).queues.size
  return { batches, join, joinWith, queues, started: () => batches.map(({ rows }) => rows) }
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

  it.effect("nobody overtakes one that shares a row with the batch before it", () =>
    Effect.gen(function* () {
      const { batches, join, started } = make()
      yield* join("a", "b")
      yield* join("a")
      yield* join("b")
      yield* join("a", "b")
      batches[0]!.end()
      yield* turns
      assert.deepStrictEqual(started(), [["a+b"], ["a"], ["b"]], "the last one waits for the two before it")
      batches[1]!.end()
      yield* turns
      assert.lengthOf(started(), 3)
      batches[2]!.end()
      yield* turns
      assert.deepStrictEqual(started()[3], ["a+b"])
    })
  )

  it.effect("a full batch has taken of each of its rows in turn, and keeps the order of arrival", () =>
    Effect.gen(function* () {
      const { batches, join, started } = make()
      yield* join("a", "b")
      yield* join("a", "b")
      for (let i = 0; i < 200; i++) yield* join("a")
      for (let i = 0; i < 200; i++) yield* join("b")
      batches[0]!.end()
      yield* turns
      const times = (row: string, count: number) => Array.from({ length: count }, () => row)
      assert.deepStrictEqual(started()[1], ["a+b", ...times("a", 64), ...times("b", 63)])
    })
  )

  it.effect("one that names a row twice waits for it once", () =>
    Effect.gen(function* () {
      const { batches, join, started } = make()
      yield* join("a", "a")
      yield* join("a", "a")
      batches[0]!.end()
      yield* turns
      assert.deepStrictEqual(started(), [["a+a"], ["a+a"]])
    })
  )

  it.effect("one that leaves from the middle, the front or the end leaves the others in their order", () =>
    Effect.gen(function* () {
      const { batches, join, started } = make()
      yield* join("a")
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (const row of ["b", "c", "d", "e", "f"]) fibers.push(yield* join("a", row))
      for (const i of [2, 0, 4]) yield* Fiber.interrupt(fibers[i]!)
      yield* join("a", "g")
      batches[0]!.end()
      yield* turns
      assert.deepStrictEqual(started(), [["a"], ["a+c", "a+e", "a+g"]])
    })
  )

  it.effect("nothing is kept of a row when nothing waits for it, and no batch has it", () =>
    Effect.gen(function* () {
      const { batches, join, queues } = make()
      yield* join("a", "b")
      const leaves = yield* join("b", "c")
      yield* join("a")
      assert.strictEqual(queues(), 3)
      yield* Fiber.interrupt(leaves)
      assert.strictEqual(queues(), 2)
      batches[0]!.end()
      yield* turns
      assert.strictEqual(queues(), 1)
      batches[1]!.end()
      yield* turns
      assert.strictEqual(queues(), 0)
    })
  )

  it.effect("what one caller makes of its answer is in no other caller's way, and the process hears of it", () =>
    Effect.gen(function* () {
      const { batches, join } = make()
      yield* join("a")
      const [first, throws, last] = [yield* join("a"), yield* join("a"), yield* join("a")]
      const bug = new Error("a bug of one caller")
      throws.addObserver(() => {
        throw bug
      })
      const before = process.listeners("uncaughtException")
      process.removeAllListeners("uncaughtException")
      const heard: Array<unknown> = []
      process.on("uncaughtException", (error) => heard.push(error))
      yield* Effect.gen(function* () {
        batches[0]!.end()
        yield* turns
        batches[1]!.end()
        assert.strictEqual(yield* Fiber.join(first), 1)
        assert.strictEqual(yield* Fiber.join(last), 1)
        const next = yield* join("a")
        yield* turns
        batches[2]!.end(new Rejection.StoreError({ reason: "unavailable" }))
        assert.strictEqual((yield* Effect.flip(Fiber.join(next))).reason, "unavailable")
        yield* turns
        assert.deepStrictEqual(heard, [bug])
      }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            process.removeAllListeners("uncaughtException")
            for (const listener of before) process.on("uncaughtException", listener)
          })
        )
      )
    })
  )

  for (const [what, rowOf] of [
    ["of one key", () => ["a"]],
    ["of one key and one of two others", (i: number) => ["a", i % 2 === 0 ? "b" : "c"]],
    ["of as many keys", (i: number) => [String(i)]]
  ] as const) {
    it.effect(`to come, to wait and to leave costs the same however many wait, ${what}`, () =>
      Effect.gen(function* () {
        const { batches, join, joinWith } = make()
        let looks = 0
        /** Counts how often a commit is looked at: no answer to who is in whose way does without its rows. */
        const watched = (rows: ReadonlyArray<string>) =>
          new Proxy(rows, {
            get: (target, name) => {
              looks++
              return Reflect.get(target, name)
            }
          })
        yield* join("a")
        for (const size of [100, 4_000]) {
          looks = 0
          const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
          for (let i = 0; i < size; i++) fibers.push(yield* joinWith(watched(rowOf(i))))
          for (const fiber of fibers.slice(size / 2).concat(fibers.slice(0, size / 2))) yield* Fiber.interrupt(fiber)
          assert.isBelow(looks / size, 30, `looks at a commit, where ${size} wait`)
        }
        assert.isAtLeast(batches.length, 1)
      })
    )
  }
})
