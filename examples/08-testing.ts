/** Minutes of retries in milliseconds: the same layer under the test clock. */
import { Effect, Fiber, pipe } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Resilience, resilient, Retry } from "effect-resilience"

const ResilienceLive = Resilience.layer({
  retry: Retry.policy({
    maxAttempts: 5,
    backoff: Backoff.exponential({ base: "1 minute", cap: "1 hour", jitter: "none" })
  })
})

const program = Effect.gen(function* () {
  let attempts = 0
  const call = Effect.suspend(() => {
    attempts++
    return Effect.fail("still down")
  })
  const fiber = yield* Effect.forkChild(Effect.flip(pipe(call, resilient("job:1"))))
  for (const minutes of [0, 1, 2, 4, 8]) {
    yield* TestClock.adjust(`${minutes} minutes`)
    console.log(`${minutes} more minutes: ${attempts} attempts`)
  }
  console.log(yield* Fiber.join(fiber))
})

program.pipe(Effect.provide([ResilienceLive, TestClock.layer()]), Effect.runPromise)
