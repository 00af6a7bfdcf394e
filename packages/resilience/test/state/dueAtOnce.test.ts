/** Many that are due in one millisecond: they are woken in stretches, in order, and each at its own time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { World } from "effect-resilience-testing/World"
import { Bulkhead, RateLimiter } from "../../src/index.ts"
import { MOST_AT_ONCE, startTimer } from "../../src/internal/timers.ts"
import { WaitQueue, Waiter } from "../../src/waiting/WaitQueue.ts"
import { arrive } from "../laws/caller.ts"
import { clean, Stage } from "../laws/harness.ts"

const many = 3 * MOST_AT_ONCE + 7

/** Runs to the end, and tells how many were counted in each turn in which some were. */
const turnsOf = (world: World, counted: ReadonlyArray<unknown>): ReadonlyArray<number> => {
  const turns: Array<number> = []
  for (let before = 0; world.turn(); before = counted.length) {
    if (counted.length > before) turns.push(counted.length - before)
  }
  return turns
}

/** A queue whose waiters note when they are woken, instead. */
const queueOf = (world: World, deadlines: ReadonlyArray<number>) => {
  const fiber = world.fork(Effect.never)
  const queue = new WaitQueue(Infinity, () => {})
  const woken: Array<{ readonly i: number; readonly at: number }> = []
  const waiters = deadlines.map((deadline, i) => {
    const waiter = new Waiter(fiber, world.now)
    waiter.deadline = world.now + deadline
    waiter.wake = () => {
      woken.push({ i, at: world.elapsed })
    }
    queue.stand(waiter, Infinity)
    return waiter
  })
  return { queue, waiters, woken }
}

describe("many that are due at once", () => {
  it.effect("timers are called back in stretches, at their own time and in the order in which they were set", () =>
    Effect.sync(() => {
      const world = new World()
      const fiber = world.fork(Effect.never)
      const called: Array<number> = []
      for (let i = 0; i < many; i++) startTimer(fiber, 10, () => void called.push(i))
      const turns = turnsOf(world, called)
      assert.deepStrictEqual(turns, [MOST_AT_ONCE, MOST_AT_ONCE, MOST_AT_ONCE, 7])
      assert.deepStrictEqual([world.elapsed, world.sleeping], [10, 0])
      assert.deepStrictEqual(
        called,
        Array.from({ length: many }, (_, i) => i)
      )
    })
  )

  it.effect("a queue wakes those whose time is over in stretches, the oldest first", () =>
    Effect.sync(() => {
      const world = new World()
      const { queue, woken } = queueOf(world, Array(many).fill(10))
      assert.deepStrictEqual(turnsOf(world, woken), [MOST_AT_ONCE, MOST_AT_ONCE, MOST_AT_ONCE, 7])
      assert.deepStrictEqual(
        woken,
        Array.from({ length: many }, (_, i) => ({ i, at: 10 }))
      )
      assert.deepStrictEqual([queue.size, queue.units, world.sleeping], [many, many, 0])
    })
  )

  it.effect("the end of one waiter looks at no other one", () =>
    Effect.sync(() => {
      const world = new World()
      const { waiters } = queueOf(
        world,
        Array.from({ length: 500 }, (_, i) => (i === 1 ? 10_000 : 10 * (i + 1)))
      )
      const second = waiters[1]!
      let looks = 0
      let next = second.next
      Object.defineProperty(second, "next", {
        get: () => (looks++, next),
        set: (to) => {
          next = to
        }
      })
      world.advance(5_000)
      assert.isAtMost(looks, 10)
    })
  )

  it.effect("calls of as many keys go at the edge of their window, all in that millisecond", () =>
    Effect.sync(() => {
      const rateLimiter = RateLimiter.fixedWindow({ limit: 1, window: "1 second", maxWait: "1 minute" })
      const stage = new Stage({ rateLimiter })
      const edge = 1_000 - (stage.world.now % 1_000)
      const callers = Array.from({ length: many }, (_, i) => {
        arrive(stage, { key: `${i}` })
        return arrive(stage, { key: `${i}` })
      })
      stage.world.runOut()
      assert.isTrue(callers.every(({ ranAt }) => ranAt === edge))
      assert.deepStrictEqual(stage.debris(), clean)
    })
  )

  it.effect("calls that wait for a slot all end when their time is over", () =>
    Effect.sync(() => {
      const bulkhead = Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 second", maxQueued: Infinity })
      const stage = new Stage({ bulkhead })
      const holds = arrive(stage, {}, Effect.never)
      const callers = Array.from({ length: many }, () => arrive(stage))
      stage.world.runOut()
      assert.isTrue(callers.every(({ ended }) => ended?.at === 1_000))
      holds.fiber.interruptUnsafe()
      stage.world.runOut()
      assert.deepStrictEqual(stage.debris(), clean)
    })
  )
})
