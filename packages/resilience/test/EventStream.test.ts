import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, References, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, Event, EventStream } from "../src/index.ts"
import { circuits, limiter, settle, subscribe } from "./watching.ts"

const turns = (count: number) => Effect.forEach(Array.from({ length: count }), () => Effect.yieldNow, { discard: true })

describe("the stream", () => {
  it.effect("a subscriber sees the events from its start on, in their order", () =>
    Effect.gen(function* () {
      const { allow } = yield* limiter
      yield* allow("0")
      const { seen } = yield* subscribe(EventStream.events())
      yield* Effect.forEach(["1", "2", "3"], (key) => allow(key))
      yield* settle
      yield* allow("4")
      yield* settle
      assert.deepStrictEqual(seen, ["1", "2", "3", "4"])
    }).pipe(Effect.provide(EventStream.layer()))
  )

  it.effect("a slow subscriber is told how many it lost, where it lost them, and has the newest", () =>
    Effect.gen(function* () {
      const { allow } = yield* limiter
      const slow = yield* subscribe(EventStream.events(), 1_000)
      const quick = yield* subscribe(EventStream.events())
      const emit = (from: number, to: number) =>
        Effect.gen(function* () {
          for (let i = from; i <= to; i++) {
            yield* allow(`${i}`)
            yield* settle
          }
        })
      yield* emit(1, 1)
      yield* emit(2, 8)
      yield* TestClock.adjust("1 second")
      yield* emit(9, 10)
      yield* TestClock.adjust("1 minute")
      yield* emit(11, 11)
      assert.deepStrictEqual(slow.seen, ["1", "4 lost", "6", "7", "8", "9", "10", "11"])
      assert.deepStrictEqual(quick.seen, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"])
    }).pipe(Effect.provide(EventStream.layer({ capacity: 3 })))
  )

  it.effect.prop(
    "whatever a subscriber's pace, events and losses add up to what was emitted, each at its place",
    {
      capacity: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })),
      script: Schema.Array(
        Schema.Struct({
          events: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 })),
          pause: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8 }))
        })
      )
    },
    ({ capacity, script }) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const source = yield* Scope.provide(EventStream.make({ capacity }), scope)
        const { allow } = yield* limiter
        const { fiber, seen } = yield* subscribe(source.events(), 1)
        let emitted = 0
        for (const { events, pause } of script) {
          for (let i = 0; i < events; i++)
            yield* Effect.provideService(allow(`${emitted++}`), Event.EventSink, source.sink)
          yield* TestClock.adjust(pause)
        }
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(fiber)
        let place = 0
        for (const element of seen) {
          if (element.endsWith(" lost")) {
            const count = Number.parseInt(element)
            assert.isAbove(count, 0)
            place += count
          } else {
            assert.strictEqual(element, `${place++}`)
          }
        }
        assert.strictEqual(place, emitted)
      })
  )

  it.effect(
    "a thousand circuits open under a subscriber that takes a millisecond for each: none is lost in silence",
    () =>
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker.make(circuits)
        const { seen } = yield* subscribe(EventStream.events({ only: ["CircuitTransition"] }), 1)
        yield* Effect.forEach(
          Array.from({ length: 1_000 }, (_, i) => `${i}`),
          (key) => Effect.exit(breaker.execute(Effect.fail("no"), key))
        )
        yield* TestClock.adjust("1 minute")
        const lost = seen.filter((element) => element.endsWith(" lost")).map((element) => Number.parseInt(element))
        assert.isAbove(lost.length, 0)
        assert.strictEqual(seen.length - lost.length + lost.reduce((sum, count) => sum + count, 0), 1_000)
        assert.strictEqual(seen.at(-1), "999")
      }).pipe(Effect.provide(EventStream.layer({ capacity: 128 })))
  )

  it.effect("many events of other kinds push none out of a buffer that wants few", () =>
    Effect.gen(function* () {
      const { allow } = yield* limiter
      const breaker = yield* CircuitBreaker.make(circuits)
      const transitions: Stream.Stream<Event.CircuitTransition | EventStream.Dropped, never, EventStream.EventStream> =
        EventStream.events({ only: ["CircuitTransition"] })
      const { seen } = yield* subscribe(transitions)
      const flood = Effect.forEach(Array.from({ length: 100 }), () => allow("flood"), { discard: true })
      yield* flood
      yield* Effect.exit(breaker.execute(Effect.fail("no"), "a"))
      yield* flood
      yield* breaker.isolate("b")
      yield* flood
      yield* settle
      assert.deepStrictEqual(seen, ["a", "b"])
    }).pipe(Effect.provide(EventStream.layer({ capacity: 2 })))
  )

  it.effect("a call that emits runs none of the subscriber's code", () =>
    Effect.gen(function* () {
      const { allow } = yield* limiter
      const { seen } = yield* subscribe(EventStream.events())
      yield* allow("1")
      assert.deepStrictEqual(seen, [])
      yield* settle
      assert.deepStrictEqual(seen, ["1"])
    }).pipe(Effect.provide(EventStream.layer()))
  )

  it.effect("it ends with its source, after what was left, and for who comes later at once", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const source = yield* Scope.provide(EventStream.make(), scope)
      const { allow } = yield* limiter
      const idle = yield* subscribe(source.events())
      const slow = yield* subscribe(source.events(), 1_000)
      const tell = (key: string) => Effect.provideService(allow(key), Event.EventSink, source.sink)
      yield* tell("1")
      yield* settle
      yield* tell("2")
      yield* Scope.close(scope, Exit.void)
      yield* tell("3")
      yield* TestClock.adjust("1 minute")
      for (const { fiber, seen } of [idle, slow]) {
        assert.deepStrictEqual(fiber.pollUnsafe(), Exit.void)
        assert.deepStrictEqual(seen, ["1", "2"])
      }
      assert.deepStrictEqual(yield* Stream.runCollect(source.events()), [])
    })
  )

  it.effect("one that leaves takes nothing from the others, and can come back", () =>
    Effect.gen(function* () {
      const { allow } = yield* limiter
      const leaves = yield* subscribe(EventStream.events())
      const stays = yield* subscribe(EventStream.events())
      yield* allow("1")
      yield* settle
      yield* Fiber.interrupt(leaves.fiber)
      yield* allow("2")
      const back = yield* subscribe(EventStream.events())
      yield* allow("3")
      yield* settle
      assert.deepStrictEqual([leaves.seen, stays.seen, back.seen], [["1"], ["1", "2", "3"], ["3"]])
    }).pipe(Effect.provide(EventStream.layer()))
  )

  it.effect("no wake is lost, wherever the subscriber's fiber gives way", () =>
    Effect.gen(function* () {
      const { allow } = yield* limiter
      for (let ops = 3; ops < 30; ops++) {
        const { fiber, seen } = yield* subscribe(EventStream.events()).pipe(
          Effect.provideService(References.MaxOpsBeforeYield, ops)
        )
        yield* turns(100)
        for (let gap = 0; gap < 20; gap++) {
          yield* allow("first")
          yield* turns(gap)
          yield* allow("second") // wherever the first has brought the subscriber
          yield* turns(60)
          assert.strictEqual(seen.length, 2 * (gap + 1), `${gap} turns apart, of ${ops} operations`)
        }
        yield* Fiber.interrupt(fiber)
      }
    }).pipe(Effect.provide(EventStream.layer()))
  )

  it.effect("one that left holds no event any more", () =>
    Effect.gen(function* () {
      setFlagsFromString("--expose-gc")
      const collect: () => void = runInNewContext("gc")
      let last: WeakRef<Event.Event> | undefined
      const { allow } = yield* limiter
      const { fiber } = yield* subscribe(EventStream.events())
      yield* settle
      yield* Fiber.interrupt(fiber)
      yield* allow("1").pipe(Effect.provide(Event.layer((event) => void (last = new WeakRef(event)))))
      yield* Effect.yieldNow // a WeakRef holds on until the turn it was made in is over
      collect()
      assert.isDefined(last)
      assert.isUndefined(last?.deref())
    }).pipe(Effect.provide(EventStream.layer()))
  )

  it("a capacity that makes no sense is refused by name", () => {
    for (const capacity of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const refused of [() => EventStream.make({ capacity }), () => EventStream.layer({ capacity })]) {
        assert.throws(refused, /^EventStream\.make: capacity /)
      }
    }
  })
})
