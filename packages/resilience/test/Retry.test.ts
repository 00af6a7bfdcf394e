import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Option, Random, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import * as RateLimiter from "../src/RateLimiter.ts"
import * as Resilience from "../src/Resilience.ts"
import * as Rejection from "../src/Rejection.ts"
import { RetryExhausted } from "../src/Rejection.ts"
import * as Retry from "../src/Retry.ts"
import { Busy, busy, call, every100, finish } from "./failing.ts"

const frozen: Clock.Clock = {
  currentTimeMillisUnsafe: () => 0,
  currentTimeMillis: Effect.succeed(0),
  currentTimeNanosUnsafe: () => 0n,
  currentTimeNanos: Effect.succeed(0n),
  monotonicTimeNanosUnsafe: () => 0n,
  monotonicTimeNanos: Effect.succeed(0n),
  sleep: () => Effect.die("slept")
}

describe("attempts", () => {
  it.effect("maxAttempts counts runs, the first included", () =>
    Effect.gen(function* () {
      for (const maxAttempts of [1, 2, 5]) {
        const { at, effect } = busy()
        yield* finish(Retry.execute(effect, Retry.policy({ maxAttempts, ...every100 })))
        assert.deepStrictEqual(
          at.map((time) => time - at[0]!),
          Array.from({ length: maxAttempts }, (_, i) => i * 100)
        )
      }
    })
  )

  it.effect("by default there are three, up to 100 and 200 ms apart, drawn from Effect's Random", () =>
    Effect.gen(function* () {
      const { at, effect } = busy()
      yield* finish(Retry.execute(effect, Retry.policy())).pipe(Random.withSeed("seed"))
      const [u1, u2] = yield* Effect.all([Random.next, Random.next]).pipe(Random.withSeed("seed"))
      const first = Math.floor(u1 * 101)
      assert.deepStrictEqual(at, [0, first, first + Math.floor(u2 * 201)])
    })
  )

  it.effect("the delays are those of the backoff, counted from each failure", () =>
    Effect.gen(function* () {
      const { at, effect } = call((n) => (n <= 3 ? Effect.delay(Effect.fail("slow"), "1 second") : undefined))
      const backoff = Backoff.exponential({ base: 100, jitter: "none" })
      const exit = yield* finish(Retry.execute(effect, Retry.policy({ maxAttempts: 4, backoff })))
      assert.deepStrictEqual(exit, Exit.succeed(4))
      assert.deepStrictEqual(at, [0, 1_100, 2_300, 3_700])
    })
  )

  it.effect("decorrelated delays build on the delay before, afresh for each call", () =>
    Effect.gen(function* () {
      const backoff = Backoff.decorrelated({ base: 100, cap: 5_000 })
      const policy = Retry.policy({ maxAttempts: 6, backoff })
      for (let i = 0; i < 2; i++) {
        const start = yield* Clock.currentTimeMillis
        const { at, effect } = busy()
        yield* finish(Retry.execute(effect, policy)).pipe(Random.withSeed("seed"))
        const expected = yield* Effect.gen(function* () {
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
    })
  )

  it.effect.prop(
    "there are min(failures + 1, maxAttempts) of them, and they take the sum of the delays",
    {
      failures: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 })),
      maxAttempts: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10 })),
      delay: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 }))
    },
    ({ failures, maxAttempts, delay }) =>
      Effect.gen(function* () {
        const { at, effect } = busy(failures)
        const policy = Retry.policy({ maxAttempts, backoff: Backoff.constant(delay), onExhausted: "wrap" })
        const exit = yield* finish(Retry.execute(effect, policy))
        const runs = Math.min(failures + 1, maxAttempts)
        assert.deepStrictEqual(
          at,
          Array.from({ length: runs }, (_, i) => i * delay + 0) // a delay of -0 is one of 0
        )
        assert.strictEqual(exit._tag, failures < maxAttempts ? "Success" : "Failure")
      })
  )

  it.effect("one executed effect can be run many times, also at once", () =>
    Effect.gen(function* () {
      const { at, effect } = busy()
      const executed = Retry.execute(effect, Retry.policy({ maxAttempts: 2, ...every100 }))
      yield* finish(Effect.all([Effect.exit(executed), Effect.exit(executed)], { concurrency: 2 }))
      assert.deepStrictEqual(at, [0, 0, 100, 100])
      yield* finish(executed)
      assert.strictEqual(at.length, 6)
    })
  )

  it("a delay of zero sleeps not at all, and twenty thousand attempts need no stack", () => {
    let runs = 0
    const failing = Effect.suspend(() => Effect.fail(++runs))
    const policy = Retry.policy({ maxAttempts: 20_000, backoff: Backoff.constant(0) })
    const exit = Effect.runSyncExit(Retry.execute(failing, policy).pipe(Effect.provideService(Clock.Clock, frozen)))
    assert.deepStrictEqual(exit, Exit.fail(20_000))
  })
})

describe("what is not paid", () => {
  it("no timer and no randomness is touched when the first attempt succeeds", () => {
    const fail = (): never => {
      throw new Error("touched")
    }
    const random = { nextIntUnsafe: fail, nextDoubleUnsafe: fail }
    const run = (policy: Retry.Policy<unknown, "last">) =>
      Effect.runSync(
        Retry.execute(Effect.succeed(1), policy).pipe(
          Effect.provideService(Clock.Clock, frozen),
          Effect.provideService(Random.Random, random)
        )
      )
    assert.strictEqual(run(Retry.policy()), 1)
    assert.strictEqual(run(Retry.fromSchedule(Schedule.spaced("1 second").pipe(Schedule.jittered))), 1)
  })

  it("no timer after the last attempt", () => {
    const exit = Effect.runSyncExit(
      Retry.execute(Effect.fail("down"), Retry.policy({ maxAttempts: 1 })).pipe(
        Effect.provideService(Clock.Clock, frozen)
      )
    )
    assert.deepStrictEqual(exit, Exit.fail("down"))
  })
})

describe("the end", () => {
  it.effect("is the last error, typed as it was", () =>
    Effect.gen(function* () {
      const executed: Effect.Effect<number, Busy> = Retry.execute(busy().effect, Retry.policy(every100))
      assert.deepStrictEqual(yield* finish(executed), Exit.fail(new Busy({ n: 3 })))
    })
  )

  it.effect("wrap gives every error in order", () =>
    Effect.gen(function* () {
      const policy = Retry.policy({ maxAttempts: 3, ...every100, onExhausted: "wrap" })
      const executed: Effect.Effect<number, Busy | RetryExhausted<Busy>> = Retry.execute(busy().effect, policy)
      const error = yield* Effect.flip(yield* finish(executed))
      assert.instanceOf(error, RetryExhausted)
      assert.strictEqual(error.attempts, 3)
      assert.deepStrictEqual(
        error.errors,
        [1, 2, 3].map((n) => new Busy({ n }))
      )
    })
  )

  it.effect("wrap also wraps a single attempt, and starts afresh for each call", () =>
    Effect.gen(function* () {
      const policy = Retry.policy({ maxAttempts: 1, onExhausted: "wrap" })
      const executed = Retry.execute(busy().effect, policy)
      for (const n of [1, 2]) {
        const error = yield* Effect.flip(yield* finish(executed))
        assert.instanceOf(error, RetryExhausted)
        assert.deepStrictEqual(error.errors, [new Busy({ n })])
      }
    })
  )

  it.effect("wrap gives the refusals, too, that were tried again", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("app/Api", {
        rateLimiter: RateLimiter.fixedWindow({ limit: 1, window: "1 hour" }),
        retry: Retry.policy({
          maxAttempts: 2,
          ...every100,
          onExhausted: "wrap",
          retryRejections: true,
          onLongRetryAfter: "cut"
        })
      })
      yield* resilient(Effect.void, "a")
      const error = yield* Effect.flip(yield* finish(resilient(Effect.fail("never runs"), "a")))
      assert.instanceOf(error, RetryExhausted)
      assert.deepStrictEqual(
        [error.attempts, error.errors.map((one) => Rejection.isRejection(one) && one._tag)],
        [0, ["RateLimitExceeded", "RateLimitExceeded"]]
      )
    })
  )

  it.effect("an error that while does not retry ends the call as it is, on any attempt, never wrapped", () =>
    Effect.gen(function* () {
      for (const [last, runs] of [
        [1, 1],
        [2, 2],
        [3, 3]
      ] as const) {
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
    })
  )
})

describe("defects and interruption", () => {
  it.effect("a defect is not retried, also beside a failure", () =>
    Effect.gen(function* () {
      for (const cause of [
        Cause.die("bug"),
        Cause.combine(Cause.fail("down"), Cause.die("bug")),
        Cause.combine(Cause.die("bug"), Cause.fail("down"))
      ]) {
        const { at, effect } = call(() => Effect.failCause<string>(cause))
        const exit = yield* finish(Retry.execute(effect, Retry.policy(every100)))
        assert.strictEqual(at.length, 1)
        assert.deepStrictEqual(exit, Exit.failCause(cause))
      }
    })
  )

  it.effect("an interruption from within is not retried, but a failure beside one is", () =>
    Effect.gen(function* () {
      const inner = call(() => Effect.interrupt)
      const exit = yield* finish(Retry.execute(inner.effect, Retry.policy(every100)))
      assert.strictEqual(inner.at.length, 1)
      assert.isTrue(Exit.hasInterrupts(exit))
      const beside = call(() => Effect.failCause(Cause.combine(Cause.interrupt(1), Cause.fail("down"))))
      yield* finish(Retry.execute(beside.effect, Retry.policy(every100)))
      assert.strictEqual(beside.at.length, 3)
    })
  )

  it.effect("a defect in while or retryAfter is the caller's and ends the call", () =>
    Effect.gen(function* () {
      const boom = (): never => {
        throw "boom"
      }
      for (const options of [
        { while: boom },
        { retryAfter: boom },
        { retryAfter: () => Option.some("soon" as never) }
      ]) {
        for (const policy of [Retry.policy(options), Retry.fromSchedule(Schedule.forever, options)]) {
          const { at, effect } = busy()
          const exit = yield* finish(Retry.execute(effect, policy))
          assert.isTrue(Exit.hasDies(exit))
          assert.strictEqual(at.length, 1)
        }
      }
    })
  )

  it.effect("interruption during backoff ends at once with no further attempt (cockatiel#25)", () =>
    Effect.gen(function* () {
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
    })
  )

  it.effect.prop(
    "no attempt starts after an interruption, whenever it comes",
    {
      when: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 })),
      takes: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200 }))
    },
    ({ takes, when }) =>
      Effect.gen(function* () {
        const { at, effect } = call(() => Effect.delay(Effect.fail("down"), takes))
        const fiber = yield* Effect.forkChild(
          Retry.execute(effect, Retry.policy({ maxAttempts: 100, backoff: Backoff.constant(150) }))
        )
        yield* TestClock.adjust(when)
        yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(at.length, 1 + Math.floor(when / (takes + 150)))
      })
  )
})
