/** A first test: retries with a minute between them, in no time. */
// #region test
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, pipe } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Resilience, resilient, Retry } from "effect-resilience"

const Live = Resilience.layer({
  retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("1 minute") })
})

it.effect("tries again after a minute", () =>
  Effect.gen(function* () {
    let attempts = 0
    const upload = Effect.suspend(() => (++attempts < 2 ? Effect.fail("503") : Effect.succeed("uploaded")))
    const fiber = yield* Effect.forkChild(pipe(upload, resilient("ada"))) // it waits, and we go on
    yield* TestClock.adjust("59 seconds")
    assert.strictEqual(attempts, 1)
    yield* TestClock.adjust("1 second")
    assert.strictEqual(yield* Fiber.join(fiber), "uploaded")
  }).pipe(Effect.provide(Live))
)
// #endregion
