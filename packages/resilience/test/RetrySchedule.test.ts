import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Option, Queue, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import * as CircuitBreaker from "../src/CircuitBreaker.ts"
import * as Resilience from "../src/Resilience.ts"
import { RetryExhausted } from "../src/Rejection.ts"
import * as Retry from "../src/Retry.ts"
import { Busy, busy, drawing, finish } from "./failing.ts"

describe("fromSchedule", () => {
  const timesOf = (schedule: Schedule.Schedule<unknown, Busy>, options?: Retry.Options<Busy, "last">) =>
    Effect.gen(function* () {
      const start = yield* Clock.currentTimeMillis
      const { at, effect } = busy()
      yield* finish(Retry.execute(effect, Retry.fromSchedule(schedule, options)))
      return at.map((time) => time - start)
    })

  it.effect("recurs(3) means four runs, at once", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* timesOf(Schedule.recurs(3)), [0, 0, 0, 0])
    })
  )

  it.effect("the schedule's delays and its end are honoured", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* timesOf(Schedule.spaced("2 seconds").pipe(Schedule.upTo({ times: 3 }))),
        [0, 2_000, 4_000, 6_000]
      )
      assert.deepStrictEqual(
        yield* timesOf(Schedule.exponential(100).pipe(Schedule.upTo({ duration: "1 second" }))),
        [0, 100, 300, 700, 1_500]
      )
    })
  )

  it.effect("the end of the schedule is exhaustion", () =>
    Effect.gen(function* () {
      const policy = Retry.fromSchedule(Schedule.recurs(1), { onExhausted: "wrap" })
      const error = yield* Effect.flip(yield* finish(Retry.execute(busy().effect, policy)))
      assert.instanceOf(error, RetryExhausted)
      assert.strictEqual(error.attempts, 2)
      assert.deepStrictEqual(error.errors, [new Busy({ n: 1 }), new Busy({ n: 2 })])
      const last = yield* finish(Retry.execute(busy().effect, Retry.fromSchedule(Schedule.recurs(1))))
      assert.deepStrictEqual(last, Exit.fail(new Busy({ n: 2 })))
    })
  )

  it.effect("a defect of the schedule ends the call, and is not held against the dependency", () =>
    Effect.gen(function* () {
      const schedule = Schedule.forever.pipe(Schedule.while(() => Effect.die("mine")))
      const circuitBreaker = CircuitBreaker.policy({
        tripPolicy: CircuitBreaker.consecutive(1),
        openDuration: "1 minute"
      })
      const { inspect, resilient } = yield* Resilience.make("app/Api", {
        circuitBreaker,
        retry: Retry.fromSchedule(schedule)
      })
      const exit = yield* finish(resilient(Effect.fail("down"), "a"))
      assert.deepStrictEqual(exit, Exit.die("mine"))
      assert.strictEqual((yield* inspect("a")).circuitBreaker?.state, "Closed")
    })
  )

  it.effect("its input is the error", () =>
    Effect.gen(function* () {
      const schedule = Schedule.spaced(100).pipe(
        Schedule.setInputType<Busy>(),
        Schedule.while(({ input }) => Effect.succeed(input.n < 3))
      )
      assert.deepStrictEqual(yield* timesOf(schedule), [0, 100, 200])
    })
  )

  it.effect("jittered draws from Effect's Random in the fiber", () =>
    Effect.gen(function* () {
      const schedule = Schedule.spaced("1 second").pipe(Schedule.jittered, Schedule.upTo({ times: 5 }))
      const first = yield* timesOf(schedule).pipe(Random.withSeed("seed"))
      assert.deepStrictEqual(yield* timesOf(schedule).pipe(Random.withSeed("seed")), first)
      assert.notDeepEqual(yield* timesOf(schedule).pipe(Random.withSeed("another")), first)
      first.slice(1).forEach((time, i) => {
        assert.isTrue(Number.isInteger(time))
        assert.isTrue(time - first[i]! >= 800 && time - first[i]! <= 1_200)
      })
    })
  )

  it.effect("a step may take time, fractions are rounded up, negative delays are none", () =>
    Effect.gen(function* () {
      const slow = Schedule.recurs(2).pipe(Schedule.modifyDelay(() => Effect.delay(Effect.succeed(100), 50)))
      assert.deepStrictEqual(yield* timesOf(slow), [0, 150, 300])
      assert.deepStrictEqual(
        yield* timesOf(Schedule.spaced("10.2 millis").pipe(Schedule.upTo({ times: 2 }))),
        [0, 11, 22]
      )
      assert.deepStrictEqual(yield* timesOf(Schedule.spaced(-5).pipe(Schedule.upTo({ times: 2 }))), [0, 0, 0])
    })
  )

  it.effect("a delay that is infinite or above 2^52 ms ends it", () =>
    Effect.gen(function* () {
      const next = (schedule: Schedule.Schedule<unknown>) => {
        const policy = Retry.fromSchedule(schedule, { retryAfter: () => Option.some(-1_000) })
        const delay = policy.driver().next("down", 1, 0, () => 0)
        return Effect.isEffect(delay) ? delay : Effect.die("not an Effect")
      }
      assert.strictEqual(yield* next(Schedule.spaced("Infinity")), undefined)
      assert.strictEqual(yield* next(Schedule.spaced(2 ** 52 + 2)), undefined)
      assert.strictEqual(yield* next(Schedule.spaced(2 ** 52)), 2 ** 52)
      assert.strictEqual(yield* next(Schedule.spaced(-5)), 0)
      assert.deepStrictEqual(yield* timesOf(Schedule.spaced("Infinity")), [0])
    })
  )

  it.effect("is told the wall clock, and not its jumps", () =>
    Effect.gen(function* () {
      const start = 1_893_495_600_000 // 2030-01-01T11:00:00Z
      yield* TestClock.setTime(start + 1_000_000) // so that the monotonic clock differs from the wall clock
      yield* TestClock.setTime(start)
      const seen: Array<number> = []
      const schedule = Schedule.spaced("10 seconds").pipe(
        Schedule.tap(({ now }) => Effect.sync(() => seen.push(now))),
        Schedule.upTo({ duration: "15 seconds" })
      )
      const gate = yield* Queue.unbounded<void>()
      const failing = Effect.andThen(Queue.take(gate), Effect.fail("down"))
      const fiber = yield* Effect.forkChild(Retry.execute(failing, Retry.fromSchedule(schedule)))
      yield* Queue.offer(gate, undefined)
      yield* TestClock.adjust("10 seconds")
      yield* TestClock.setTime(start - 7_200_000) // the second attempt is running
      yield* Queue.offer(gate, undefined)
      yield* TestClock.adjust("10 seconds")
      yield* Queue.offer(gate, undefined)
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail("down"))
      assert.deepStrictEqual(seen, [start, start + 10_000, start + 20_000])
    })
  )

  it.effect("while and retryAfter work as in policy", () =>
    Effect.gen(function* () {
      const schedule = Schedule.spaced(100)
      assert.deepStrictEqual(yield* timesOf(schedule, { while: (error) => error.n < 3 }), [0, 100, 200])
      const twice = schedule.pipe(Schedule.upTo({ times: 2 }))
      const retryAfter = () => Option.some("1 hour" as const)
      assert.deepStrictEqual(yield* timesOf(twice, { retryAfter }), [0])
      assert.deepStrictEqual(
        yield* timesOf(twice, { retryAfter, onLongRetryAfter: "cut" }).pipe(drawing(0)),
        [0, 30_100, 60_200]
      )
    })
  )

  it.effect("each call goes through the schedule from its start, also where calls share the policy", () =>
    Effect.gen(function* () {
      const policy = Retry.fromSchedule(Schedule.exponential(100).pipe(Schedule.upTo({ times: 2 })))
      const calls = [busy(), busy(), busy()]
      yield* finish(
        Effect.forEach(calls.slice(0, 2), ({ effect }) => Effect.exit(Retry.execute(effect, policy)), {
          concurrency: 2
        })
      )
      yield* finish(Retry.execute(calls[2]!.effect, policy))
      for (const { at } of calls)
        assert.deepStrictEqual(
          at.map((time) => time - at[0]!),
          [0, 100, 300]
        )
    })
  )

  it.effect("a Backoff by way of a Schedule gives the times of the Backoff", () =>
    Effect.gen(function* () {
      const backoff = Backoff.exponential({ base: 100, cap: 1_000 })
      const direct = busy()
      yield* finish(Retry.execute(direct.effect, Retry.policy({ maxAttempts: 6, backoff }))).pipe(Random.withSeed("s"))
      const bridged = yield* timesOf(Backoff.toSchedule(backoff).pipe(Schedule.upTo({ times: 5 }))).pipe(
        Random.withSeed("s")
      )
      assert.deepStrictEqual(bridged, direct.at)
    })
  )
})

describe("toSchedule", () => {
  const delays = (schedule: Schedule.Schedule<Duration.Duration>, times: number) =>
    Effect.gen(function* () {
      const step = yield* Schedule.toStep(schedule)
      const result: Array<number> = []
      for (let i = 0; i < times; i++) {
        const [output, delay] = yield* step(0, undefined)
        assert.strictEqual(Duration.toMillis(output), Duration.toMillis(delay))
        result.push(Duration.toMillis(delay))
      }
      return result
    })

  it.effect("gives the same delays, from Effect's Random", () =>
    Effect.gen(function* () {
      for (const backoff of [
        Backoff.exponential({ base: 100, cap: 5_000 }),
        Backoff.fibonacci({ base: 100, jitter: "equal" }),
        Backoff.decorrelated({ base: 100, cap: 2_000 })
      ]) {
        const schedule = Backoff.toSchedule(backoff)
        const drawn = yield* delays(schedule, 20).pipe(Random.withSeed("seed"))
        const expected = yield* Effect.gen(function* () {
          const result: Array<number> = []
          for (let n = 1; n <= 20; n++) result.push(Backoff.delay(backoff, n, yield* Random.next, result[n - 2]))
          return result
        }).pipe(Random.withSeed("seed"))
        assert.deepStrictEqual(drawn, expected)
        assert.notDeepEqual(yield* delays(schedule, 20).pipe(Random.withSeed("another")), drawn)
      }
    })
  )

  it.effect("starts afresh for each run", () =>
    Effect.gen(function* () {
      const schedule = Backoff.toSchedule(Backoff.exponential({ base: 100, jitter: "none" }))
      assert.deepStrictEqual(yield* delays(schedule, 3), [100, 200, 400])
      assert.deepStrictEqual(yield* delays(schedule, 3), [100, 200, 400])
    })
  )

  it.effect("drives Effect.retry", () =>
    Effect.gen(function* () {
      const at: Array<number> = []
      const failing = Effect.andThen(
        TestClock.testClockWith((clock) => Effect.sync(() => at.push(clock.currentTimeMillisUnsafe()))),
        Effect.fail("down")
      )
      const schedule = Backoff.toSchedule(Backoff.linear({ base: 100, jitter: "none" })).pipe(
        Schedule.upTo({ times: 3 })
      )
      yield* Effect.forkChild(Effect.retry(failing, schedule))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(at, [0, 100, 300, 600])
    })
  )
})
