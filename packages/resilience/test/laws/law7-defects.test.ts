/**
 * Law 7. A defect counts as a failure by default, is not retried, and is never swallowed. A defect in `classify`,
 * `while` or `retryAfter` gives everything back.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, type Exit } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Resilience, Retry } from "../../src/index.ts"
import { finish } from "./finish.ts"

const bug = new Error("a bug")
const boom = (): never => {
  throw bug
}
const circuitBreaker = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 day" })
const bulkhead = Bulkhead.policy({ maxConcurrent: 1 })
const rateLimiter = RateLimiter.tokenBucket({ limit: 10, window: "1 day" })
const everySecond = Backoff.constant("1 second")

/** A failure beside a defect becomes one, so there may be more than the bug. */
const defects = (exit: Exit.Exit<unknown, unknown>) =>
  exit._tag === "Success" ? [] : exit.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect)

describe("law 7: a defect of the effect", () => {
  for (const [name, effect] of [
    ["thrown", Effect.sync(boom)],
    ["died", Effect.die(bug)]
  ] as const) {
    for (const timeout of [undefined, "10 seconds"] as const) {
      it.effect(
        `that is ${name} is a failure, once, and surfaces (${timeout === undefined ? "no timer" : "timed"})`,
        () =>
          Effect.gen(function* () {
            const service = yield* Resilience.make("s", {
              ...(timeout === undefined ? {} : { timeout, attemptTimeout: timeout }),
              circuitBreaker,
              bulkhead,
              retry: Retry.policy({ maxAttempts: 3, backoff: everySecond })
            })
            let attempts = 0
            const exit = yield* finish(
              service.resilient(
                Effect.suspend(() => {
                  attempts++
                  return effect
                }),
                "k"
              )
            )
            assert.include(defects(exit), bug)
            assert.strictEqual(attempts, 1)
            const seen = yield* service.inspect("k")
            assert.strictEqual(seen.circuitBreaker?.state, "Open")
            assert.deepInclude(seen.bulkhead, { running: 0, queued: 0 })
          })
      )
    }
  }

  it.effect("that a finalizer throws beside a failure is not retried and surfaces", () =>
    Effect.gen(function* () {
      const service = yield* Resilience.make("s", { retry: Retry.policy({ maxAttempts: 3, backoff: everySecond }) })
      let attempts = 0
      const call = Effect.suspend(() => {
        attempts++
        return Effect.ensuring(Effect.fail("down"), Effect.die(bug))
      })
      assert.include(defects(yield* finish(service.resilient(call, "k"))), bug)
      assert.strictEqual(attempts, 1)
    })
  )

  it.effect("beside a failure in one cause is not retried", () =>
    Effect.gen(function* () {
      const service = yield* Resilience.make("s", { retry: Retry.policy({ maxAttempts: 3, backoff: everySecond }) })
      let attempts = 0
      const call = Effect.suspend(() => {
        attempts++
        return Effect.failCause(Cause.combine(Cause.fail("down"), Cause.die(bug)))
      })
      assert.include(defects(yield* finish(service.resilient(call, "k"))), bug)
      assert.strictEqual(attempts, 1)
    })
  )

  it.effect("that a finalizer throws after a timeout is not swallowed", () =>
    Effect.gen(function* () {
      const service = yield* Resilience.make("s", { attemptTimeout: "1 second", circuitBreaker })
      const exit = yield* finish(service.resilient(Effect.ensuring(Effect.never, Effect.die(bug)), "k"))
      assert.include(defects(exit), bug)
      assert.strictEqual((yield* service.inspect("k")).circuitBreaker?.state, "Open")
    })
  )
})

describe("law 7: a defect of a function that the user gave", () => {
  const failing = Effect.fail("down" as const)
  const stories = {
    "classify of the call, on a failure": Effect.map(
      Resilience.make("s", { circuitBreaker, bulkhead, rateLimiter }),
      (service) => [service, service.resilient(failing, "k", { classify: boom })] as const
    ),
    "classify of the call, on a success": Effect.map(
      Resilience.make("s", { circuitBreaker, bulkhead, rateLimiter }),
      (service) => [service, service.resilient(Effect.void, "k", { classify: boom })] as const
    ),
    "classify of the service": Effect.map(
      Resilience.make("s", { circuitBreaker, bulkhead, rateLimiter, classify: boom }),
      (service) => [service, service.resilient(failing, "k")] as const
    ),
    "classify, for each attempt": Effect.map(
      Resilience.make("s", {
        circuitBreaker,
        bulkhead,
        rateLimiter,
        admission: "attempt",
        retry: Retry.policy({ backoff: everySecond })
      }),
      (service) => [service, service.resilient(failing, "k", { classify: boom })] as const
    ),
    while: Effect.map(
      Resilience.make("s", { circuitBreaker, bulkhead, rateLimiter, retry: Retry.policy({ while: boom }) }),
      (service) => [service, service.resilient(failing, "k")] as const
    ),
    "retryAfter of the retry policy": Effect.map(
      Resilience.make("s", { circuitBreaker, bulkhead, rateLimiter, retry: Retry.policy({ retryAfter: boom }) }),
      (service) => [service, service.resilient(failing, "k")] as const
    ),
    "retryAfter of the breaker": Effect.map(
      Resilience.make("s", {
        circuitBreaker: CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.consecutive(1),
          openDuration: "1 day",
          retryAfter: boom
        }),
        bulkhead,
        rateLimiter
      }),
      (service) => [service, service.resilient(failing, "k")] as const
    )
  }

  for (const [name, story] of Object.entries(stories)) {
    it.effect(`${name}: surfaces, counts for nothing and holds nothing`, () =>
      Effect.gen(function* () {
        const [service, call] = yield* story
        assert.include(defects(yield* finish(call)), bug)
        const seen = yield* service.inspect("k")
        assert.deepInclude(seen.circuitBreaker, { state: "Closed", probesInFlight: 0 })
        assert.deepStrictEqual(seen.circuitBreaker?.windows, [{ calls: 0, bad: 0 }])
        assert.deepInclude(seen.bulkhead, { running: 0, queued: 0 })
        assert.strictEqual(seen.rateLimiter?.limits["limit"]?.used, 1, "an attempt that started keeps what it spent")
      })
    )
  }

  it.effect("gives a probe's slot back", () =>
    Effect.gen(function* () {
      const service = yield* Resilience.make("s", { circuitBreaker })
      yield* Effect.exit(service.resilient(failing, "k"))
      yield* TestClock.adjust("1 day")
      yield* Effect.exit(service.resilient(Effect.void, "k", { classify: boom }))
      assert.deepInclude((yield* service.inspect("k")).circuitBreaker, { state: "HalfOpen", probesInFlight: 0 })
      yield* service.resilient(Effect.void, "k")
    })
  )
})
