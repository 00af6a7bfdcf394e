import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Data,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Random,
  Schedule,
  Schema
} from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import { EventSink, type RetryScheduled } from "../src/Event.ts"
import {
  CircuitOpen,
  InvalidPolicyError,
  RateLimitExceeded,
  RetryExhausted,
  StoreError,
  TimeoutExceeded
} from "../src/Rejection.ts"
import * as Retry from "../src/Retry.ts"

class Busy extends Data.TaggedError("Busy")<{ readonly n: number; readonly wait?: Duration.Input }> {}

/** A call that fails as often as `fail` says so, and remembers when it ran. */
const call = <E>(fail: (n: number) => Effect.Effect<never, E> | undefined) => {
  const at: Array<number> = []
  const effect = Effect.flatMap(
    Clock.currentTimeMillis,
    (now): Effect.Effect<number, E> => fail(at.push(now)) ?? Effect.succeed(at.length)
  )
  return { at, effect }
}
const busy = (failures = Infinity, wait?: Duration.Input) =>
  call((n) => n <= failures ? Effect.fail(new Busy(wait === undefined ? { n } : { n, wait })) : undefined)

/** Runs to the end of a virtual day. */
const finish = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust("1 day")
    return yield* Fiber.await(fiber)
  })

const every100 = { backoff: Backoff.constant(100) }
const readWait = (error: Busy) =>
  error.wait === undefined ? Option.none<Duration.Input>() : Option.some<Duration.Input>(error.wait)
const limited = (retryAfterMillis: number | undefined) =>
  new RateLimitExceeded({ key: "k", reason: "limit", retryAfterMillis, limits: [] })

describe("attempts", () => {
  it.effect("maxAttempts counts runs, the first included", () =>
    Effect.gen(function*() {
      for (const maxAttempts of [1, 2, 5]) {
        const { at, effect } = busy()
        yield* finish(Retry.execute(effect, Retry.policy({ maxAttempts, ...every100 })))
        assert.deepStrictEqual(at.map((time) => time - at[0]!), Array.from({ length: maxAttempts }, (_, i) => i * 100))
      }
    }))

  it.effect("by default there are three, up to 100 and 200 ms apart, drawn from Effect's Random", () =>
    Effect.gen(function*() {
      const { at, effect } = busy()
      yield* finish(Retry.execute(effect, Retry.policy())).pipe(Random.withSeed("seed"))
      const [u1, u2] = yield* Effect.all([Random.next, Random.next]).pipe(Random.withSeed("seed"))
      const first = Math.floor(u1 * 101)
      assert.deepStrictEqual(at, [0, first, first + Math.floor(u2 * 201)])
    }))

  it.effect("the delays are those of the backoff, counted from each failure", () =>
    Effect.gen(function*() {
      const { at, effect } = call((n) => n <= 3 ? Effect.delay(Effect.fail("slow"), "1 second") : undefined)
      const backoff = Backoff.exponential({ base: 100, jitter: "none" })
      const exit = yield* finish(Retry.execute(effect, Retry.policy({ maxAttempts: 4, backoff })))
      assert.deepStrictEqual(exit, Exit.succeed(4))
      assert.deepStrictEqual(at, [0, 1_100, 2_300, 3_700])
    }))

  it.effect("decorrelated delays build on the delay before, afresh for each call", () =>
    Effect.gen(function*() {
      const backoff = Backoff.decorrelated({ base: 100, cap: 5_000 })
      const policy = Retry.policy({ maxAttempts: 6, backoff })
      for (let i = 0; i < 2; i++) {
        const start = yield* Clock.currentTimeMillis
        const { at, effect } = busy()
        yield* finish(Retry.execute(effect, policy)).pipe(Random.withSeed("seed"))
        const expected = yield* Effect.gen(function*() {
          const times = [start]
          let previous: number | undefined
          for (let n = 1; n < 6; n++) {
            previous = Backoff.delay(backoff, n, yield* Random.next, previous)
            times.push(times[n - 1]! + previous)
          }
          return times
        }).pipe(Random.withSeed("seed"))
        assert.deepStrictEqual(at, expected)
      }
    }))

  it.effect.prop("there are min(failures + 1, maxAttempts) of them, and they take the sum of the delays", {
    failures: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 })),
    maxAttempts: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10 })),
    delay: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 }))
  }, ({ failures, maxAttempts, delay }) =>
    Effect.gen(function*() {
      const { at, effect } = busy(failures)
      const policy = Retry.policy({ maxAttempts, backoff: Backoff.constant(delay), onExhausted: "wrap" })
      const exit = yield* finish(Retry.execute(effect, policy))
      const runs = Math.min(failures + 1, maxAttempts)
      assert.deepStrictEqual(at, Array.from({ length: runs }, (_, i) => i * delay))
      assert.strictEqual(exit._tag, failures < maxAttempts ? "Success" : "Failure")
    }))

  it.effect("one executed effect can be run many times, also at once", () =>
    Effect.gen(function*() {
      const { at, effect } = busy()
      const executed = Retry.execute(effect, Retry.policy({ maxAttempts: 2, ...every100 }))
      yield* finish(Effect.all([Effect.exit(executed), Effect.exit(executed)], { concurrency: 2 }))
      assert.deepStrictEqual(at, [0, 0, 100, 100])
      yield* finish(executed)
      assert.strictEqual(at.length, 6)
    }))

  it("a delay of zero sleeps not at all, and twenty thousand attempts need no stack", () => {
    let runs = 0
    const failing = Effect.suspend(() => Effect.fail(++runs))
    const policy = Retry.policy({ maxAttempts: 20_000, backoff: Backoff.constant(0) })
    const exit = Effect.runSyncExit(Retry.execute(failing, policy).pipe(Effect.provideService(Clock.Clock, frozen)))
    assert.deepStrictEqual(exit, Exit.fail(20_000))
  })
})

const frozen: Clock.Clock = {
  currentTimeMillisUnsafe: () => 0,
  currentTimeMillis: Effect.succeed(0),
  currentTimeNanosUnsafe: () => 0n,
  currentTimeNanos: Effect.succeed(0n),
  monotonicTimeNanosUnsafe: () => 0n,
  monotonicTimeNanos: Effect.succeed(0n),
  sleep: () => Effect.die("slept")
}

describe("what is not paid", () => {
  it("no clock and no randomness is touched when the first attempt succeeds", () => {
    const fail = (): never => {
      throw new Error("touched")
    }
    const clock: Clock.Clock = {
      ...frozen,
      currentTimeMillisUnsafe: fail,
      currentTimeNanosUnsafe: fail,
      monotonicTimeNanosUnsafe: fail
    }
    const random = { nextIntUnsafe: fail, nextDoubleUnsafe: fail }
    const run = (policy: Retry.Policy<unknown, "last">) =>
      Effect.runSync(
        Retry.execute(Effect.succeed(1), policy).pipe(
          Effect.provideService(Clock.Clock, clock),
          Effect.provideService(Random.Random, random)
        )
      )
    assert.strictEqual(run(Retry.policy()), 1)
    assert.strictEqual(run(Retry.fromSchedule(Schedule.spaced("1 second").pipe(Schedule.jittered))), 1)
  })

  it("no timer after the last attempt", () => {
    const exit = Effect.runSyncExit(
      Retry.execute(Effect.fail("down"), Retry.policy({ maxAttempts: 1 })).pipe(Effect.provideService(Clock.Clock, frozen))
    )
    assert.deepStrictEqual(exit, Exit.fail("down"))
  })
})

describe("the end", () => {
  it.effect("is the last error, typed as it was", () =>
    Effect.gen(function*() {
      const executed: Effect.Effect<number, Busy> = Retry.execute(busy().effect, Retry.policy(every100))
      assert.deepStrictEqual(yield* finish(executed), Exit.fail(new Busy({ n: 3 })))
    }))

  it.effect("wrap gives every error in order", () =>
    Effect.gen(function*() {
      const policy = Retry.policy({ maxAttempts: 3, ...every100, onExhausted: "wrap" })
      const executed: Effect.Effect<number, Busy | RetryExhausted<Busy>> = Retry.execute(busy().effect, policy)
      const error = yield* Effect.flip(yield* finish(executed))
      assert.instanceOf(error, RetryExhausted)
      assert.strictEqual(error.attempts, 3)
      assert.deepStrictEqual(error.errors, [1, 2, 3].map((n) => new Busy({ n })))
    }))

  it.effect("wrap also wraps a single attempt, and starts afresh for each call", () =>
    Effect.gen(function*() {
      const policy = Retry.policy({ maxAttempts: 1, onExhausted: "wrap" })
      const executed = Retry.execute(busy().effect, policy)
      for (const n of [1, 2]) {
        const error = yield* Effect.flip(yield* finish(executed))
        assert.instanceOf(error, RetryExhausted)
        assert.deepStrictEqual(error.errors, [new Busy({ n })])
      }
    }))

  it.effect("an error that while does not retry ends the call as it is, on any attempt, never wrapped", () =>
    Effect.gen(function*() {
      for (const [last, runs] of [[1, 1], [2, 2], [3, 3]] as const) {
        const { at, effect } = busy()
        const policy = Retry.policy({
          maxAttempts: 3,
          ...every100,
          while: (error: Busy) => error.n < last,
          onExhausted: "wrap"
        })
        assert.deepStrictEqual(yield* finish(Retry.execute(effect, policy)), Exit.fail(new Busy({ n: last })))
        assert.strictEqual(at.length, runs)
      }
    }))

  it("a policy with while accepts only calls whose errors it can judge", () => {
    const policy = Retry.policy({ while: (error: Busy) => error.n < 3, retryAfter: readWait })
    Retry.execute(Effect.fail(new Busy({ n: 1 })), policy)
    // @ts-expect-error a string is no Busy
    Retry.execute(Effect.fail("other"), policy)
    // @ts-expect-error a string is no Busy
    Effect.fail("other").pipe(Retry.execute(policy))
  })
})

describe("retryAfter", () => {
  const run = (wait: Duration.Input, options: Retry.Options<Busy, "last"> = {}) =>
    Effect.gen(function*() {
      const { at, effect } = busy(1, wait)
      const start = yield* Clock.currentTimeMillis
      yield* finish(Retry.execute(effect, Retry.policy({ ...every100, retryAfter: readWait, ...options })))
      return at[1]! - start
    })

  it.effect("is a minimum: a longer one is honoured, a shorter one changes nothing", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* run("2 seconds"), 2_000)
      assert.strictEqual(yield* run("50 millis"), 100)
    }))

  it.effect("is bounded by maxRetryAfter, 30 seconds by default", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* run("30 seconds"), 30_000)
      assert.strictEqual(yield* run("1 hour"), 30_000)
      assert.strictEqual(yield* run("Infinity"), 30_000)
      assert.strictEqual(yield* run("1 hour", { maxRetryAfter: "5 seconds" }), 5_000)
      assert.strictEqual(yield* run("1 hour", { maxRetryAfter: "50 millis" }), 100)
    }))

  it.effect("rounds up, and takes nonsense from a server for none", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* run("1000.5 millis"), 1_001)
      for (const wait of [NaN, -1, "-1 hour", "-Infinity", 0] as const) assert.strictEqual(yield* run(wait), 100)
    }))

  it.effect("is read from rejections of ours without being told how", () =>
    Effect.gen(function*() {
      const { at, effect } = call<RateLimitExceeded | CircuitOpen | StoreError>((n) =>
        n === 1
          ? Effect.fail(limited(700))
          : n === 2
          ? Effect.fail(new CircuitOpen({ key: "k", state: "Open", retryAfterMillis: 3_600_000 }))
          : n === 3
          ? Effect.fail(limited(undefined))
          : n === 4
          ? Effect.fail(new StoreError({ reason: "unavailable" }))
          : undefined
      )
      const policy = Retry.policy({ maxAttempts: 5, ...every100, retryRejections: true, retryAfter: () => Option.none() })
      yield* finish(Retry.execute(effect, policy))
      assert.deepStrictEqual(at, [0, 700, 30_700, 30_800, 30_900])
    }))

  it.effect("of the caller goes before our own", () =>
    Effect.gen(function*() {
      const { at, effect } = call((n) => n === 1 ? Effect.fail(limited(700)) : undefined)
      const policy = Retry.policy({ ...every100, retryRejections: true, retryAfter: () => Option.some("2 seconds") })
      yield* finish(Retry.execute(effect, policy))
      assert.deepStrictEqual(at, [0, 2_000])
    }))
})

describe("rejections of ours", () => {
  it.effect("are not retried, whatever while says, unless the policy says so", () =>
    Effect.gen(function*() {
      for (
        const rejection of [
          limited(1),
          new CircuitOpen({ key: "k", state: "HalfOpen", retryAfterMillis: 1 }),
          new StoreError({ reason: "deadline" })
        ]
      ) {
        const runs = (options: Retry.Options<unknown, "last">) =>
          Effect.gen(function*() {
            const { at, effect } = call(() => Effect.fail(rejection))
            const exit = yield* finish(Retry.execute(effect, Retry.policy({ ...every100, ...options })))
            assert.deepStrictEqual(exit, Exit.fail(rejection))
            return at.length
          })
        assert.strictEqual(yield* runs({}), 1)
        assert.strictEqual(yield* runs({ while: () => true }), 1)
        assert.strictEqual(yield* runs({ retryRejections: true }), 3)
        assert.strictEqual(yield* runs({ retryRejections: true, while: () => false }), 1)
      }
    }))

  it.effect("a timeout is a failure, and is retried", () =>
    Effect.gen(function*() {
      const { at, effect } = call(() =>
        Effect.fail(new TimeoutExceeded({ key: "k", scope: "attempt", timeoutMillis: 1 }))
      )
      yield* finish(Retry.execute(effect, Retry.policy(every100)))
      assert.strictEqual(at.length, 3)
    }))
})

describe("defects and interruption", () => {
  it.effect("a defect is not retried, also beside a failure", () =>
    Effect.gen(function*() {
      for (
        const cause of [
          Cause.die("bug"),
          Cause.combine(Cause.fail("down"), Cause.die("bug")),
          Cause.combine(Cause.die("bug"), Cause.fail("down"))
        ]
      ) {
        const { at, effect } = call(() => Effect.failCause<string>(cause))
        const exit = yield* finish(Retry.execute(effect, Retry.policy(every100)))
        assert.strictEqual(at.length, 1)
        assert.deepStrictEqual(exit, Exit.failCause(cause))
      }
    }))

  it.effect("an interruption from within is not retried, but a failure beside one is", () =>
    Effect.gen(function*() {
      const inner = call(() => Effect.interrupt)
      const exit = yield* finish(Retry.execute(inner.effect, Retry.policy(every100)))
      assert.strictEqual(inner.at.length, 1)
      assert.isTrue(Exit.hasInterrupts(exit))
      const beside = call(() => Effect.failCause(Cause.combine(Cause.interrupt(1), Cause.fail("down"))))
      yield* finish(Retry.execute(beside.effect, Retry.policy(every100)))
      assert.strictEqual(beside.at.length, 3)
    }))

  it.effect("a defect in while or retryAfter is the caller's and ends the call", () =>
    Effect.gen(function*() {
      const boom = (): never => {
        throw "boom"
      }
      for (const options of [{ while: boom }, { retryAfter: boom }, { retryAfter: () => Option.some("soon" as never) }]) {
        for (const policy of [Retry.policy(options), Retry.fromSchedule(Schedule.forever, options)]) {
          const { at, effect } = busy()
          const exit = yield* finish(Retry.execute(effect, policy))
          assert.isTrue(Exit.hasDies(exit))
          assert.strictEqual(at.length, 1)
        }
      }
    }))

  it.effect("interruption during backoff ends at once with no further attempt (cockatiel#25)", () =>
    Effect.gen(function*() {
      const schedules: ReadonlyArray<Retry.Policy<unknown, "last">> = [
        Retry.policy({ backoff: Backoff.constant(500) }),
        Retry.fromSchedule(Schedule.spaced(500))
      ]
      for (const policy of schedules) {
        const { at, effect } = busy()
        const fiber = yield* Effect.forkChild(Retry.execute(effect, policy))
        yield* TestClock.adjust(20)
        assert.strictEqual(at.length, 1)
        yield* Fiber.interrupt(fiber) // returns with the clock standing still
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(at.length, 1)
      }
    }))

  it.effect.prop("no attempt starts after an interruption, whenever it comes", {
    when: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 })),
    takes: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200 }))
  }, ({ takes, when }) =>
    Effect.gen(function*() {
      const { at, effect } = call(() => Effect.delay(Effect.fail("down"), takes))
      const fiber = yield* Effect.forkChild(
        Retry.execute(effect, Retry.policy({ maxAttempts: 100, backoff: Backoff.constant(150) }))
      )
      yield* TestClock.adjust(when)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(at.length, 1 + Math.floor(when / (takes + 150)))
    }))
})

describe("fromSchedule", () => {
  const timesOf = (schedule: Schedule.Schedule<unknown, Busy>, options?: Retry.Options<Busy, "last">) =>
    Effect.gen(function*() {
      const start = yield* Clock.currentTimeMillis
      const { at, effect } = busy()
      yield* finish(Retry.execute(effect, Retry.fromSchedule(schedule, options)))
      return at.map((time) => time - start)
    })

  it.effect("recurs(3) means four runs, at once", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* timesOf(Schedule.recurs(3)), [0, 0, 0, 0])
    }))

  it.effect("the schedule's delays and its end are honoured", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* timesOf(Schedule.spaced("2 seconds").pipe(Schedule.upTo({ times: 3 }))),
        [0, 2_000, 4_000, 6_000]
      )
      assert.deepStrictEqual(
        yield* timesOf(Schedule.exponential(100).pipe(Schedule.upTo({ duration: "1 second" }))),
        [0, 100, 300, 700, 1_500]
      )
    }))

  it.effect("the end of the schedule is exhaustion", () =>
    Effect.gen(function*() {
      const policy = Retry.fromSchedule(Schedule.recurs(1), { onExhausted: "wrap" })
      const error = yield* Effect.flip(yield* finish(Retry.execute(busy().effect, policy)))
      assert.instanceOf(error, RetryExhausted)
      assert.strictEqual(error.attempts, 2)
      assert.deepStrictEqual(error.errors, [new Busy({ n: 1 }), new Busy({ n: 2 })])
      const last = yield* finish(Retry.execute(busy().effect, Retry.fromSchedule(Schedule.recurs(1))))
      assert.deepStrictEqual(last, Exit.fail(new Busy({ n: 2 })))
    }))

  it.effect("its input is the error", () =>
    Effect.gen(function*() {
      const schedule = Schedule.spaced(100).pipe(
        Schedule.setInputType<Busy>(),
        Schedule.while(({ input }) => Effect.succeed(input.n < 3))
      )
      assert.deepStrictEqual(yield* timesOf(schedule), [0, 100, 200])
      // @ts-expect-error the schedule can judge a Busy only
      Retry.execute(Effect.fail("other"), Retry.fromSchedule(schedule))
    }))

  it.effect("jittered draws from Effect's Random in the fiber", () =>
    Effect.gen(function*() {
      const schedule = Schedule.spaced("1 second").pipe(Schedule.jittered, Schedule.upTo({ times: 5 }))
      const first = yield* timesOf(schedule).pipe(Random.withSeed("seed"))
      assert.deepStrictEqual(yield* timesOf(schedule).pipe(Random.withSeed("seed")), first)
      assert.notDeepEqual(yield* timesOf(schedule).pipe(Random.withSeed("another")), first)
      first.slice(1).forEach((time, i) => {
        assert.isTrue(Number.isInteger(time))
        assert.isTrue(time - first[i]! >= 800 && time - first[i]! <= 1_200)
      })
    }))

  it.effect("a step may take time, fractions are rounded up, negative delays are none", () =>
    Effect.gen(function*() {
      const slow = Schedule.recurs(2).pipe(Schedule.modifyDelay(() => Effect.delay(Effect.succeed(100), 50)))
      assert.deepStrictEqual(yield* timesOf(slow), [0, 150, 300])
      assert.deepStrictEqual(
        yield* timesOf(Schedule.spaced("10.2 millis").pipe(Schedule.upTo({ times: 2 }))),
        [0, 11, 22]
      )
      assert.deepStrictEqual(yield* timesOf(Schedule.spaced(-5).pipe(Schedule.upTo({ times: 2 }))), [0, 0, 0])
    }))

  it.effect("a delay that is infinite or above 2^52 ms ends it", () =>
    Effect.gen(function*() {
      const next = (schedule: Schedule.Schedule<unknown>) => {
        const delay = Retry.fromSchedule(schedule).driver().next("down", 1, 0, () => 0)
        return Effect.isEffect(delay) ? delay : Effect.die("not an Effect")
      }
      assert.strictEqual(yield* next(Schedule.spaced("Infinity")), undefined)
      assert.strictEqual(yield* next(Schedule.spaced(2 ** 52 + 2)), undefined)
      assert.strictEqual(yield* next(Schedule.spaced(2 ** 52)), 2 ** 52)
      assert.deepStrictEqual(yield* timesOf(Schedule.spaced("Infinity")), [0])
    }))

  it.effect("knows the wall clock, and does not follow it when it jumps", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2030, 0, 1, 10, 59, 30))
      const seen: Array<number> = []
      const schedule = Schedule.spaced("10 seconds").pipe(
        Schedule.tap(({ now }) => Effect.sync(() => seen.push(now))),
        Schedule.upTo({ duration: "25 seconds" })
      )
      const { at, effect } = busy()
      const fiber = yield* Effect.forkChild(Retry.execute(effect, Retry.fromSchedule(schedule)))
      yield* TestClock.adjust("10 seconds")
      yield* TestClock.setTime(Date.UTC(2030, 0, 1, 9)) // two hours back
      yield* TestClock.adjust("1 day")
      yield* Fiber.await(fiber)
      const start = Date.UTC(2030, 0, 1, 10, 59, 30)
      assert.deepStrictEqual(seen.slice(0, 2), [start, start + 10_000])
      // The timer is the test clock's own and follows the jump: what is asserted is that the schedule does not.
      for (const now of seen) assert.isAtLeast(now, start)
      assert.isAtMost(at.length, 4)
    }))

  it.effect("while and retryAfter work as in policy", () =>
    Effect.gen(function*() {
      const schedule = Schedule.spaced(100)
      assert.deepStrictEqual(yield* timesOf(schedule, { while: (error) => error.n < 3 }), [0, 100, 200])
      assert.deepStrictEqual(
        yield* timesOf(schedule.pipe(Schedule.upTo({ times: 2 })), { retryAfter: () => Option.some("1 hour") }),
        [0, 30_000, 60_000]
      )
    }))

  it.effect("each call goes through the schedule from its start", () =>
    Effect.gen(function*() {
      const schedule = Schedule.exponential(100).pipe(Schedule.upTo({ times: 2 }))
      assert.deepStrictEqual(yield* timesOf(schedule), [0, 100, 300])
      assert.deepStrictEqual(yield* timesOf(schedule), [0, 100, 300])
    }))

  it.effect("a Backoff by way of a Schedule gives the times of the Backoff", () =>
    Effect.gen(function*() {
      const backoff = Backoff.exponential({ base: 100, cap: 1_000 })
      const direct = busy()
      yield* finish(Retry.execute(direct.effect, Retry.policy({ maxAttempts: 6, backoff }))).pipe(Random.withSeed("s"))
      const bridged = yield* timesOf(Backoff.toSchedule(backoff).pipe(Schedule.upTo({ times: 5 }))).pipe(
        Random.withSeed("s")
      )
      assert.deepStrictEqual(bridged, direct.at)
    }))
})

class Patient extends Retry.Service<Patient>()(
  "test/Patient",
  Retry.policy({ maxAttempts: 4, ...every100, onExhausted: "wrap", while: (error: Busy) => error.n < 100 })
) {}
class Quick extends Retry.Service<Quick>()("test/Quick", Retry.policy({ maxAttempts: 2, ...every100 })) {}

describe("services", () => {
  it.effect("a named service carries its policy, its layer and exact types", () =>
    Effect.gen(function*() {
      const { at, effect } = busy()
      const executed: Effect.Effect<number, Busy | RetryExhausted<Busy>, Patient> = effect.pipe(Patient.execute("user:1"))
      const error = yield* Effect.flip(yield* finish(Effect.provide(executed, Patient.layer)))
      assert.instanceOf(error, RetryExhausted)
      assert.strictEqual(error.key, "user:1")
      assert.strictEqual(error.message, "user:1 failed after 4 attempts")
      assert.strictEqual(at.length, 4)
      const quick: Effect.Effect<number, Busy, Quick> = Quick.execute(busy().effect)
      assert.deepStrictEqual(yield* finish(Effect.provide(quick, Quick.layer)), Exit.fail(new Busy({ n: 2 })))
      // @ts-expect-error Patient judges a Busy only
      Patient.execute(Effect.fail("other"))
    }))

  it.effect("the key may be left out, data-first and in a pipe", () =>
    Effect.gen(function*() {
      const keys: Array<unknown> = []
      for (
        const executed of [
          Patient.execute(busy().effect),
          busy().effect.pipe((self) => Patient.execute(self)),
          Patient.execute(busy().effect, "data-first"),
          busy().effect.pipe(Patient.execute("data-last"))
        ]
      ) {
        const error = yield* Effect.flip(yield* finish(Effect.provide(executed, Patient.layer)))
        if (error._tag === "RetryExhausted") keys.push(error.key)
      }
      assert.deepStrictEqual(keys, ["test/Patient", "test/Patient", "data-first", "data-last"])
    }))

  it.effect("the service itself can be asked for, and swapped by a test", () =>
    Effect.gen(function*() {
      const { at, effect } = busy()
      const program = Effect.flatMap(Quick, (quick) => quick.execute(effect))
      yield* finish(Effect.provide(program, Layer.effect(Quick, Retry.make(Retry.policy({ maxAttempts: 1 })))))
      assert.strictEqual(at.length, 1)
      yield* finish(Effect.provide(program, Quick.layer))
      assert.strictEqual(at.length, 3)
    }))

  it.effect("the default service takes any call, and its error covers both ends", () =>
    Effect.gen(function*() {
      const { effect } = busy()
      const executed: Effect.Effect<number, Busy | RetryExhausted<Busy>, Retry.Retry> = Retry.Retry.execute(effect)
      const layer = Retry.layer(Retry.policy({ maxAttempts: 2, ...every100 }))
      assert.deepStrictEqual(yield* finish(Effect.provide(executed, layer)), Exit.fail(new Busy({ n: 2 })))
      // @ts-expect-error a policy that judges some errors only cannot serve every call
      Retry.layer(Retry.policy({ while: (error: Busy) => error.n < 3 }))
    }))

  it("an effect that cannot fail gains no error", () => {
    const executed: Effect.Effect<number, never, Patient> = Patient.execute(Effect.succeed(1))
    const alone: Effect.Effect<number> = Effect.succeed(1).pipe(Retry.execute(Retry.policy({ onExhausted: "wrap" })))
    assert.isTrue(Effect.isEffect(executed) && Effect.isEffect(alone))
  })

  it.effect("each backoff is told to the sink, with the attempt that failed", () =>
    Effect.gen(function*() {
      const events: Array<unknown> = []
      const program = Patient.execute(busy().effect, "user:1").pipe(
        Effect.provideService(EventSink, (event) => events.push(event)),
        Effect.provide(Patient.layer)
      )
      yield* finish(program)
      assert.deepStrictEqual(
        events,
        [1, 2, 3].map((attempt): RetryScheduled => ({
          _tag: "RetryScheduled",
          service: "test/Patient",
          key: "user:1",
          attempt,
          delay: 100
        }))
      )
    }))
})

describe("bad input is refused by module and field", () => {
  // What no type lets through still arrives from JavaScript and from configuration.
  const never = (u: unknown) => u as never
  const refused = (module: string, parameter: string, build: () => unknown) => {
    try {
      build()
    } catch (error) {
      assert.instanceOf(error, InvalidPolicyError)
      assert.strictEqual(error.module, module)
      assert.strictEqual(error.parameter, parameter)
      assert.include(error.message, `${module}: ${parameter} `)
      return
    }
    assert.fail(`${module} accepted its ${parameter}`)
  }

  it("maxAttempts", () => {
    for (const bad of [NaN, Infinity, -Infinity, -1, 0, 0.5, 2.5, 2 ** 53, "", "3", true]) {
      refused("Retry.policy", "maxAttempts", () => Retry.policy({ maxAttempts: never(bad) }))
    }
  })

  it("maxRetryAfter", () => {
    for (const bad of [NaN, Infinity, -Infinity, -1, 0, 0.5, "", "soon", true, 2 ** 53, "Infinity"]) {
      refused("Retry.policy", "maxRetryAfter", () => Retry.policy({ maxRetryAfter: never(bad) }))
      refused("Retry.fromSchedule", "maxRetryAfter", () =>
        Retry.fromSchedule(Schedule.forever, { maxRetryAfter: never(bad) }))
    }
  })

  it("onExhausted and backoff", () => {
    for (const bad of ["", "first", "__proto__", 1, true]) {
      refused("Retry.policy", "onExhausted", () => Retry.policy({ onExhausted: never(bad) }))
      refused("Retry.fromSchedule", "onExhausted", () => Retry.fromSchedule(Schedule.forever, { onExhausted: never(bad) }))
    }
    for (const bad of ["", 100, NaN, {}, "1 second", Duration.seconds(1), { ...Backoff.constant(1), delay: NaN }]) {
      refused("Retry.policy", "backoff", () => Retry.policy({ backoff: never(bad) }))
    }
  })
})

