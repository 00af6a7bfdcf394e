/** When a timeout of a service begins and ends, and whose it is. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter, Rejection, Resilience } from "../../src/index.ts"
import type { Policies } from "../../src/Policies.ts"

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

const scopes: ReadonlyArray<readonly [Pick<Policies, "timeout" | "attemptTimeout">, scope: string]> = [
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
