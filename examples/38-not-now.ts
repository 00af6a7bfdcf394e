/** A 429 is no failure: the circuit does not open for it, and gives the time that a 429 asks for once it is open. */
import { Data, Effect, Exit, Option, pipe } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, Outcome, Resilience } from "effect-resilience"

class HttpError extends Data.TaggedError("HttpError")<{ readonly status: number; readonly retryAfter?: number }> {}

const classify = (exit: Exit.Exit<unknown, unknown>): Outcome.Outcome => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  return error instanceof HttpError && error.status === 429 ? "throttled" : Outcome.fromExit(exit)
}

class Search extends Resilience.Service<Search>()("app/Search", {
  circuitBreaker: CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.consecutive(2),
    openDuration: "10 seconds",
    retryAfter: (error) => Option.fromUndefinedOr(error instanceof HttpError ? error.retryAfter : undefined)
  }),
  classify
}) {}

const call = (status: number, retryAfter?: number) =>
  pipe(
    Effect.fail(new HttpError(retryAfter === undefined ? { status } : { status, retryAfter })),
    Search.resilient("search"),
    Effect.result,
    Effect.andThen(Search.inspect("search")),
    Effect.map(({ circuitBreaker }) =>
      console.log(status, circuitBreaker?.state, `for ${Number(circuitBreaker?.retryAfterMillis) / 1_000} s`)
    )
  )

const program = Effect.gen(function* () {
  for (const status of [429, 503, 429, 429, 503]) yield* call(status)
  yield* TestClock.adjust("10 seconds")
  yield* call(429, 45_000) // milliseconds, as its Retry-After header said
})

program.pipe(Effect.provide([Search.layer, TestClock.layer()]), Effect.runPromise)
