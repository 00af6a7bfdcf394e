/** One timeout for each attempt, one for the whole call with all of its attempts and waits. */
import { Clock, Effect, Fiber, pipe } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Resilience, Retry } from "effect-resilience"

class Quotes extends Resilience.Service<Quotes>()("app/Quotes", {
  timeout: "4 seconds",
  attemptTimeout: "2 seconds",
  retry: Retry.policy({ maxAttempts: 9, backoff: Backoff.constant("1 second") })
}) {}

const tell = (what: string) =>
  Effect.map(Clock.currentTimeMillis, (now) => console.log(`${(now / 1000).toFixed(1)} s: ${what}`))

const hangs = Effect.andThen(tell("an attempt"), Effect.never).pipe(Effect.onInterrupt(() => tell("it is interrupted")))

const program = Effect.gen(function* () {
  const fiber = yield* Effect.forkChild(Effect.flip(pipe(hangs, Quotes.resilient("acme"))))
  yield* TestClock.adjust("10 seconds")
  console.log((yield* Fiber.join(fiber)).message)
})

program.pipe(Effect.provide([Quotes.layer, TestClock.layer()]), Effect.runPromise)
