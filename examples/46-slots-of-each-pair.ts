/** Slots for each tenant in each region: both stand in the one string of the key. */
import { Effect, Fiber, pipe } from "effect"
import { Bulkhead, Resilience } from "effect-resilience"

class Reports extends Resilience.Service<Reports>()("app/Reports", {
  bulkhead: Bulkhead.policy({ maxConcurrent: 1, by: "key" })
}) {}

const report = (tenant: string, region: string, render: Effect.Effect<string>) =>
  pipe(
    render,
    Reports.resilient(JSON.stringify([tenant, region])),
    Effect.catchTag("BulkheadFull", ({ reason }) => Effect.succeed(reason)),
    Effect.tap((answer) => Effect.sync(() => console.log(tenant, region, answer)))
  )

const program = Effect.gen(function* () {
  const slow = yield* Effect.forkChild(report("acme", "eu", Effect.never))
  yield* Effect.yieldNow
  yield* report("acme", "eu", Effect.succeed("rendered"))
  yield* report("acme", "us", Effect.succeed("rendered"))
  yield* report("globex", "eu", Effect.succeed("rendered"))
  yield* Fiber.interrupt(slow)
})

program.pipe(Effect.provide(Reports.layer), Effect.runPromise)
