/** What counts against the dependency: a 404 is an answer, a 503 in a body is not. */
import { Data, Effect, Exit, Option, pipe } from "effect"
import { CircuitBreaker, Resilience } from "effect-resilience"

class NotFound extends Data.TaggedError("NotFound")<{}> {}

class Catalog extends Resilience.Service<Catalog>()("app/Catalog", {
  timeout: "5 seconds",
  circuitBreaker: CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.anyOf(
      CircuitBreaker.consecutive(2),
      CircuitBreaker.failureRate({ threshold: 0.5, window: "30 seconds", minimumCalls: 10 }),
      CircuitBreaker.slowCallRate({ slowAfter: "2 seconds", threshold: 0.8, window: { calls: 20 } })
    ),
    openDuration: "10 seconds"
  })
}) {}

const fetch = (path: string): Effect.Effect<{ readonly status: number }, NotFound> =>
  path === "/missing" ? Effect.fail(new NotFound()) : Effect.succeed({ status: path === "/down" ? 503 : 200 })

const get = (path: string) =>
  pipe(
    fetch(path),
    Catalog.resilient("catalog", {
      classify: (exit) => {
        if (Exit.isSuccess(exit)) return exit.value.status >= 500 ? "failure" : undefined
        const isAnswer = Option.exists(Exit.findErrorOption(exit), (error) => error._tag === "NotFound")
        return isAnswer ? "success" : undefined // the default of all else: a timeout and a defect are failures
      }
    }),
    Effect.result
  )

const program = Effect.gen(function* () {
  for (const path of ["/missing", "/missing", "/missing"]) yield* get(path)
  console.log("after three 404:", (yield* Catalog.inspect("catalog")).circuitBreaker?.state)
  for (const path of ["/down", "/down"]) yield* get(path)
  console.log("after two 503:", (yield* Catalog.inspect("catalog")).circuitBreaker?.state)
})

program.pipe(Effect.provide(Catalog.layer), Effect.runPromise)
