/** Several limits of a call: which of their refusals counts, and where the call waits. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter, Resilience } from "../../src/index.ts"

const start = <A, E>(self: Effect.Effect<A, E>) => Effect.forkChild(self, { startImmediately: true })
const per = (seconds: number, options: Partial<Parameters<typeof RateLimiter.fixedWindow>[0]> = {}) =>
  RateLimiter.fixedWindow({ limit: 1, window: `${seconds} seconds`, ...options })

describe("the error of several limits", () => {
  const both = { x: "a", y: "a" }
  for (const [x, y] of [
    [5, 1],
    [1, 5]
  ] as const) {
    it.effect(`has the longest time, of ${x} and ${y} seconds`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(RateLimiter.every({ x: per(x), y: per(y) }))
        yield* limiter.acquire(both)
        const error = yield* Effect.flip(limiter.acquire(both))
        assert.deepInclude(error, { reason: "limit", retryAfterMillis: 5_000 })
        assert.deepStrictEqual(
          error.limits.map(({ retryAfterMillis }) => retryAfterMillis),
          [x * 1_000, y * 1_000]
        )
      })
    )
  }

  it.effect("has the reason of the first of equals", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.every({ x: per(5), y: per(5, { maxWait: "1 second" }) }))
      yield* limiter.acquire(both)
      const error = yield* Effect.flip(limiter.acquire(both))
      assert.deepStrictEqual(
        [error.reason, ...error.limits.map(({ reason }) => reason)],
        ["limit", "limit", "wait-too-long"]
      )
    })
  )

  it.effect("is at once that it never fits, though another limit would let it wait", () =>
    Effect.gen(function* () {
      const waits = per(5, { limit: 2, maxWait: "1 minute" })
      const limiter = yield* RateLimiter.make(RateLimiter.every({ x: per(5), y: waits }))
      yield* limiter.acquire({ x: "other", y: "a" })
      const call = yield* start(Effect.flip(limiter.acquire(both, { cost: 2 })))
      const exit = call.pollUnsafe()
      assert.isTrue(exit !== undefined && Exit.isSuccess(exit))
      assert.deepInclude(yield* Fiber.join(call), { reason: "cost-exceeds-capacity", retryAfterMillis: undefined })
    })
  )

  it.effect("is at once that there are too many keys, though another limit would let it wait", () =>
    Effect.gen(function* () {
      const full = per(5, { maxKeys: 1, overflow: "reject" })
      const limiter = yield* RateLimiter.make(RateLimiter.every({ x: full, y: per(5, { maxWait: "1 minute" }) }))
      yield* limiter.acquire({ x: "other", y: "a" })
      const call = yield* start(Effect.flip(limiter.acquire(both)))
      assert.isDefined(call.pollUnsafe())
      assert.deepInclude(yield* Fiber.join(call), { reason: "too-many-keys", retryAfterMillis: undefined })
    })
  )
})

for (const [own, other] of [
  [5, 1],
  [1, 5]
] as const) {
  it.effect(`a call waits with the limiter of the longest wait, of ${own} and ${other} seconds`, () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      const { inspect, resilient } = yield* Resilience.make("app", {
        rateLimiter: per(own, { maxWait: "1 minute" }),
        policies: { other: per(other, { maxWait: "1 minute" }) }
      })
      yield* resilient(Effect.void, "a")
      const call = yield* start(resilient(Effect.void, "a"))
      const seen = yield* inspect("a")
      assert.deepStrictEqual([seen.rateLimiter?.queued, seen.other?.queued], own > other ? [1, 0] : [0, 1])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(call.pollUnsafe(), Exit.void)
    })
  )
}

it.effect("who waits in a full line already, and asks too early, keeps its place", () =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(per(5, { maxWait: "1 minute", maxQueued: 1 }))
    yield* limiter.acquire("a")
    const call = yield* start(limiter.acquire("a"))
    limiter.gate.members[0]!.improved("a")
    yield* TestClock.adjust(4_999)
    assert.isUndefined(call.pollUnsafe())
    yield* TestClock.adjust(1)
    assert.deepStrictEqual(call.pollUnsafe(), Exit.void)
  })
)
