/**
 * The timers of calls: they come at their time and in its order, and share one sleep.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, Effect, Exit, Schema } from "effect"
import { TestClock } from "effect/testing"
import { pop, push, remove, type Timed } from "../../src/internal/heap.ts"
import { nowOf } from "../../src/internal/time.ts"
import { startTimer } from "../../src/internal/timers.ts"
import { settle } from "./support.ts"
import { uncaught } from "./uncaught.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** Runs with a clock that counts the sleeps that go on, and how the fibers that slept ended. */
const counted = <A, E, R>(
  test: (
    sleeps: { live: number; begun: number; died: number; interrupted: number },
    adjust: (millis: number) => Effect.Effect<void>
  ) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const adjust = (millis: number) => Effect.provideService(TestClock.adjust(millis), Clock.Clock, clock)
    const sleeps = { live: 0, begun: 0, died: 0, interrupted: 0 }
    const counting: Clock.Clock = {
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
      currentTimeMillis: clock.currentTimeMillis,
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
      currentTimeNanos: clock.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) =>
        Effect.withFiber((fiber) => {
          sleeps.live++
          sleeps.begun++
          fiber.addObserver((exit) => {
            if (Exit.hasDies(exit)) sleeps.died++
            if (Exit.hasInterrupts(exit)) sleeps.interrupted++
          })
          return Effect.ensuring(
            clock.sleep(duration),
            Effect.sync(() => sleeps.live--)
          )
        })
    }
    return yield* Effect.provideService(test(sleeps, adjust), Clock.Clock, counting)
  })

const start = (millis: number, onTime: () => void) =>
  Effect.withFiber((fiber) => Effect.succeed(startTimer(fiber, millis, onTime)))

describe("timers", () => {
  it.effect("come at their time, in its order, and never once they are cancelled", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const at = (name: string, millis: number) =>
        Effect.withFiber((fiber) => {
          const from = nowOf(fiber)
          return start(millis, () => told.push(`${name} ${nowOf(fiber) - from}`))
        })
      yield* at("c", 30)
      yield* at("a", 10)
      const cancel = yield* at("never", 20)
      yield* at("b", 20)
      cancel()
      cancel()
      yield* TestClock.adjust(9)
      assert.deepStrictEqual(told, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(told, ["a 10"])
      yield* at("d", 5)
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(told, ["a 10", "d 5", "b 20", "c 30"])
      cancel()
    })
  )

  it.effect("share one sleep, which the next call takes over, and which ends a turn after the last of them", () =>
    counted((sleeps, adjust) =>
      Effect.gen(function* () {
        let told = 0
        const first = yield* start(1_000, () => told++)
        const others = yield* Effect.forEach([2_000, 1_000, 3_000, 1_500], (millis) => start(millis, () => told++))
        assert.deepInclude(sleeps, { live: 1, begun: 1 })
        for (const cancel of [first, ...others]) cancel()
        const last = yield* start(5_000, () => told++)
        yield* Effect.yieldNow
        assert.deepInclude(sleeps, { live: 1, begun: 1 }, "taken over")
        yield* adjust(1_000)
        assert.deepInclude(sleeps, { live: 1, begun: 2 }, "slept again")
        last()
        assert.strictEqual(sleeps.live, 1)
        yield* Effect.yieldNow
        assert.strictEqual(sleeps.live, 0)
        yield* start(10, () => told++)
        assert.strictEqual(sleeps.live, 1, "and one begins again")
        yield* start(3, () => told++)
        assert.strictEqual(sleeps.live, 1, "an earlier one takes the place of the later")
        yield* adjust(10)
        assert.deepStrictEqual([told, sleeps], [2, { live: 0, begun: 5, died: 0, interrupted: 2 }])
      })
    )
  )

  it.effect("that are all cancelled leave no sleep, each time anew, though no time passes", () =>
    counted((sleeps) =>
      Effect.gen(function* () {
        const thrown = yield* uncaught
        for (const begun of [1, 2, 3]) {
          const cancel = yield* start(1_000, () => {})
          assert.deepInclude(sleeps, { live: 1, begun })
          cancel()
          yield* Effect.yieldNow
          assert.strictEqual(sleeps.live, 0)
        }
        yield* settle
        assert.deepStrictEqual(thrown, [], "a sleep that is not needed any more did not break off")
      })
    )
  )

  it.effect("may start and cancel others when they come", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      let cancel = () => {}
      yield* Effect.withFiber((fiber) => {
        startTimer(fiber, 10, () => {
          told.push("first")
          cancel()
          startTimer(fiber, 5, () => told.push("third"))
        })
        cancel = startTimer(fiber, 10, () => told.push("cancelled"))
        startTimer(fiber, 12, () => told.push("second"))
        return Effect.void
      })
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(told, ["first", "second", "third"])
    })
  )
})

describe("a callback that starts timers", () => {
  it.effect("begins one sleep at its end, for the earliest of all", () =>
    counted((sleeps, adjust) =>
      Effect.gen(function* () {
        const told: Array<string> = []
        // a fiber of its own: this one has the other clock while it adjusts
        const call = Effect.withFiber((fiber) => {
          startTimer(fiber, 10, () => {
            for (const millis of [9, 7, 8]) startTimer(fiber, millis, () => told.push(`after ${millis}`))
          })
          startTimer(fiber, 30, () => told.push("at 30"))
          return Effect.never
        })
        yield* Effect.forkChild(call, { startImmediately: true })
        yield* adjust(10)
        assert.deepInclude(sleeps, { live: 1, begun: 2 })
        yield* adjust(20)
        assert.deepStrictEqual(told, ["after 7", "after 8", "after 9", "at 30"])
        assert.deepStrictEqual(sleeps, { live: 0, begun: 5, died: 0, interrupted: 0 }, "each came to its end")
      })
    )
  )
})

describe("a timer whose callback throws", () => {
  it.effect("is heard of by the process, and the others come at their time, those of the same time too", () =>
    Effect.gen(function* () {
      const thrown = yield* uncaught
      const told: Array<string> = []
      const bugs = [new Error("first"), new Error("second")]
      for (const bug of bugs) {
        yield* start(10, () => {
          throw bug
        })
      }
      yield* start(10, () => told.push("same time"))
      yield* start(30, () => told.push("later"))
      yield* TestClock.adjust(10)
      yield* settle
      assert.deepStrictEqual(thrown, bugs)
      assert.deepStrictEqual(told, ["same time"])
      yield* start(5, () => told.push("new"))
      yield* TestClock.adjust(5)
      assert.deepStrictEqual(told, ["same time", "new"])
      yield* TestClock.adjust(15)
      assert.deepStrictEqual(told, ["same time", "new", "later"])
    })
  )

  it.effect("may have started others before: they come, too", () =>
    Effect.gen(function* () {
      const thrown = yield* uncaught
      const told: Array<string> = []
      yield* Effect.withFiber((fiber) => {
        startTimer(fiber, 10, () => {
          startTimer(fiber, 5, () => told.push("started"))
          throw new Error("late")
        })
        return Effect.void
      })
      yield* TestClock.adjust(15)
      assert.deepStrictEqual(told, ["started"])
      assert.lengthOf(thrown, 1)
    })
  )
})

describe("a clock whose sleep breaks off", () => {
  for (const [how, broken] of [
    ["dies", Effect.die("no sleep")],
    ["is interrupted", Effect.interrupt],
    [
      "throws",
      Effect.suspend((): Effect.Effect<void> => {
        throw new Error("no sleep")
      })
    ]
  ] as const) {
    it.effect(`(${how}) is heard of by the process, and the next timer sleeps for all that wait`, () =>
      Effect.gen(function* () {
        const thrown = yield* uncaught
        const clock = yield* Clock.Clock
        let breaks = true
        const breaking = Object.assign(Object.create(clock) as Clock.Clock, {
          // as late as a sleep may be: when the timer is already waited for
          sleep: (duration: Parameters<Clock.Clock["sleep"]>[0]) =>
            breaks ? Effect.andThen(Effect.yieldNow, broken) : clock.sleep(duration)
        })
        const told: Array<string> = []
        const on = (millis: number, name: string) =>
          Effect.provideService(
            start(millis, () => told.push(name)),
            Clock.Clock,
            breaking
          )
        yield* on(10, "a")
        yield* settle
        assert.lengthOf(thrown, 1)
        breaks = false
        yield* on(20, "b")
        yield* TestClock.adjust(10)
        assert.deepStrictEqual(told, ["a"])
        yield* TestClock.adjust(10)
        assert.deepStrictEqual(told, ["a", "b"])
      })
    )
  }
})

describe("the heap", () => {
  interface Item extends Timed {
    readonly name: number
  }

  it.prop(
    "gives what a sorted list gives, whoever leaves it in between",
    { acts: Arbitrary.array(Arbitrary.all({ what: int(0, 3), at: int(0, 20), pick: int(0, 100) }), { maxLength: 60 }) },
    ({ acts }) => {
      const heap: Array<Item> = []
      const list: Array<Item> = []
      for (const [name, { at, pick, what }] of acts.entries()) {
        if (what < 2 || list.length === 0) {
          const item = { at, index: -1, name }
          push(heap, item)
          list.push(item)
        } else if (what === 2) {
          const [left] = list.splice(pick % list.length, 1)
          remove(heap, left!)
        } else {
          const first = pop(heap)
          assert.strictEqual(first.at, Math.min(...list.map((item) => item.at)))
          list.splice(list.indexOf(first), 1)
        }
        assert.sameMembers(heap, list)
        for (const [i, item] of heap.entries()) {
          assert.strictEqual(item.index, i)
          assert.isAtMost(heap[Math.max(0, (i - 1) >> 1)]!.at, item.at)
        }
      }
    },
    { arbitrary: { runs: 500 } }
  )
})
