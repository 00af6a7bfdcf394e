/** Whose call is it? A field of the key for each dimension that some policy looks at. */
import { Effect, pipe } from "effect"
import { CircuitBreaker, RateLimiter, Resilience } from "effect-resilience"

class Api extends Resilience.Service<Api>()("app/Api", {
  rateLimiter: RateLimiter.every({
    user: RateLimiter.tokenBucket({ limit: 10, window: "1 minute" }),
    // another limit that looks at the same field
    perDay: RateLimiter.by("user", RateLimiter.fixedWindow({ limit: 1_000, window: "1 day" })),
    // one bucket for everybody: no field
    global: RateLimiter.shared(RateLimiter.tokenBucket({ limit: 100, window: "1 minute" }))
  }),
  // one circuit for each region
  circuitBreaker: CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.consecutive(1),
    openDuration: "30 seconds",
    by: "region"
  })
}) {}

const call = (user: string, region: string, upstream: Effect.Effect<string, string>) =>
  pipe(
    upstream,
    Api.resilient({ user, region }), // leave one out and it does not compile
    Effect.match({
      onFailure: (error) => (typeof error === "string" ? error : error._tag),
      onSuccess: (answer) => answer
    }),
    Effect.flatMap((answer) => Effect.sync(() => console.log(user, region, answer)))
  )

const program = Effect.gen(function* () {
  yield* call("ada", "eu", Effect.fail("503"))
  yield* call("bob", "eu", Effect.succeed("ok"))
  yield* call("bob", "us", Effect.succeed("ok"))
  const { rateLimiter } = yield* Api.inspect({ user: "bob", region: "us" })
  for (const [name, limit] of Object.entries(rateLimiter?.limits ?? {})) console.log(`${name}: ${limit.used} used`)
})

program.pipe(Effect.provide(Api.layer), Effect.runPromise)
