/**
 * What the tests of telemetry share: programs that raise events, and ways to watch them.
 */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  type Event,
  type EventStream,
  RateLimiter,
  Rejection,
  RemoteStore,
  Resilience,
  Retry,
  Store
} from "../src/index.ts"

/** Lets every fiber that can run do so, without time passing. */
export const settle = TestClock.adjust(0)

/** Opens at the first failure. */
export const circuit = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.consecutive(1),
  openDuration: "10 seconds"
})
/** One for each key. */
export const circuits = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.consecutive(1),
  openDuration: "10 seconds",
  by: "key"
})

/** Each `allow` is one event, named by its key. */
export const limiter = RateLimiter.make(RateLimiter.tokenBucket({ limit: 1_000, window: "1 second" }), "app/Limit")

/** A store with a switch, elsewhere: it cannot answer at once. */
const elsewhere = Effect.gen(function* () {
  const inner = yield* Store.Store
  const state = { down: false }
  const reach = <A>(self: Effect.Effect<A, Rejection.StoreError>) =>
    Effect.suspend(() => (state.down ? Effect.fail(new Rejection.StoreError({ reason: "unavailable" })) : self))
  const store = RemoteStore.make({
    commit: (steps) => reach(inner.commit(steps)),
    read: (space, key) => reach(inner.read(space, key)),
    clear: (space) => reach(inner.clear(space))
  })
  return { state, layer: Layer.succeed(Store.Store, store) }
}).pipe(Effect.provide(Store.layerMemory))

/** Every kind of event, each from a pipeline that raises it: waits, refusals, retries, timeouts, moves, an outage. */
export const story = Effect.gen(function* () {
  const limited = yield* Resilience.make("limited", {
    timeout: "3 seconds",
    rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "2 seconds", maxWait: "1 minute", maxQueued: 1 })
  })
  yield* limited.resilient(Effect.void, "a")
  const waits = yield* Effect.forkChild(limited.resilient(Effect.void, "a"))
  yield* settle
  yield* Effect.flip(limited.resilient(Effect.void, "a"))
  yield* TestClock.adjust("2 seconds")
  yield* Fiber.join(waits)

  const guarded = yield* Resilience.make("guarded", { circuitBreaker: circuit })
  yield* Effect.flip(guarded.resilient(Effect.fail("no"), "a"))
  yield* Effect.flip(guarded.resilient(Effect.void, "a"))
  yield* TestClock.adjust("10 seconds")
  yield* guarded.resilient(Effect.void, "a")
  const keyed = yield* CircuitBreaker.make(circuits, "keyed")
  yield* Effect.forEach(["a", "b", "c"], (key) => Effect.flip(keyed.execute(Effect.fail("no"), key)))
  yield* keyed.isolate("c")

  const narrow = yield* Resilience.make("narrow", { bulkhead: Bulkhead.policy({ maxConcurrent: 1 }) })
  const holds = yield* Effect.forkChild(narrow.resilient(Effect.never, "a"))
  yield* settle
  yield* Effect.flip(narrow.resilient(Effect.void, "a"))
  yield* Fiber.interrupt(holds)

  const tried = yield* Resilience.make("tried", {
    timeout: "1500 millis",
    attemptTimeout: "1 second",
    retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("100 millis") })
  })
  const results = [Effect.fail("no"), Effect.never, Effect.void]
  const third = Effect.suspend((): Effect.Effect<void, string> => results.shift() ?? Effect.void)
  const retries = yield* Effect.forkChild(tried.resilient(third, "a"))
  yield* TestClock.adjust("1300 millis")
  yield* Fiber.join(retries)
  const late = yield* Effect.forkChild(Effect.flip(tried.resilient(Effect.never, "a")))
  yield* TestClock.adjust("1500 millis")
  yield* Fiber.join(late)

  const { layer, state } = yield* elsewhere
  const stored = yield* Resilience.makeFromStore("stored", {
    rateLimiter: RateLimiter.tokenBucket({ limit: 10, window: "1 second" }),
    store: { onError: "fail" }
  }).pipe(Effect.provide(layer))
  state.down = true
  yield* Effect.flip(stored.resilient(Effect.void, "a"))
  state.down = false
  yield* stored.resilient(Effect.void, "a")
})

/** Runs a program with metrics of its own. */
export const isolated = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(self, Metric.MetricRegistry, new Map()))

/** Runs a program in a span of its own, and answers what the span tells. */
export const spanOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    yield* self.pipe(Effect.withSpan("test"), Effect.withTracer(tracer))
    assert.strictEqual(spans.length, 1)
    const [span] = spans
    return {
      attributes: Object.fromEntries(span!.attributes),
      events: span!.events.map(([name, at, attributes]) => `${at / 1_000_000n} ${name} ${JSON.stringify(attributes)}`)
    }
  })

/** A word for each element. */
export const word = (element: Event.Event | EventStream.Dropped) =>
  element._tag === "Dropped" ? `${element.count} lost` : element.key

/** Subscribes, and takes `millis` for each element. What it has seen is in `seen`. */
export const subscribe = <E>(stream: Stream.Stream<Event.Event | EventStream.Dropped, never, E>, millis = 0) =>
  Effect.gen(function* () {
    const seen: Array<string> = []
    const each = (element: Event.Event | EventStream.Dropped) =>
      Effect.andThen(
        Effect.sync(() => seen.push(word(element))),
        millis === 0 ? Effect.void : Effect.sleep(millis)
      )
    const fiber = yield* Effect.forkChild(Stream.runForEach(stream, each), { startImmediately: true })
    return { seen, fiber }
  })

/** Keeps every event. */
export const recorder = () => {
  const events: Array<Event.Event> = []
  return { events, sink: (event: Event.Event) => void events.push(event) }
}
