/** What a circuit counts of a call, and what a user's `classify` is asked. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Option, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker, RateLimiter, Rejection, Resilience, Retry } from "../../src/index.ts"
import type { Policies } from "../../src/Policies.ts"

const counting = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.failureRate({ threshold: 1, window: { calls: 100 }, minimumCalls: 100 }),
  openDuration: "1 minute"
})

/** How the circuit counted one call, and the exits that `classify` was asked about. */
const count = Effect.fnUntraced(function* <A, E>(
  self: Effect.Effect<A, E>,
  policies: Pick<Policies, "timeout" | "attemptTimeout" | "retry"> = {},
  end: (fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<unknown> = () => TestClock.adjust("1 hour"),
  answer: "failure" | "ignored" | undefined = "failure"
) {
  const asked: Array<unknown> = []
  const { inspect, resilient } = yield* Resilience.make("app/Api", {
    ...policies,
    circuitBreaker: counting,
    classify: (exit) => {
      asked.push(exit._tag === "Success" ? exit.value : exit.cause.reasons.map((reason) => reason._tag))
      return answer
    }
  })
  const fiber = yield* Effect.forkChild(Effect.exit(resilient(self as Effect.Effect<A, never>, "a")), {
    startImmediately: true
  })
  yield* end(fiber)
  yield* TestClock.adjust("1 hour")
  yield* Fiber.await(fiber)
  const { calls, bad } = (yield* inspect("a")).circuitBreaker!.windows[0]!
  return { asked, calls, bad }
})

it.effect("classify is asked about what the effect did", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* count(Effect.succeed(1)), { asked: [1], calls: 1, bad: 1 })
    assert.deepStrictEqual(yield* count(Effect.fail("no")), { asked: [["Fail"]], calls: 1, bad: 1 })
    assert.deepStrictEqual(yield* count(Effect.die("no")), { asked: [["Die"]], calls: 1, bad: 1 })
  })
)

it.effect("it is not asked about an interruption, which tells nothing", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* count(Effect.never, {}, Fiber.interrupt), { asked: [], calls: 0, bad: 0 })
  })
)

it.effect("it is asked about a timeout, of the call or of the last attempt, and obeyed; undefined is the default", () =>
  Effect.gen(function* () {
    const retry = Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(1), onExhausted: "wrap" })
    const timeouts = [
      { timeout: "1 second" },
      { attemptTimeout: "1 second" },
      { attemptTimeout: "1 second", retry }
    ] as const
    const asked = [["Fail"]]
    for (const policies of timeouts) {
      assert.deepStrictEqual(yield* count(Effect.never, policies), { asked, calls: 1, bad: 1 })
      const ignored = yield* count(Effect.never, policies, undefined, "ignored")
      assert.deepStrictEqual(ignored, { asked, calls: 0, bad: 0 })
      const byDefault = yield* count(Effect.never, policies, () => TestClock.adjust("1 hour"), undefined)
      assert.deepStrictEqual(byDefault, { asked, calls: 1, bad: 1 })
    }
  })
)

it.effect("nor about a refusal from inside, which tells nothing of the dependency", () =>
  Effect.gen(function* () {
    const inner = yield* RateLimiter.make(RateLimiter.fixedWindow({ limit: 1, window: "2 hours" }))
    yield* inner.acquire("k")
    assert.deepStrictEqual(yield* count(inner.acquire("k")), { asked: [], calls: 0, bad: 0 })
  })
)

it.effect("where the errors are wrapped it is asked about the last attempt, and not about the wrapper", () =>
  Effect.gen(function* () {
    const retry = Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(1), onExhausted: "wrap" })
    assert.deepStrictEqual(yield* count(Effect.fail("no"), { retry }), { asked: [["Fail"]], calls: 1, bad: 1 })
    const foreign = Effect.fail(new Rejection.RetryExhausted({ key: "b", attempts: 1, errors: ["no"] }))
    assert.deepStrictEqual(yield* count(foreign), { asked: [["Fail"]], calls: 1, bad: 1 })
  })
)

it.effect("a schedule that has a say does not make the call tell nothing", () =>
  Effect.gen(function* () {
    const retry = Retry.fromSchedule(Schedule.spaced(10).pipe(Schedule.upTo({ times: 2 })))
    assert.deepStrictEqual(yield* count(Effect.fail("no"), { retry }), { asked: [["Fail"]], calls: 1, bad: 1 })
  })
)

it.effect(
  "an error is asked how long to leave the dependency alone for each backoff, and not once more at the end",
  () =>
    Effect.gen(function* () {
      let asked = 0
      const retryAfter = () => (asked++, Option.none())
      const { resilient } = yield* Resilience.make("app/Api", {
        retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant(1), retryAfter })
      })
      const fiber = yield* Effect.forkChild(Effect.exit(resilient(Effect.fail("no"), "a")))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.strictEqual(asked, 2)
    })
)
