/**
 * Law 3. Rejections of ours are never failures to the breaker, and are not retried unless the retry policy says so.
 * `TimeoutExceeded` is a failure; scope `attempt` is retried.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Rejection, Resilience, Retry } from "../../src/index.ts"
import { finish } from "./finish.ts"

const firstFailure = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 day" })
const oneAMinute = RateLimiter.tokenBucket({ limit: 1, window: "1 minute" })
const everySecond = Backoff.constant("1 second")

const tagOf = <A>(exit: Exit.Exit<A, { readonly _tag: string }>) =>
  exit._tag === "Failure" && exit.cause.reasons[0]?._tag === "Fail" ? exit.cause.reasons[0].error._tag : exit._tag

describe("law 3: rejections of ours", () => {
  it.effect("by a limit of the same pipeline count for nothing", () =>
    Effect.gen(function* () {
      const service = yield* Resilience.make("s", { rateLimiter: oneAMinute, circuitBreaker: firstFailure })
      yield* service.resilient(Effect.void, "k")
      for (let i = 0; i < 5; i++) {
        const exit = yield* Effect.exit(service.resilient(Effect.void, "k"))
        assert.strictEqual(tagOf(exit), "RateLimitExceeded")
      }
      const { circuitBreaker } = yield* service.inspect("k")
      assert.strictEqual(circuitBreaker?.state, "Closed")
    })
  )

  const inner = {
    limit: Resilience.make("inner", { rateLimiter: oneAMinute }),
    circuit: Resilience.make("inner", { circuitBreaker: firstFailure }),
    bulkhead: Resilience.make("inner", { bulkhead: Bulkhead.policy({ maxConcurrent: 1 }) })
  }

  it.effect("by a pipeline inside count for nothing, whichever policy refused", () =>
    Effect.gen(function* () {
      const outer = yield* Resilience.make("outer", { circuitBreaker: firstFailure })
      const limit = yield* inner.limit
      yield* limit.resilient(Effect.void, "k")
      const circuit = yield* inner.circuit
      yield* Effect.exit(circuit.resilient(Effect.fail("down"), "k"))
      const bulkhead = yield* inner.bulkhead
      yield* Effect.forkChild(bulkhead.resilient(Effect.never, "k"), { startImmediately: true })
      const refused: ReadonlyArray<readonly [Effect.Effect<void, Rejection.Rejection>, string]> = [
        [limit.resilient(Effect.void, "k"), "RateLimitExceeded"],
        [circuit.resilient(Effect.void, "k"), "CircuitOpen"],
        [bulkhead.resilient(Effect.void, "k"), "BulkheadFull"]
      ]
      for (const [call, tag] of refused) {
        assert.strictEqual(tagOf(yield* Effect.exit(outer.resilient(call, "k"))), tag)
        assert.strictEqual((yield* outer.inspect("k")).circuitBreaker?.state, "Closed")
      }
    })
  )

  it.effect("and free the probe that met them: the circuit is not wedged", () =>
    Effect.gen(function* () {
      const outer = yield* Resilience.make("outer", { circuitBreaker: firstFailure })
      yield* Effect.exit(outer.resilient(Effect.fail("down"), "k"))
      yield* TestClock.adjust("1 day")
      const limit = yield* inner.limit
      yield* limit.resilient(Effect.void, "k")
      yield* Effect.exit(outer.resilient(limit.resilient(Effect.void, "k"), "k"))
      const { circuitBreaker } = yield* outer.inspect("k")
      assert.deepInclude(circuitBreaker, { state: "HalfOpen", probesInFlight: 0, retryAfterMillis: 0 })
      yield* outer.resilient(Effect.void, "k")
      assert.strictEqual((yield* outer.inspect("k")).circuitBreaker?.state, "Closed")
    })
  )

  for (const admission of ["call", "attempt"] as const) {
    it.effect(`are not retried (admission per ${admission})`, () =>
      Effect.gen(function* () {
        const service = yield* Resilience.make("s", {
          admission,
          rateLimiter: oneAMinute,
          retry: Retry.policy({ maxAttempts: 5, backoff: everySecond })
        })
        yield* service.resilient(Effect.void, "k")
        const exit = yield* Effect.exit(service.resilient(Effect.void, "k"))
        assert.strictEqual(tagOf(exit), "RateLimitExceeded")
      })
    )

    it.effect(`are retried when the policy says so, and never before their time (admission per ${admission})`, () =>
      Effect.gen(function* () {
        const service = yield* Resilience.make("s", {
          admission,
          rateLimiter: oneAMinute,
          retry: Retry.policy({
            maxAttempts: 2,
            backoff: everySecond,
            retryRejections: true,
            maxRetryAfter: "2 minutes"
          })
        })
        yield* service.resilient(Effect.void, "k")
        let ran = 0
        const fiber = yield* Effect.forkChild(
          service.resilient(
            Effect.sync(() => ++ran),
            "k"
          )
        )
        // the minute, the backoff's second, and up to a tenth of the minute
        yield* TestClock.adjust("60999 millis")
        assert.strictEqual(ran, 0)
        yield* TestClock.adjust("6001 millis")
        assert.strictEqual(yield* Fiber.join(fiber), 1)
      })
    )
  }

  it.effect("of a pipeline inside are not retried by the one outside", () =>
    Effect.gen(function* () {
      const limit = yield* inner.limit
      yield* limit.resilient(Effect.void, "k")
      const outer = yield* Resilience.make("outer", { retry: Retry.policy({ maxAttempts: 5, backoff: everySecond }) })
      let asked = 0
      const call = Effect.suspend(() => {
        asked++
        return limit.resilient(Effect.void, "k")
      })
      assert.strictEqual(tagOf(yield* finish(outer.resilient(call, "k"))), "RateLimitExceeded")
      assert.strictEqual(asked, 1)
    })
  )
})

describe("law 3: timeouts", () => {
  it.effect("of an attempt are failures, and are retried where the policy says so: `while` is not asked", () =>
    Effect.gen(function* () {
      const service = yield* Resilience.make("s", {
        attemptTimeout: "1 second",
        circuitBreaker: firstFailure,
        retry: Retry.policy({
          maxAttempts: 3,
          backoff: everySecond,
          retryTimeouts: true,
          while: (error: "never asked") => error.length < 0
        })
      })
      let attempts = 0
      const hangs = Effect.suspend((): Effect.Effect<never, "never asked"> => {
        attempts++
        return Effect.never
      })
      const exit = yield* finish(service.resilient(hangs, "k"))
      const error =
        exit._tag === "Failure" && exit.cause.reasons[0]?._tag === "Fail" ? exit.cause.reasons[0].error : undefined
      assert.instanceOf(error, Rejection.TimeoutExceeded)
      assert.deepInclude(error, { scope: "attempt", timeoutMillis: 1_000 })
      assert.strictEqual(attempts, 3)
      assert.strictEqual((yield* service.inspect("k")).circuitBreaker?.state, "Open")
    })
  )

  it.effect("of the call are failures, and end it", () =>
    Effect.gen(function* () {
      const service = yield* Resilience.make("s", {
        timeout: "1 second",
        circuitBreaker: firstFailure,
        retry: Retry.policy({ maxAttempts: 3, backoff: everySecond })
      })
      let attempts = 0
      const hangs = Effect.suspend(() => {
        attempts++
        return Effect.never
      })
      const fiber = yield* Effect.forkChild(Effect.flip(service.resilient(hangs, "k")))
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* Fiber.join(fiber), { _tag: "TimeoutExceeded", scope: "call", timeoutMillis: 1_000 })
      assert.strictEqual(attempts, 1)
      assert.strictEqual((yield* service.inspect("k")).circuitBreaker?.state, "Open")
    })
  )

  it.effect("of a pipeline inside are failures to the one outside", () =>
    Effect.gen(function* () {
      const slow = yield* Resilience.make("slow", { timeout: "1 second" })
      const outer = yield* Resilience.make("outer", { circuitBreaker: firstFailure })
      yield* finish(outer.resilient(slow.resilient(Effect.never, "k"), "k"))
      assert.strictEqual((yield* outer.inspect("k")).circuitBreaker?.state, "Open")
    })
  )
})
