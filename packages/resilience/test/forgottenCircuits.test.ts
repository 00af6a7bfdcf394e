/** A circuit that is not remembered any more is reported, so that a gauge of circuits comes down. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, Event, MemoryStore, RemoteStore, Resilience, Store, Telemetry } from "../src/index.ts"
import { isolated, recorder, settle } from "./watching.ts"

const opening = (options: Partial<CircuitBreaker.Options> = {}): CircuitBreaker.Options => ({
  tripPolicy: CircuitBreaker.consecutive(1),
  openDuration: "10 seconds",
  ...options
})

/** The transitions among some events, in words. */
const moves = (events: ReadonlyArray<Event.Event>) =>
  events.flatMap((event) => (event._tag === "CircuitTransition" ? [`${event.key} ${event.from} ${event.to}`] : []))

const gauge = Effect.map(Metric.snapshot, (all) =>
  all
    .flatMap(({ attributes, id, state }) =>
      id === "resilience_circuits" && "value" in state ? [`${attributes?.["state"]} ${state.value}`] : []
    )
    .sort()
)

describe("a circuit that is forgotten is reported", () => {
  const keyed = (options: Partial<CircuitBreaker.Options> = {}) =>
    CircuitBreaker.policy({ ...opening(options), by: "key" })
  const fail = (service: CircuitBreaker.CircuitBreakerService, ...keys: ReadonlyArray<string>) =>
    Effect.forEach(
      keys,
      (key) => Effect.andThen(Effect.exit(service.execute(Effect.fail("503"), key)), TestClock.adjust(1)),
      { discard: true }
    )

  it.effect("where another key takes its place", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const breaker = yield* CircuitBreaker.make(keyed({ maxKeys: 2 }))
      yield* fail(breaker, "a", "b", "c").pipe(Effect.provide(Event.layer(sink)))
      assert.deepStrictEqual(moves(events), ["a Closed Open", "b Closed Open", "a Open Forgotten", "c Closed Open"])
    })
  )

  it.effect("where it was idle for too long", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const breaker = yield* CircuitBreaker.make(keyed({ idleTimeToLive: "1 hour" }))
      yield* Effect.gen(function* () {
        yield* fail(breaker, "a", "b")
        yield* TestClock.adjust("1 hour")
        yield* Effect.forEach(
          Array.from({ length: 2_000 }, (_, i) => `${i % 2}`),
          (key) => breaker.execute(Effect.void, key)
        )
      }).pipe(Effect.provide(Event.layer(sink)))
      assert.includeMembers(moves(events), ["a Open Forgotten", "b Open Forgotten"])
    })
  )

  it.effect("by the phase that was reported last", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const breaker = yield* CircuitBreaker.make(keyed({ maxKeys: 1 }))
      yield* Effect.gen(function* () {
        yield* fail(breaker, "a")
        yield* TestClock.adjust("1 minute")
        yield* breaker.state("a")
        yield* fail(breaker, "b")
        yield* TestClock.adjust("1 minute")
        const probe = yield* Effect.forkChild(breaker.execute(Effect.never, "b"), { startImmediately: true })
        yield* Fiber.interrupt(probe)
        yield* fail(breaker, "c")
      }).pipe(Effect.provide(Event.layer(sink)))
      assert.deepStrictEqual(moves(events), [
        "a Closed Open",
        "a Open Forgotten",
        "b Closed Open",
        "b Open HalfOpen",
        "b HalfOpen Forgotten",
        "c Closed Open"
      ])
    })
  )

  it.effect("and not where it was closed", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const breaker = yield* CircuitBreaker.make(keyed({ maxKeys: 1, tripPolicy: CircuitBreaker.consecutive(2) }))
      yield* fail(breaker, "a", "b", "c").pipe(Effect.provide(Event.layer(sink)))
      assert.deepStrictEqual(moves(events), [])
    })
  )

  class Payments extends Resilience.Service<Payments>()("app/Payments", {
    circuitBreaker: CircuitBreaker.policy(opening())
  }) {}
  class Alone extends CircuitBreaker.Service<Alone>()("app/Alone", CircuitBreaker.policy(opening())) {}

  const callPayments = Effect.exit(Payments.resilient(Effect.fail("503"), "a"))
  const callAlone = Effect.flatMap(Alone, (breaker) => Effect.exit(breaker.execute(Effect.fail("503"))))
  const onMemory = Effect.provide(MemoryStore.layer)
  const programs: Record<string, readonly [program: Effect.Effect<unknown>, name: string]> = {
    "of a service": [Effect.provide(callPayments, Payments.layer), "app/Payments"],
    "of a service on a memory store": [onMemory(Effect.provide(callPayments, Payments.layerFromStore)), "app/Payments"],
    "of a breaker alone": [Effect.provide(callAlone, Alone.layer), "app/Alone"],
    "of a breaker alone on a memory store": [onMemory(Effect.provide(callAlone, Alone.layerFromStore)), "app/Alone"]
  }
  for (const [which, [program, name]] of Object.entries(programs)) {
    it.effect(`where the layer ${which} closes`, () =>
      Effect.gen(function* () {
        const { events, sink } = recorder()
        yield* Effect.provide(program, Event.layer(sink))
        assert.deepStrictEqual(moves(events), [`${name} Closed Open`, `${name} Open Forgotten`])
      })
    )
  }

  it.effect("a call that outlives the layer reports no move of it", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const late = yield* Alone.pipe(
        Effect.flatMap((breaker) =>
          Effect.forkDetach(breaker.execute(Effect.andThen(Effect.sleep(10), Effect.fail("503"))), {
            startImmediately: true
          })
        ),
        Effect.provide(Alone.layer),
        Effect.provide(Event.layer(sink))
      )
      yield* TestClock.adjust(10)
      yield* Effect.exit(Fiber.join(late))
      assert.deepStrictEqual(moves(events), [])
    })
  )

  it.effect("not by a process that closes, where the circuit lives on a remote store", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const inner = yield* Store.Store
      const remote = Layer.succeed(Store.Store, RemoteStore.make(inner))
      yield* Effect.exit(Payments.resilient(Effect.fail("503"), "a")).pipe(
        Effect.provide(Layer.provide(Payments.layerFromStore, remote)),
        Effect.provide(Event.layer(sink))
      )
      assert.deepStrictEqual(moves(events), ["app/Payments Closed Open"])
    }).pipe(Effect.provide(MemoryStore.layer))
  )

  it.effect("so the gauge comes down to what is open", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const breaker = yield* Alone
        yield* fail(breaker, "a")
        const many = yield* CircuitBreaker.make(keyed({ maxKeys: 3 }))
        yield* fail(many, ...Array.from({ length: 20 }, (_, i) => `${i}`))
        assert.deepStrictEqual(yield* gauge, ["Open 1", "Open 3"])
        yield* TestClock.adjust("10 seconds")
        yield* Effect.forEach(["17", "18", "19"], (key) => many.execute(Effect.void, key))
      }).pipe(Effect.provide(Alone.layer))
      assert.deepStrictEqual(yield* gauge, ["HalfOpen 0", "Open 0", "Open 0"])
    }).pipe(Effect.provide(Telemetry.layer({ logs: false })), isolated)
  )

  it.effect("a sink may call the service that reports", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(keyed({ maxKeys: 2 }))
      const both = Effect.forEach(["c", "d"], (key) => Effect.exit(breaker.execute(Effect.fail("503"), key)))
      const calls = Event.layer((event, fiber) => {
        if (event._tag !== "CircuitTransition" || event.to !== "Forgotten") return
        Effect.runForkWith(fiber.context)(Effect.provideService(both, Event.EventSink, undefined))
      })
      yield* fail(breaker, "a", "b", "c").pipe(Effect.provide(calls))
      yield* settle
      for (const key of ["c", "d"]) assert.strictEqual((yield* breaker.state(key)).state, "Open")
      assert.strictEqual(breaker.gate.store.sync?.size(breaker.gate.space), 2)
    })
  )
})
