/** A slow dependency cannot take everything: three run, two wait their turn, the rest is refused. */
import { Effect, pipe } from "effect"
import { Bulkhead, Resilience } from "effect-resilience"

class Reports extends Resilience.Service<Reports>()("app/Reports", {
  bulkhead: Bulkhead.policy({ maxConcurrent: 3, maxQueued: 2, maxWait: "1 second" })
}) {}

const report = pipe(Effect.delay(Effect.succeed("rendered"), "30 millis"), Reports.resilient("reports"))

const program = Effect.gen(function* () {
  const results = yield* Effect.all(
    Array.from({ length: 7 }, () => Effect.catchTag(report, "BulkheadFull", (error) => Effect.succeed(error.reason))),
    { concurrency: "unbounded" }
  )
  console.log(results.join(", "))
})

program.pipe(Effect.provide(Reports.layer), Effect.runPromise)
