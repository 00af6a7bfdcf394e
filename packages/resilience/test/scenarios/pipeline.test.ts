import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, pipe } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Resilience, resilient, Retry } from "../../src/index.ts"

const Live = Resilience.layer({
  timeout: "10 seconds",
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" }),
  rateLimiter: RateLimiter.tokenBucket({ limit: 100, window: "1 minute", burst: 10 }),
  bulkhead: Bulkhead.policy({ maxConcurrent: 2 }),
  retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.exponential({ base: "500 millis", jitter: "none" }) })
})
it.effect("runs", () =>
  Effect.gen(function* () {
    const r = yield* pipe(Effect.succeed(1), resilient("user:1"))
    assert.strictEqual(r, 1)
    let n = 0
    const fiber = yield* Effect.forkChild(
      resilient(
        Effect.suspend(() => {
          n++
          return Effect.fail("x")
        }),
        "user:1"
      )
    )
    yield* TestClock.adjust("10 seconds")
    const exit = yield* Fiber.await(fiber)
    assert.deepStrictEqual(exit, Exit.fail("x"))
    assert.strictEqual(n, 3)
    const hang = yield* Effect.forkChild(Effect.result(resilient(Effect.never, "user:1")))
    yield* TestClock.adjust("10 seconds")
    assert.strictEqual((yield* Fiber.join(hang))._tag, "Failure")
  }).pipe(Effect.provide(Live))
)

it("runs sync", () => {
  assert.strictEqual(Effect.runSync(pipe(Effect.succeed(1), resilient("user:1"), Effect.provide(Live))), 1)
})

it.effect("waits in order", () =>
  Effect.gen(function* () {
    class L extends RateLimiter.Service<L>()(
      "L",
      RateLimiter.tokenBucket({ limit: 1, window: "1 second", burst: 1, maxWait: "10 seconds" })
    ) {}
    yield* Effect.gen(function* () {
      const l = yield* L
      const order: Array<number> = []
      const fibers = []
      for (let i = 0; i < 5; i++)
        fibers.push(
          yield* Effect.forkChild(
            Effect.andThen(
              l.acquire("a"),
              Effect.sync(() => order.push(i))
            )
          )
        )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(order, [0, 1])
      yield* TestClock.adjust("2 second")
      assert.deepStrictEqual(order, [0, 1, 2, 3])
      assert.strictEqual((yield* l.peek("a")).queued, 1)
      yield* Fiber.interruptAll(fibers)
      assert.strictEqual((yield* l.peek("a")).queued, 0)
    }).pipe(Effect.provide(L.layer))
  })
)

it.effect("a transaction that fails leaves the token", () =>
  Effect.gen(function* () {
    class L extends RateLimiter.Service<L>()(
      "L",
      RateLimiter.tokenBucket({ limit: 1, window: "1 second", burst: 1 })
    ) {}
    yield* Effect.gen(function* () {
      const l = yield* L
      const e = yield* Effect.exit(Effect.tx(Effect.andThen(l.allow("a"), (ok) => Effect.fail(ok))))
      assert.deepStrictEqual(e, Exit.fail(true))
      assert.isTrue(yield* l.allow("a"))
      assert.isFalse(yield* l.allow("a"))
    }).pipe(Effect.provide(L.layer))
  })
)
