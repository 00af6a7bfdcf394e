/* oxlint-disable vitest/no-standalone-expect -- it does not know it.effect, and inline snapshots are of expect only */
import { assert, describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Metric, References, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, RateLimiter, Resilience, Retry, Telemetry } from "../src/index.ts"
import { circuits, isolated, settle, spanOf, story } from "./watching.ts"

const labelled = ({ attributes = {}, id }: Metric.Metric.Snapshot) =>
  `${id}{${Object.entries(attributes)
    .map(([label, value]) => `${label}=${value}`)
    .join(",")}}`

/** A line for each series. Series of counters and gauges show their value, histograms their count and sum. */
const registry = Effect.map(Metric.snapshot, (all) =>
  all
    .map((metric) => {
      const { state } = metric
      const value =
        "count" in state
          ? "sum" in state
            ? `${state.count} sum ${state.sum}`
            : state.count
          : "value" in state
            ? state.value
            : "?"
      return `${labelled(metric)} ${value}`
    })
    .sort()
)

/** The lines that a program logs, each with its level, annotations and kind of span. */
const logged = <A, E, R>(self: Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    const annotations = JSON.stringify(fiber.getRef(References.CurrentLogAnnotations))
    lines.push(`${logLevel} ${String(message)} ${annotations} ${fiber.cache.span?._tag}`)
  })
  return Effect.as(Effect.provide(self, Logger.layer([logger])), { lines })
}

describe("metrics", () => {
  const observed =
    (options?: Telemetry.Options) =>
    <A, E, R>(self: Effect.Effect<A, E, R>) =>
      isolated(self.pipe(Effect.provide(Telemetry.layer({ spans: false, logs: false, ...options }))))

  it.effect("their names, types, labels and boundaries", () =>
    Effect.gen(function* () {
      yield* story
      const kinds = new Map<string, string>()
      for (const { attributes = {}, description, id, state, type } of yield* Metric.snapshot) {
        const bounds = "buckets" in state ? ` ${state.buckets.map(([bound]) => bound).join(" ")}` : ""
        kinds.set(id, `${type} ${id}{${Object.keys(attributes).join(",")}}${bounds} -- ${description}`)
      }
      expect([...kinds.values()].sort()).toMatchInlineSnapshot(`
        [
          "Counter resilience_attempts_total{service,result} -- Runs of the wrapped effect",
          "Counter resilience_calls_total{service,outcome} -- Calls that ended",
          "Counter resilience_circuit_transitions_total{service,from,to} -- Moves of circuits",
          "Counter resilience_queued_total{service,policy} -- Calls that began to wait",
          "Counter resilience_rejections_total{service,policy,reason} -- Admissions that were refused",
          "Counter resilience_retries_total{service} -- Further attempts that were scheduled",
          "Gauge resilience_circuits{service,state} -- Circuits that are not closed",
          "Gauge resilience_store_available{service} -- Whether the store answers",
          "Histogram resilience_attempt_duration_ms{service} 1 2 5 10 20 50 100 200 500 1000 2000 5000 10000 20000 50000 Infinity -- How long one run of the wrapped effect took",
          "Histogram resilience_call_duration_ms{service} 1 2 5 10 20 50 100 200 500 1000 2000 5000 10000 20000 50000 Infinity -- How long a call took, waits and backoff included",
          "Histogram resilience_wait_ms{service} 1 2 5 10 20 50 100 200 500 1000 2000 5000 10000 20000 50000 Infinity -- How long a call waited for its admission",
        ]
      `)
    }).pipe(observed())
  )

  it.effect("every kind of event leaves its count", () =>
    Effect.gen(function* () {
      yield* story
      expect(yield* registry).toMatchInlineSnapshot(`
        [
          "resilience_attempt_duration_ms{service=guarded} 2 sum 0",
          "resilience_attempt_duration_ms{service=keyed} 3 sum 0",
          "resilience_attempt_duration_ms{service=limited} 2 sum 0",
          "resilience_attempt_duration_ms{service=narrow} 1 sum 0",
          "resilience_attempt_duration_ms{service=stored} 1 sum 0",
          "resilience_attempt_duration_ms{service=tried} 5 sum 2400",
          "resilience_attempts_total{service=guarded,result=failure} 1",
          "resilience_attempts_total{service=guarded,result=success} 1",
          "resilience_attempts_total{service=keyed,result=failure} 3",
          "resilience_attempts_total{service=limited,result=success} 2",
          "resilience_attempts_total{service=narrow,result=interrupt} 1",
          "resilience_attempts_total{service=stored,result=success} 1",
          "resilience_attempts_total{service=tried,result=failure} 1",
          "resilience_attempts_total{service=tried,result=success} 1",
          "resilience_attempts_total{service=tried,result=timeout} 3",
          "resilience_call_duration_ms{service=guarded} 2 sum 0",
          "resilience_call_duration_ms{service=keyed} 3 sum 0",
          "resilience_call_duration_ms{service=limited} 2 sum 2000",
          "resilience_call_duration_ms{service=narrow} 1 sum 0",
          "resilience_call_duration_ms{service=stored} 1 sum 0",
          "resilience_call_duration_ms{service=tried} 2 sum 2700",
          "resilience_calls_total{service=guarded,outcome=failure} 1",
          "resilience_calls_total{service=guarded,outcome=rejected} 1",
          "resilience_calls_total{service=guarded,outcome=success} 1",
          "resilience_calls_total{service=keyed,outcome=failure} 3",
          "resilience_calls_total{service=limited,outcome=rejected} 1",
          "resilience_calls_total{service=limited,outcome=success} 2",
          "resilience_calls_total{service=narrow,outcome=ignored} 1",
          "resilience_calls_total{service=narrow,outcome=rejected} 1",
          "resilience_calls_total{service=stored,outcome=rejected} 1",
          "resilience_calls_total{service=stored,outcome=success} 1",
          "resilience_calls_total{service=tried,outcome=success} 1",
          "resilience_calls_total{service=tried,outcome=timeout} 1",
          "resilience_circuit_transitions_total{service=guarded,from=Closed,to=Open} 1",
          "resilience_circuit_transitions_total{service=guarded,from=HalfOpen,to=Closed} 1",
          "resilience_circuit_transitions_total{service=guarded,from=Open,to=HalfOpen} 1",
          "resilience_circuit_transitions_total{service=keyed,from=Closed,to=Open} 3",
          "resilience_circuit_transitions_total{service=keyed,from=Open,to=Isolated} 1",
          "resilience_circuits{service=guarded,state=HalfOpen} 0",
          "resilience_circuits{service=guarded,state=Open} 0",
          "resilience_circuits{service=keyed,state=Isolated} 1",
          "resilience_circuits{service=keyed,state=Open} 2",
          "resilience_queued_total{service=limited,policy=rateLimiter} 1",
          "resilience_rejections_total{service=guarded,policy=circuitBreaker,reason=Open} 1",
          "resilience_rejections_total{service=limited,policy=rateLimiter,reason=queue-full} 1",
          "resilience_rejections_total{service=narrow,policy=bulkhead,reason=full} 1",
          "resilience_rejections_total{service=stored,policy=store,reason=unavailable} 1",
          "resilience_retries_total{service=tried} 3",
          "resilience_store_available{service=stored} 1",
          "resilience_wait_ms{service=limited} 1 sum 2000",
        ]
      `)
    }).pipe(observed())
  )

  it.effect("a call is counted once, its attempts one by one", () =>
    Effect.gen(function* () {
      const tried = yield* Resilience.make("tried", {
        retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant(0) })
      })
      yield* Effect.flip(tried.resilient(Effect.fail("no"), "a"))
      yield* tried.resilient(Effect.void, "a")
      const counts = (yield* registry).filter((line) => line.includes("calls_") || line.includes("attempts_"))
      assert.deepStrictEqual(counts, [
        "resilience_attempts_total{service=tried,result=failure} 3",
        "resilience_attempts_total{service=tried,result=success} 1",
        "resilience_calls_total{service=tried,outcome=failure} 1",
        "resilience_calls_total{service=tried,outcome=success} 1"
      ])
    }).pipe(observed())
  )

  it.effect("a call that leaves the queue without an admission is counted all the same", () =>
    Effect.gen(function* () {
      const limited = yield* Resilience.make("limited", {
        timeout: "1 second",
        bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute" })
      })
      yield* Effect.forkChild(Effect.exit(limited.resilient(Effect.uninterruptible(Effect.sleep("1 minute")), "a")))
      yield* settle
      const late = yield* Effect.forkChild(Effect.exit(limited.resilient(Effect.void, "b")))
      const gone = yield* Effect.forkChild(Effect.exit(limited.resilient(Effect.void, "c")))
      yield* settle
      yield* Fiber.interrupt(gone)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(late)
      assert.deepStrictEqual(
        (yield* registry).filter((line) => line.includes("_total")),
        [
          "resilience_calls_total{service=limited,outcome=ignored} 1",
          "resilience_calls_total{service=limited,outcome=timeout} 1",
          "resilience_queued_total{service=limited,policy=bulkhead} 2"
        ]
      )
      yield* TestClock.adjust("1 minute")
    }).pipe(observed())
  )

  it.effect(
    "ten thousand keys make no more series than one, and none is named in the registry",
    () =>
      Effect.gen(function* () {
        const service = yield* Resilience.make("wide", {
          circuitBreaker: circuits,
          rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 minute" })
        })
        const use = Effect.fnUntraced(function* (key: string) {
          yield* Effect.exit(service.resilient(Effect.fail("no"), key))
          yield* Effect.exit(service.resilient(Effect.void, key))
        })
        yield* use("secret-0")
        const series = (yield* Metric.snapshot).map(labelled)
        for (let i = 1; i < 10_000; i++) yield* use(`secret-${i}`)
        const after = yield* Metric.snapshot
        assert.deepStrictEqual(after.map(labelled), series)
        assert.notInclude(JSON.stringify(after), "secret")
        const lines = yield* registry
        assert.include(lines, "resilience_calls_total{service=wide,outcome=failure} 10000")
        assert.include(lines, "resilience_calls_total{service=wide,outcome=rejected} 10000")
        assert.include(lines, "resilience_circuits{service=wide,state=Open} 10000")
      }).pipe(observed()),
    30_000
  )

  it.effect("they go to the registry of whoever makes the call", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 9, window: "1 second" }), "app/Limit")
      const use = Effect.andThen(limiter.execute(Effect.void, "a"), registry)
      const [first, second] = yield* Effect.all([isolated(use), isolated(use)])
      assert.include(first, "resilience_calls_total{service=app/Limit,outcome=success} 1")
      assert.deepStrictEqual(second, first)
    }).pipe(observed())
  )
})

describe("spans", () => {
  const observed = Effect.provide(Telemetry.layer({ metrics: false, logs: false }))

  it.effect("the span around a call tells what became of it", () =>
    Effect.gen(function* () {
      const span = yield* spanOf(story)
      expect(span).toMatchInlineSnapshot(`
        {
          "attributes": {
            "resilience.attempts": 1,
            "resilience.key": "a",
            "resilience.outcome": "success",
            "resilience.service": "stored",
            "resilience.waited_ms": 0,
          },
          "events": [
            "0 resilience.rejected {"service":"limited","attempt":1,"policy":"rateLimiter","reason":"queue-full","retry_after_ms":4000}",
            "2000 resilience.admitted {"service":"limited","attempt":1,"waited_ms":2000}",
            "2000 resilience.attempt_failure {"service":"guarded","attempt":1,"duration_ms":0}",
            "2000 resilience.circuit {"service":"guarded","circuit":"guarded","from":"Closed","to":"Open","generation":2000,"open_for_ms":10000,"opened_by":"consecutive"}",
            "2000 resilience.rejected {"service":"guarded","attempt":1,"policy":"circuitBreaker","reason":"Open","retry_after_ms":10000}",
            "12000 resilience.circuit {"service":"guarded","circuit":"guarded","from":"Open","to":"HalfOpen","generation":12000}",
            "12000 resilience.circuit {"service":"guarded","circuit":"guarded","from":"HalfOpen","to":"Closed","generation":12001}",
            "12000 resilience.attempt_failure {"service":"keyed","attempt":1,"duration_ms":0}",
            "12000 resilience.circuit {"service":"keyed","circuit":"a","from":"Closed","to":"Open","generation":12000,"open_for_ms":10000,"opened_by":"consecutive"}",
            "12000 resilience.attempt_failure {"service":"keyed","attempt":1,"duration_ms":0}",
            "12000 resilience.circuit {"service":"keyed","circuit":"b","from":"Closed","to":"Open","generation":12000,"open_for_ms":10000,"opened_by":"consecutive"}",
            "12000 resilience.attempt_failure {"service":"keyed","attempt":1,"duration_ms":0}",
            "12000 resilience.circuit {"service":"keyed","circuit":"c","from":"Closed","to":"Open","generation":12000,"open_for_ms":10000,"opened_by":"consecutive"}",
            "12000 resilience.circuit {"service":"keyed","circuit":"c","from":"Open","to":"Isolated","generation":12001}",
            "12000 resilience.rejected {"service":"narrow","attempt":1,"policy":"bulkhead","reason":"full"}",
            "12000 resilience.attempt_failure {"service":"tried","attempt":1,"duration_ms":0}",
            "12000 resilience.retry {"service":"tried","attempt":1,"delay_ms":100}",
            "13100 resilience.attempt_timeout {"service":"tried","attempt":2,"duration_ms":1000}",
            "13100 resilience.retry {"service":"tried","attempt":2,"delay_ms":100}",
            "14300 resilience.attempt_timeout {"service":"tried","attempt":1,"duration_ms":1000}",
            "14300 resilience.retry {"service":"tried","attempt":1,"delay_ms":100}",
            "14800 resilience.attempt_timeout {"service":"tried","attempt":2,"duration_ms":400}",
            "14800 resilience.store {"service":"stored","available":false}",
            "14800 resilience.rejected {"service":"stored","attempt":1,"policy":"store","reason":"unavailable"}",
            "14800 resilience.store {"service":"stored","available":true}",
          ],
        }
      `)
    }).pipe(observed)
  )

  it.effect("the waits of a call's attempts add up, and a new call starts from none", () =>
    Effect.gen(function* () {
      const service = yield* Resilience.make("each", {
        admission: "attempt",
        rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: "1 minute" }),
        retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant(0) })
      })
      const span = spanOf(Effect.exit(service.resilient(Effect.fail("no"), "a")))
      const first = yield* Effect.forkChild(span)
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude((yield* Fiber.join(first)).attributes, {
        "resilience.waited_ms": 2_000,
        "resilience.attempts": 3
      })
      yield* TestClock.adjust("1 minute")
      const both = yield* Effect.forkChild(
        spanOf(
          Effect.andThen(Effect.exit(service.resilient(Effect.fail("no"), "a")), service.resilient(Effect.void, "b"))
        )
      )
      yield* TestClock.adjust("2 seconds")
      assert.deepInclude((yield* Fiber.join(both)).attributes, { "resilience.waited_ms": 0, "resilience.key": "b" })
    }).pipe(observed)
  )

  it.effect("without a span, or in one of another process, nothing happens", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 2, window: "1 second" }))
      const external = Tracer.externalSpan({ spanId: "0", traceId: "0" })
      const { lines } = yield* logged(
        Effect.gen(function* () {
          yield* limiter.execute(Effect.void, "a")
          yield* Effect.withParentSpan(limiter.execute(Effect.void, "a"), external)
          yield* Effect.flip(limiter.execute(Effect.void, "a"))
        })
      )
      assert.deepStrictEqual(lines, []) // a sink that throws would be in the log
    }).pipe(observed)
  )
})

describe("logs", () => {
  const observed = Effect.provide(Telemetry.layer({ metrics: false, spans: false }))

  it.effect("moves of circuits and flips of stores, as the caller's fiber would log them", () =>
    Effect.gen(function* () {
      const { lines } = yield* logged(Effect.annotateLogs(Effect.withSpan(story, "test"), "request", 7))
      expect(lines).toMatchInlineSnapshot(`
        [
          "Warn Circuit guarded opened for 10000 ms {"request":7,"service":"guarded","circuit":"guarded","from":"Closed","to":"Open","generation":2000,"open_for_ms":10000,"opened_by":"consecutive"} Span",
          "Info Circuit guarded is half-open {"request":7,"service":"guarded","circuit":"guarded","from":"Open","to":"HalfOpen","generation":12000} Span",
          "Info Circuit guarded closed {"request":7,"service":"guarded","circuit":"guarded","from":"HalfOpen","to":"Closed","generation":12001} Span",
          "Warn Circuit a opened for 10000 ms {"request":7,"service":"keyed","circuit":"a","from":"Closed","to":"Open","generation":12000,"open_for_ms":10000,"opened_by":"consecutive"} Span",
          "Warn Circuit b opened for 10000 ms {"request":7,"service":"keyed","circuit":"b","from":"Closed","to":"Open","generation":12000,"open_for_ms":10000,"opened_by":"consecutive"} Span",
          "Warn Circuit c opened for 10000 ms {"request":7,"service":"keyed","circuit":"c","from":"Closed","to":"Open","generation":12000,"open_for_ms":10000,"opened_by":"consecutive"} Span",
          "Info Circuit c is isolated {"request":7,"service":"keyed","circuit":"c","from":"Open","to":"Isolated","generation":12001} Span",
          "Warn The store of stored does not answer {"request":7,"service":"stored","available":false} Span",
          "Info The store of stored answers again {"request":7,"service":"stored","available":true} Span",
        ]
      `)
    }).pipe(observed)
  )

  it.effect("the level of the application decides what is heard", () =>
    Effect.gen(function* () {
      const { lines } = yield* logged(Effect.provideService(story, References.MinimumLogLevel, "Warn"))
      assert.isAbove(lines.length, 0)
      assert.isTrue(lines.every((line) => line.startsWith("Warn")))
    }).pipe(observed)
  )
})
