/** Retries that decide by error, and honour what the server asks for. */
import { Data, Duration, Effect, Option, pipe } from "effect"
import { Backoff, Resilience, Retry } from "effect-resilience"

class HttpError extends Data.TaggedError("HttpError")<{
  readonly status: number
  readonly retryAfter?: Duration.Duration
}> {}

class Search extends Resilience.Service<Search>()("app/Search", {
  retry: Retry.policy({
    maxAttempts: 4,
    backoff: Backoff.exponential({ base: "10 millis", cap: "1 second" }),
    while: (error: HttpError) => error.status === 429 || error.status >= 500,
    retryAfter: (error) => Option.fromNullishOr(error.retryAfter),
    maxRetryAfter: "5 seconds",
    onExhausted: "wrap"
  })
}) {}

const answers = [
  Effect.fail(new HttpError({ status: 429, retryAfter: Duration.millis(100) })),
  Effect.fail(new HttpError({ status: 503 })),
  Effect.succeed("found")
]
let attempt = 0
const search = Effect.suspend(() => answers[attempt++] ?? Effect.fail(new HttpError({ status: 404 })))

const program = Effect.gen(function* () {
  console.log(yield* pipe(search, Search.resilient("q")), "after", attempt, "attempts")
  const error = yield* Effect.flip(pipe(search, Search.resilient("q")))
  console.log(error._tag, "without another attempt:", attempt)
})

program.pipe(Effect.provide(Search.layer), Effect.runPromise)
