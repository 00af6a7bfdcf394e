/** Metrics, span events and logs: one layer beside your services. */
import { Effect, Layer, Logger, Metric, pipe } from "effect"
import { Backoff, CircuitBreaker, Resilience, Retry, Telemetry } from "effect-resilience"

class Payments extends Resilience.Service<Payments>()("app/Payments", {
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "30 seconds" }),
  retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(1) })
}) {}

const program = Effect.gen(function* () {
  for (const _ of [1, 2, 3]) yield* Effect.ignore(pipe(Effect.fail("503"), Payments.resilient("user:1")))

  for (const metric of yield* Metric.snapshot) {
    if (metric.type !== "Counter") continue
    const { service, ...labels } = metric.attributes ?? {}
    console.log(service, metric.id, Object.values(labels).join(" "), metric.state.count)
  }
})

// A log line with neither time nor fiber, so that this example prints the same each time.
const Logs = Logger.layer([Logger.make(({ logLevel, message }) => console.log(`[${logLevel}]`, String(message)))])

program.pipe(
  Effect.provide(Layer.merge(Payments.layer, Telemetry.layer())),
  Effect.provide(Logs),
  Effect.provideService(Metric.MetricRegistry, new Map()),
  Effect.runPromise
)
