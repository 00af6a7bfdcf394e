/** A queue of waiters by itself: who is woken, when, and in which order. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Waiter, WaitQueue } from "../../src/waiting/WaitQueue.ts"
import { settle } from "./support.ts"
import { uncaught } from "./uncaught.ts"

interface Times {
  readonly retryAt?: number
  readonly deadline?: number
}

/** A queue, and the names of the waiters in the order in which they were woken. Each leaves when it is woken first. */
const line = () => {
  let left = 0
  const queue = new WaitQueue(1_000, () => void left++)
  const woken: Array<string> = []
  const waiters = new Map<string, Waiter>()
  const come = (name: string, { deadline = Infinity, retryAt = Infinity }: Times = {}, stays = false) =>
    Effect.forkChild(
      Effect.withFiber((fiber) => {
        const waiter = new Waiter(fiber, 0)
        waiters.set(name, waiter)
        waiter.deadline = deadline
        queue.stand(waiter, retryAt)
        const wakes = Effect.andThen(
          waiter.park,
          Effect.sync(() => {
            woken.push(name)
            if (!stays) waiter.leave(true)
          })
        )
        return stays ? Effect.forever(wakes) : wakes
      }),
      { startImmediately: true }
    )
  return { queue, woken, waiters, left: () => left, come }
}

it.effect("a wake that comes before the waiter parks is not lost, and counts once", () =>
  Effect.gen(function* () {
    const waiter = yield* Effect.withFiber((fiber) => Effect.succeed(new Waiter(fiber, 0)))
    waiter.wake()
    yield* waiter.park
    const again = yield* Effect.forkChild(waiter.park, { startImmediately: true })
    yield* settle
    assert.isUndefined(again.pollUnsafe())
    yield* Fiber.interrupt(again)
  })
)

describe("at the last moment of a waiter", () => {
  it.effect("those in front of it are asked first, where the head may be admitted", () =>
    Effect.gen(function* () {
      const { come, woken } = line()
      yield* come("head", { retryAt: 10, deadline: 90 }, true)
      for (const name of ["second", "third"]) yield* come(name, { deadline: 90 }, true)
      yield* come("due", { deadline: 10 }, true)
      yield* come("behind", { deadline: 90 }, true)
      yield* come("due, too", { deadline: 10 }, true)
      yield* come("last", { deadline: 90 }, true)
      yield* TestClock.adjust(9)
      assert.deepStrictEqual(woken, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([...new Set(woken)], ["head", "second", "third", "due", "behind", "due, too"])
    })
  )

  it.effect("it alone is asked, where the head may not", () =>
    Effect.gen(function* () {
      const { come, queue, waiters, woken } = line()
      yield* come("head", { retryAt: 20, deadline: 90 })
      yield* come("due", { deadline: 10 })
      yield* come("later", { deadline: 15 })
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(woken, ["due"])
      yield* TestClock.adjust(5)
      assert.deepStrictEqual(woken, ["due", "later"])
      assert.deepStrictEqual(
        [queue.head === waiters.get("head"), queue.tail === queue.head, queue.size],
        [true, true, 1]
      )
      yield* TestClock.adjust(5)
      assert.deepStrictEqual(woken, ["due", "later", "head"])
    })
  )
})

it.effect("a head that leaves wakes the next, and who leaves the middle nobody", () =>
  Effect.gen(function* () {
    const { come, left, queue, waiters, woken } = line()
    yield* come("a", { retryAt: 10 })
    yield* come("b")
    yield* come("c")
    waiters.get("b")!.leave(true)
    yield* settle
    assert.deepStrictEqual([woken, left()], [[], 1])
    waiters.get("a")!.leave(false)
    yield* settle
    assert.deepStrictEqual([woken, left(), queue.size], [["c"], 3, 0])
  })
)

it.effect("the time of a head that left is not that of the next", () =>
  Effect.gen(function* () {
    const { come, waiters, woken } = line()
    yield* come("a", { retryAt: 10 })
    yield* come("b", {}, true)
    waiters.get("a")!.leave(true)
    yield* settle
    assert.deepStrictEqual(woken, ["b"])
    yield* TestClock.adjust(100)
    assert.deepStrictEqual(woken, ["b"])
  })
)

it.effect("who comes over from another queue stands before the younger ones, wherever that is", () =>
  Effect.gen(function* () {
    const waiters = yield* Effect.withFiber((fiber) => Effect.succeed([1, 2, 3, 4, 5].map(() => new Waiter(fiber, 0))))
    const { queue } = line()
    const other = new WaitQueue(1_000, () => {})
    for (const i of [0, 2, 4]) other.stand(waiters[i]!, Infinity)
    for (const i of [1, 3]) queue.stand(waiters[i]!, Infinity)
    for (const i of [2, 4, 0]) queue.stand(waiters[i]!, Infinity)
    const inLine: Array<number> = []
    for (let waiter = queue.head; waiter !== undefined; waiter = waiter.next) inLine.push(waiters.indexOf(waiter))
    const back: Array<number> = []
    for (let waiter = queue.tail; waiter !== undefined; waiter = waiter.previous) back.push(waiters.indexOf(waiter))
    assert.deepStrictEqual([inLine, back, queue.size], [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], 5])
    assert.deepStrictEqual([other.head, other.tail, other.size], [undefined, undefined, 0])
  })
)

it.effect("a queue that nobody waits in any more has no timer, also none of an earlier time", () =>
  Effect.gen(function* () {
    const seen = yield* uncaught
    const { come, waiters } = line()
    yield* come("later", { deadline: 50 })
    yield* come("sooner", { deadline: 10 })
    for (const waiter of waiters.values()) waiter.leave(false)
    yield* TestClock.adjust(100)
    assert.deepStrictEqual(seen, [])
  })
)
