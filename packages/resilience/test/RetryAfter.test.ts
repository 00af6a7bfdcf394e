import { assert, describe, it } from "@effect/vitest"
import { Clock, type Duration, Effect, Exit, Option } from "effect"
import { CircuitOpen, RateLimitExceeded, StoreError, TimeoutExceeded } from "../src/Rejection.ts"
import * as Retry from "../src/Retry.ts"
import { Busy, busy, call, drawing, every100, finish, readWait } from "./failing.ts"

const limited = (retryAfterMillis: number | undefined) =>
  new RateLimitExceeded({ key: "k", reason: "limit", retryAfterMillis, limits: [] })

describe("retryAfter", () => {
  /** How long after the first attempt the second came, `undefined` where none did. */
  const run = (wait: Duration.Input, options: Retry.Options<Busy, "last"> = {}, u = 0) =>
    Effect.gen(function* () {
      const { at, effect } = busy(1, wait)
      const start = yield* Clock.currentTimeMillis
      const policy = Retry.policy({ ...every100, retryAfter: readWait, ...options })
      yield* finish(Retry.execute(effect, policy)).pipe(drawing(u))
      return at[1] === undefined ? undefined : at[1] - start
    })

  it.effect("is a minimum: up to a tenth of it and the backoff's own delay are added", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual([yield* run("2 seconds"), yield* run("50 millis")], [2_100, 150])
      assert.deepStrictEqual([yield* run("2 seconds", {}, 0.5), yield* run("50 millis", {}, 0.5)], [2_200, 152])
      assert.deepStrictEqual([yield* run("2 seconds", {}, 0.999), yield* run("50 millis", {}, 0.999)], [2_299, 154])
    })
  )

  it.effect("ends the call where it is longer than maxRetryAfter, 30 seconds by default", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* run("30 seconds"), 30_100)
      for (const wait of [30_001, "1 hour", "Infinity"] as const) assert.isUndefined(yield* run(wait))
      assert.isUndefined(yield* run("5001 millis", { maxRetryAfter: "5 seconds" }))
      assert.strictEqual(yield* run("1 hour", { maxRetryAfter: "1 hour" }), 3_600_100)
      assert.isUndefined(yield* run("1 hour", { onLongRetryAfter: "end" }))
    })
  )

  it.effect("is cut to maxRetryAfter where the policy says so", () =>
    Effect.gen(function* () {
      const cut = { onLongRetryAfter: "cut" } as const
      for (const wait of [30_001, "1 hour", "Infinity"] as const) assert.strictEqual(yield* run(wait, cut), 30_100)
      assert.strictEqual(yield* run("1 hour", { ...cut, maxRetryAfter: "5 seconds" }), 5_100)
      assert.strictEqual(yield* run("1 hour", { ...cut, maxRetryAfter: "5 seconds" }, 0.5), 5_350)
      assert.strictEqual(yield* run("1 hour", { ...cut, maxRetryAfter: 1 }), 101)
    })
  )

  it.effect("rounds up, and takes nonsense from a server for none", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* run("1000.5 millis"), 1_101)
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
        retryAfter: () => Option.none(),
        onLongRetryAfter: "cut"
      })
      yield* finish(Retry.execute(effect, policy)).pipe(drawing(0))
      assert.deepStrictEqual(at, [0, 800, 30_900, 31_000, 31_100])
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
      yield* finish(Retry.execute(effect, policy)).pipe(drawing(0))
      assert.deepStrictEqual(at, [0, 800, 900, 3_000])
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
