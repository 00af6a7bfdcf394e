/** Is a retry free, or does it pay like a first attempt? `admission` says. */
import { Effect, pipe } from "effect"
import { Backoff, CircuitBreaker, RateLimiter, Resilience, Retry } from "effect-resilience"

const policies = {
  rateLimiter: RateLimiter.tokenBucket({ limit: 10, window: "1 day" }),
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" }),
  retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant(1) })
}

const program = Effect.gen(function* () {
  for (const admission of ["call", "attempt"] as const) {
    const api = yield* Resilience.make("app/Api", { ...policies, admission })
    yield* Effect.flip(pipe(Effect.fail("503"), api.resilient("ada")))
    const { circuitBreaker, rateLimiter } = yield* api.inspect("ada")
    const failures = circuitBreaker?.windows[0]?.bad
    console.log(`admission "${admission}": 3 attempts took ${10 - (rateLimiter?.remaining ?? 0)} of 10 tokens,`)
    console.log(`  and the breaker counted ${failures} failure${failures === 1 ? "" : "s"}`)
  }
})

Effect.runPromise(program)
