/** A fallback is not a policy: catch the errors that it is for, and no others. */
import { Data, Effect, pipe } from "effect"
import { CircuitBreaker, Resilience } from "effect-resilience"

class Unavailable extends Data.TaggedError("Unavailable")<{}> {}

class Prices extends Resilience.Service<Prices>()("app/Prices", {
  timeout: "2 seconds",
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "30 seconds" })
}) {}

const known = new Map<string, number>()

const price = (upstream: Effect.Effect<number, Unavailable>) =>
  pipe(
    upstream,
    Prices.resilient("acme"),
    Effect.tap((fresh) => Effect.sync(() => known.set("acme", fresh))),
    Effect.map((fresh) => `${fresh}`),
    // Unavailable stays an error; of a service that is slow or known to be down we take the last price
    Effect.catchTag(["CircuitOpen", "TimeoutExceeded"], (error) =>
      Effect.succeed(`${known.get("acme")}, as of before (${error._tag})`)
    )
  )

const program = Effect.gen(function* () {
  console.log(yield* price(Effect.succeed(42)))
  for (const _ of [1, 2]) console.log((yield* Effect.flip(price(Effect.fail(new Unavailable()))))._tag)
  console.log(yield* price(Effect.succeed(43)))
})

program.pipe(Effect.provide(Prices.layer), Effect.runPromise)
