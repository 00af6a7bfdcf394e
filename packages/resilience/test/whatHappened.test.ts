/** What events carry, where they go, and what policies of one's own emit. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Logger, Metric } from "effect"
import { TestClock } from "effect/testing"
import {
  Backoff,
  CircuitBreaker,
  Event,
  Policy,
  RateLimiter,
  Rejection,
  RemoteStore,
  Resilience,
  Retry,
  Store,
  Telemetry
} from "../src/index.ts"
import { isolated, recorder, spanOf } from "./watching.ts"

const opening = (options: Partial<CircuitBreaker.Options> = {}): CircuitBreaker.Options => ({
  tripPolicy: CircuitBreaker.consecutive(1),
  openDuration: "10 seconds",
  ...options
})

/** The transitions among some events, in words. */
const moves = (events: ReadonlyArray<Event.Event>) =>
  events.flatMap((event) => (event._tag === "CircuitTransition" ? [`${event.key} ${event.from} ${event.to}`] : []))

const openings = (events: ReadonlyArray<Event.Event>) =>
  events.flatMap((event) =>
    event._tag === "CircuitTransition" && event.to === "Open" ? [[event.openedBy, event.exit] as const] : []
  )

describe("events carry what happened", () => {
  it.effect("an attempt and a call their exits, a retry the error", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const service = yield* Resilience.make("app/Retried", {
        retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(0) })
      })
      const exits = [Exit.fail("503"), Exit.succeed("ok")]
      const next = Effect.suspend((): Effect.Effect<string, string> => exits.shift()!) // two attempts
      yield* service.resilient(next, "a").pipe(Effect.provide(Event.layer(sink)))
      assert.deepStrictEqual(
        events.flatMap((event) => (event._tag === "AttemptEnded" ? [event.exit] : [])),
        [Exit.fail("503"), Exit.succeed("ok")]
      )
      assert.deepStrictEqual(
        events.flatMap((event) => (event._tag === "RetryScheduled" ? [event.error] : [])),
        ["503"]
      )
      assert.deepStrictEqual(
        events.flatMap((event) => (event._tag === "CallEnded" ? [event.exit] : [])),
        [Exit.succeed("ok")]
      )
    })
  )

  it.effect("an opening the trip policy, and how the call ended that brought it", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const breaker = yield* CircuitBreaker.make(CircuitBreaker.policy(opening()))
      const call = (self: Effect.Effect<void, string>) => Effect.exit(breaker.execute(self))
      yield* Effect.gen(function* () {
        yield* call(Effect.fail("first"))
        yield* TestClock.adjust("10 seconds")
        yield* call(Effect.fail("probe"))
        yield* TestClock.adjust("10 seconds")
        yield* call(Effect.void)
      }).pipe(Effect.provide(Event.layer(sink)))
      assert.deepStrictEqual(openings(events), [
        ["consecutive", Exit.fail("first")],
        ["probe", Exit.fail("probe")]
      ])
      assert.isTrue(
        events.every((event) => event._tag !== "CircuitTransition" || event.to === "Open" || event.exit === undefined)
      )
    })
  )

  it.effect("an opening that no report brought has no exit", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const slow = CircuitBreaker.slowCallRate({
        slowAfter: "1 second",
        threshold: 1,
        window: { calls: 1 },
        minimumCalls: 1
      })
      const breaker = yield* CircuitBreaker.make(CircuitBreaker.policy(opening({ tripPolicy: slow })))
      const hangs = yield* Effect.forkChild(breaker.execute(Effect.never))
      yield* TestClock.adjust("1 second")
      yield* Effect.exit(breaker.execute(Effect.void)).pipe(Effect.provide(Event.layer(sink)))
      yield* Fiber.interrupt(hangs)
      assert.deepStrictEqual(openings(events), [["slowCallRate", undefined]])
    })
  )

  it.effect("a refusal and an inspection say what opened the circuit", () =>
    Effect.gen(function* () {
      const tripPolicy = CircuitBreaker.anyOf(
        CircuitBreaker.consecutive(9),
        CircuitBreaker.failures({ count: 2, within: "1 minute" })
      )
      const breaker = yield* CircuitBreaker.make(CircuitBreaker.policy(opening({ tripPolicy })))
      assert.isUndefined((yield* breaker.state()).openedBy)
      for (const self of [Effect.fail("503"), Effect.void, Effect.fail("503")])
        yield* Effect.exit(breaker.execute(self))
      assert.strictEqual((yield* breaker.state()).openedBy, "failures")
      const refused = yield* Effect.flip(breaker.execute(Effect.void))
      assert.deepInclude(refused, { state: "Open", openedBy: "failures" })
      yield* breaker.isolate()
      assert.isUndefined((yield* Effect.flip(breaker.execute(Effect.void))).openedBy)
    })
  )
})

describe("a sink is kept from where the service is built", () => {
  class Calls extends Resilience.Service<Calls>()("app/Calls", {
    circuitBreaker: CircuitBreaker.policy(opening()),
    rateLimiter: RateLimiter.tokenBucket({ limit: 5, window: "1 minute" })
  }) {}
  class Limit extends RateLimiter.Service<Limit>()(
    "app/Limit",
    RateLimiter.tokenBucket({ limit: 5, window: "1 minute" })
  ) {}

  it.effect("for its calls, its control and its decisions", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const program = Effect.gen(function* () {
        yield* Calls.resilient(Effect.void, "a")
        yield* (yield* Calls).control.circuitBreaker.isolate()
        yield* (yield* Limit).allow("a")
      })
      const layer = Layer.provide(Layer.merge(Calls.layer, Limit.layer), Event.layer(sink))
      yield* Effect.provide(program, layer)
      assert.deepStrictEqual(
        events.map(({ _tag, service }) => `${service} ${_tag}`),
        [
          "app/Calls Admitted",
          "app/Calls AttemptEnded",
          "app/Calls CallEnded",
          "app/Calls CircuitTransition",
          "app/Limit Admitted",
          "app/Calls CircuitTransition"
        ]
      )
    })
  )

  it.effect("and one in force where the call is made goes before it", () =>
    Effect.gen(function* () {
      const [built, called] = [recorder(), recorder()]
      const program = Effect.gen(function* () {
        yield* Calls.resilient(Effect.void, "a")
        yield* (yield* Calls).control.circuitBreaker.isolate()
        yield* (yield* Limit).allow("a")
      })
      const layer = Layer.provide(Layer.merge(Calls.layer, Limit.layer), Event.layer(built.sink))
      yield* program.pipe(Effect.provide(Event.layer(called.sink)), Effect.provide(layer))
      assert.strictEqual(called.events.length, 5)
      assert.deepStrictEqual(moves(built.events), ["app/Calls Isolated Forgotten"]) // its layer closed outside
    })
  )

  it.effect("for an outage of its store", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const away = Effect.fail(new Rejection.StoreError({ reason: "unavailable" }))
      const remote = Layer.sync(Store.Store, () =>
        RemoteStore.make({ commit: () => away, read: () => away, clear: () => away })
      )
      const layer = Calls.layerFromStore.pipe(Layer.provide(remote), Layer.provide(Event.layer(sink)))
      yield* Effect.provide(Calls.resilient(Effect.void, "a"), layer)
      assert.strictEqual(events.filter(({ _tag }) => _tag === "StoreFlipped").length, 1)
    })
  )
})

describe("a policy's own events", () => {
  const watch = Policy.make<Policy.Policy>({
    kind: "watch",
    options: {},
    open: () => ({
      kind: "watch",
      stage: Policy.Stage.shed,
      enter: (call: Policy.Call): Policy.Ticket => ({
        steps: [],
        check: () => true,
        refusal: () => undefined,
        admitted: () => Policy.emit(call, "watch", "Passed", { cost: call.cost })
      })
    })
  })
  const call = Effect.gen(function* () {
    const service = yield* Resilience.make("app/Watched", { policies: { watch } })
    yield* service.resilient(Effect.void, "a", { cost: 2 })
  })

  it.effect("reach the sink", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      yield* Effect.provide(call, Event.layer(sink))
      assert.deepStrictEqual(
        events.filter(({ _tag }) => _tag === "PolicyEvent"),
        [
          {
            _tag: "PolicyEvent",
            service: "app/Watched",
            key: "a",
            policy: "watch",
            name: "Passed",
            detail: { cost: 2 }
          }
        ]
      )
      yield* call // without a sink
    })
  )

  it.effect("are counted by policy and name, and noted on the span", () =>
    Effect.gen(function* () {
      const { events } = yield* spanOf(call)
      assert.deepStrictEqual(events, [
        `0 resilience.policy {"cost":2,"service":"app/Watched","policy":"watch","name":"Passed"}`
      ])
      const counted = (yield* Metric.snapshot).flatMap(({ attributes, id, state }) =>
        id === "resilience_policy_events_total" && "count" in state ? [[attributes, state.count]] : []
      )
      assert.deepStrictEqual(counted, [[{ service: "app/Watched", policy: "watch", name: "Passed" }, 1]])
    }).pipe(Effect.provide(Telemetry.layer({ logs: false })), isolated)
  )
})

it.effect("the log of an opening has the cause of the call that brought it", () =>
  Effect.gen(function* () {
    const causes: Array<Cause.Cause<unknown>> = []
    const logger = Logger.make(({ cause }) => void causes.push(cause))
    const breaker = yield* CircuitBreaker.make(CircuitBreaker.policy(opening()))
    yield* Effect.exit(breaker.execute(Effect.fail("503"))).pipe(
      Effect.provide(Telemetry.layer({ metrics: false, spans: false })),
      Effect.provide(Logger.layer([logger]))
    )
    assert.deepStrictEqual(causes.map(Cause.squash), ["503"])
  })
)
