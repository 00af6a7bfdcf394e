/** A slow tenant fills its own slots, and not those of another. */
import { Effect, Fiber, pipe } from "effect"
import { Bulkhead, Resilience } from "effect-resilience"

class Reports extends Resilience.Service<Reports>()("app/Reports", {
  bulkhead: Bulkhead.policy({ maxConcurrent: 2, by: "tenant" })
}) {}

const report = (tenant: string, render: Effect.Effect<string>) =>
  pipe(
    render,
    Reports.resilient({ tenant }), // the key has a field for the dimension
    Effect.catchTag("BulkheadFull", ({ reason }) => Effect.succeed(reason)),
    Effect.tap((answer) => Effect.sync(() => console.log(tenant, answer)))
  )

const program = Effect.gen(function* () {
  const slow = yield* Effect.forEach([1, 2], () => Effect.forkChild(report("acme", Effect.never)))
  yield* Effect.yieldNow
  yield* report("acme", Effect.succeed("rendered"))
  yield* report("globex", Effect.succeed("rendered"))
  for (const tenant of ["acme", "globex"]) console.log(tenant, (yield* Reports.inspect({ tenant })).bulkhead)
  yield* Fiber.interruptAll(slow)
})

program.pipe(Effect.provide(Reports.layer), Effect.runPromise)
