/** The same as a stream of plain values: for an alert, an audit log, a test. */
import { Effect, Layer, pipe, Stream } from "effect"
import { CircuitBreaker, EventStream, Resilience } from "effect-resilience"

class Payments extends Resilience.Service<Payments>()("app/Payments", {
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "30 seconds" })
}) {}

const Alerts = Layer.effectDiscard(
  EventStream.events({ only: ["CircuitTransition"] }).pipe(
    Stream.runForEach((event) =>
      Effect.sync(() =>
        event._tag === "Dropped"
          ? console.log("too slow:", event.count, "missed")
          : console.log(`${event.key}: ${event.from} -> ${event.to} for ${event.openFor} ms`)
      )
    ),
    Effect.forkScoped({ startImmediately: true })
  )
)

const program = Effect.gen(function* () {
  for (const _ of [1, 2, 3]) yield* Effect.ignore(pipe(Effect.fail("503"), Payments.resilient("user:1")))
  yield* Effect.yieldNow
})

program.pipe(
  Effect.provide(Payments.layer),
  Effect.provide(Alerts.pipe(Layer.provideMerge(EventStream.layer()))),
  Effect.runPromise
)
