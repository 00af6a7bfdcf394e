/** When a timeout of a service begins and ends, and whose it is. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, Policy, RateLimiter, Rejection, Resilience, Retry } from "../../src/index.ts"
import type { Policies } from "../../src/Policies.ts"
import { recorder } from "./support.ts"

const start = <A, E>(self: Effect.Effect<A, E>) => Effect.forkChild(self, { startImmediately: true })

it.effect("the timeout of a call counts from its begin, also where a service has nothing else", () =>
  Effect.gen(function* () {
    yield* TestClock.adjust("1 hour")
    const { resilient } = yield* Resilience.make("app", { timeout: "2 seconds" })
    const quick = yield* start(resilient(Effect.sleep("1 second"), "a"))
    const slow = yield* start(Effect.flip(resilient(Effect.sleep("3 seconds"), "a")))
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(quick.pollUnsafe(), Exit.void)
    yield* TestClock.adjust(999)
    assert.isUndefined(slow.pollUnsafe())
    yield* TestClock.adjust(1)
    assert.deepInclude(yield* Fiber.join(slow), { _tag: "TimeoutExceeded", scope: "call", timeoutMillis: 2_000 })
  })
)

const scopes: ReadonlyArray<readonly [Pick<Policies, "timeout" | "attemptTimeout">, scope: "call" | "attempt"]> = [
  [{ timeout: 2_000, attemptTimeout: 2_000 }, "call"],
  [{ timeout: 2_000, attemptTimeout: 2_001 }, "call"],
  [{ timeout: 2_001, attemptTimeout: 2_000 }, "attempt"]
]
for (const [policies, scope] of scopes) {
  it.effect(
    `of ${policies.timeout} ms for a call and ${policies.attemptTimeout} for an attempt the ${scope}'s ends it`,
    () =>
      Effect.gen(function* () {
        const { resilient } = yield* Resilience.make("app", policies)
        const call = yield* start(Effect.flip(resilient(Effect.never, "a")))
        yield* TestClock.adjust(2_000)
        const error = yield* Fiber.join(call)
        assert.instanceOf(error, Rejection.TimeoutExceeded)
        assert.deepInclude(error, { scope, timeoutMillis: 2_000 })
      })
  )
}

it.effect("an effect whose turn comes when its call must have ended does not run, and gives back what it took", () =>
  Effect.gen(function* () {
    const { inspect, resilient } = yield* Resilience.make("app", {
      rateLimiter: RateLimiter.fixedWindow({ limit: 1, window: "1 second", maxWait: "1 minute" }),
      timeout: "1 second"
    })
    let ran = 0
    const run = Effect.sync(() => ++ran)
    yield* resilient(run, "a")
    const late = yield* start(Effect.flip(resilient(run, "a")))
    yield* TestClock.adjust("1 second")
    assert.deepInclude(yield* Fiber.join(late), { _tag: "TimeoutExceeded", scope: "call" })
    assert.deepStrictEqual([ran, (yield* inspect("a")).rateLimiter?.remaining], [1, 1])
  })
)

for (const delay of [999, 1_000, 1_001]) {
  it.effect(
    `a backoff of ${delay} ms in a call of 1000 ${delay < 1_000 ? "ends before the timeout" : "ends the call at once, with its last error"}`,
    () =>
      Effect.gen(function* () {
        yield* TestClock.adjust("1 hour")
        const { record, tags } = recorder()
        let ran = 0
        const { resilient } = yield* Resilience.make("app", {
          retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(delay) }),
          timeout: "1 second"
        })
        const call = yield* start(
          Effect.flip(
            record(
              resilient(
                Effect.suspend(() => Effect.fail(++ran)),
                "a"
              )
            )
          )
        )
        yield* TestClock.adjust("1 second")
        const error = yield* Fiber.join(call)
        assert.strictEqual(error, delay < 1_000 ? 2 : 1)
        assert.strictEqual(tags().filter((tag) => tag === "AttemptEnded").length, delay < 1_000 ? 2 : 1)
      })
  )
}

it.effect("a timeout of an attempt stands around a layer, which may refuse to begin the effect", () =>
  Effect.gen(function* () {
    const chaos = Policy.make<Policy.Policy<string>>({
      kind: "chaos",
      options: {},
      open: () => ({ kind: "chaos", stage: Policy.Stage.chaos, around: () => () => Effect.fail("chaos") })
    })
    let ran = 0
    const { control, inspect, resilient } = yield* Resilience.make("app", {
      attemptTimeout: "1 second",
      policies: { chaos },
      rateLimiter: RateLimiter.fixedWindow({ limit: 1, window: "1 hour" })
    })
    const run = Effect.sync(() => ++ran)
    yield* control.rateLimiter.reset("a") // long before: what the call takes is its own to give back
    assert.strictEqual(yield* Effect.flip(resilient(run, "a")), "chaos")
    assert.deepStrictEqual([ran, (yield* inspect("a")).rateLimiter?.remaining], [0, 1])
  })
)

it.effect("nothing asks whether to try again when the whole call has timed out, waiting for its admission", () =>
  Effect.gen(function* () {
    const asked: Array<unknown> = []
    const { resilient } = yield* Resilience.make("app", {
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 second" }),
      retry: Retry.policy({
        maxAttempts: 3,
        backoff: Backoff.constant(1),
        while: (error) => (asked.push(error), true)
      }),
      timeout: "1 second"
    })
    const runs = yield* start(Effect.exit(resilient(Effect.uninterruptible(Effect.sleep("5 seconds")), "a")))
    const waits = yield* start(Effect.flip(resilient(Effect.void, "a")))
    yield* TestClock.adjust("1 second")
    assert.deepInclude((yield* Fiber.join(waits)) as object, { _tag: "TimeoutExceeded", scope: "call" })
    assert.deepStrictEqual(asked, [])
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.await(runs)
  })
)
