import { assert, describe, it } from "@effect/vitest"
import { Clock, type Duration, Effect, Exit, Option } from "effect"
import { CircuitOpen, RateLimitExceeded, StoreError, TimeoutExceeded } from "../src/Rejection.ts"
import * as Retry from "../src/Retry.ts"
import { Busy, busy, call, every100, finish, readWait } from "./failing.ts"

const limited = (retryAfterMillis: number | undefined) =>
  new RateLimitExceeded({ key: "k", reason: "limit", retryAfterMillis, limits: [] })

describe("retryAfter", () => {
  const run = (wait: Duration.Input, options: Retry.Options<Busy, "last"> = {}) =>
    Effect.gen(function* () {
      const { at, effect } = busy(1, wait)
      const start = yield* Clock.currentTimeMillis
      yield* finish(Retry.execute(effect, Retry.policy({ ...every100, retryAfter: readWait, ...options })))
      return at[1]! - start
    })

  it.effect("is a minimum: a longer one is honoured, a shorter one changes nothing", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* run("2 seconds"), 2_000)
      assert.strictEqual(yield* run("50 millis"), 100)
    })
  )

  it.effect("is bounded by maxRetryAfter, 30 seconds by default", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* run("30 seconds"), 30_000)
      assert.strictEqual(yield* run("1 hour"), 30_000)
      assert.strictEqual(yield* run("Infinity"), 30_000)
      assert.strictEqual(yield* run("1 hour", { maxRetryAfter: "5 seconds" }), 5_000)
      assert.strictEqual(yield* run("1 hour", { maxRetryAfter: "50 millis" }), 100)
    })
  )

  it.effect("rounds up, and takes nonsense from a server for none", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* run("1000.5 millis"), 1_001)
      for (const wait of [NaN, -1, "-1 hour", "-Infinity", 0] as const) assert.strictEqual(yield* run(wait), 100)
    })
  )

  it("reaches the circuit breaker unbounded, as whole milliseconds that can be counted", () => {
    const { hintOf } = Retry.policy({ retryAfter: readWait })
    const hints = (["1 hour", "0.5 millis", "Infinity", NaN, -1, "-Infinity"] as const).map((wait) =>
      hintOf(new Busy({ n: 1, wait }))
    )
    assert.deepStrictEqual(hints, [3_600_000, 1, 2 ** 52, 0, 0, 0])
    assert.strictEqual(hintOf(new Busy({ n: 1 })), 0)
  })

  it.effect("is read from rejections of ours without being told how", () =>
    Effect.gen(function* () {
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
      const policy = Retry.policy({
        maxAttempts: 5,
        ...every100,
        retryRejections: true,
        retryAfter: () => Option.none()
      })
      yield* finish(Retry.execute(effect, policy))
      assert.deepStrictEqual(at, [0, 700, 30_700, 30_800, 30_900])
    })
  )

  it.effect("is not asked of the caller for errors of ours, which a caller's function does not know", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const { at, effect } = call<RateLimitExceeded | TimeoutExceeded | Busy>((n) =>
        n === 1
          ? Effect.fail(limited(700))
          : n === 2
            ? Effect.fail(new TimeoutExceeded({ key: "k", scope: "attempt", timeoutMillis: 1 }))
            : n === 3
              ? Effect.fail(new Busy({ n }))
              : undefined
      )
      const policy = Retry.policy({
        maxAttempts: 4,
        ...every100,
        retryRejections: true,
        retryAfter: (error: RateLimitExceeded | TimeoutExceeded | Busy) => {
          asked.push(error._tag)
          return Option.some("2 seconds")
        }
      })
      yield* finish(Retry.execute(effect, policy))
      assert.deepStrictEqual(at, [0, 700, 800, 2_800])
      assert.deepStrictEqual(asked, ["Busy"])
    })
  )
})

describe("rejections of ours", () => {
  it.effect("are not retried, whatever while says, unless the policy says so", () =>
    Effect.gen(function* () {
      for (const rejection of [
        limited(1),
        new CircuitOpen({ key: "k", state: "HalfOpen", retryAfterMillis: 1 }),
        new StoreError({ reason: "deadline" })
      ]) {
        const runs = (options: Retry.Options<unknown, "last">) =>
          Effect.gen(function* () {
            const { at, effect } = call(() => Effect.fail(rejection))
            const exit = yield* finish(Retry.execute(effect, Retry.policy({ ...every100, ...options })))
            assert.deepStrictEqual(exit, Exit.fail(rejection))
            return at.length
          })
        assert.strictEqual(yield* runs({}), 1)
        assert.strictEqual(yield* runs({ while: () => true }), 1)
        assert.strictEqual(yield* runs({ retryRejections: true }), 3)
        assert.strictEqual(yield* runs({ retryRejections: true, while: () => false }), 3)
        assert.strictEqual(yield* runs({ retryRejections: (one) => one === rejection }), 3)
        assert.strictEqual(yield* runs({ retryRejections: () => false }), 1)
      }
    })
  )

  it.effect("a timeout is a failure, and is retried", () =>
    Effect.gen(function* () {
      const { at, effect } = call(() =>
        Effect.fail(new TimeoutExceeded({ key: "k", scope: "attempt", timeoutMillis: 1 }))
      )
      yield* finish(Retry.execute(effect, Retry.policy(every100)))
      assert.strictEqual(at.length, 3)
    })
  )
})
