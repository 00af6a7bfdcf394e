import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Metric, TxRef } from "effect"
import { TestClock } from "effect/testing"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Event,
  EventStream,
  type Outcome,
  RateLimiter,
  Resilience,
  Retry,
  Telemetry
} from "../src/index.ts"
import { circuits, isolated, limiter, recorder, settle, subscribe, word } from "./watching.ts"

const broken: Event.Sink = (event) => {
  throw new Error(`cannot take ${event._tag}`)
}

describe("sinks", () => {
  it.effect("where there is none, a circuit that opens is not spoken of", () =>
    Effect.gen(function* () {
      const heard: Array<unknown> = []
      const logger = Logger.make(({ message }) => void heard.push(message))
      const breaker = yield* CircuitBreaker.make(
        CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" })
      )
      yield* Effect.exit(breaker.execute(Effect.fail("down"))).pipe(Effect.provide(Logger.layer([logger])))
      assert.strictEqual((yield* breaker.state()).state, "Open")
      assert.deepStrictEqual(heard, [])
    })
  )

  it.effect("two compose, whichever way the one is provided to the other", () =>
    Effect.gen(function* () {
      const [outer, inner] = [recorder(), recorder()]
      const { allow } = yield* limiter
      const use = allow("a").pipe(Effect.provide(Event.layer(inner.sink)), Effect.provide(Event.layer(outer.sink)))
      yield* use
      assert.deepStrictEqual(outer.events.map(word), ["a"])
      assert.deepStrictEqual(inner.events, outer.events)
      const both = Event.layer(inner.sink).pipe(Layer.provideMerge(Event.layer(outer.sink)))
      yield* Effect.provide(allow("b"), both)
      assert.deepStrictEqual(outer.events.map(word), ["a", "b"])
      assert.deepStrictEqual(inner.events, outer.events)
    })
  )

  it.effect("Telemetry and EventStream compose in either order", () =>
    Effect.gen(function* () {
      const use = Effect.gen(function* () {
        const { execute } = yield* limiter
        const { seen } = yield* subscribe(EventStream.events({ only: ["CallEnded"] }))
        yield* execute(Effect.void, "a")
        yield* settle
        assert.deepStrictEqual(seen, ["a"])
        assert.isTrue((yield* Metric.snapshot).some(({ id }) => id === "resilience_calls_total"))
      })
      for (const layer of [
        EventStream.layer().pipe(Layer.provideMerge(Telemetry.layer())),
        Telemetry.layer().pipe(Layer.provideMerge(EventStream.layer()))
      ]) {
        yield* use.pipe(Effect.provide(layer), isolated)
      }
    })
  )

  it.effect("one that throws hurts neither the call nor the other sink, and is heard of", () =>
    Effect.gen(function* () {
      const other = recorder()
      const heard: Array<string> = []
      const logger = Logger.make(({ cause, logLevel, message }) => {
        heard.push(`${logLevel} ${String(message)}: ${cause.reasons.map(({ _tag }) => _tag).join()}`)
      })
      const service = yield* Resilience.make("app/Hurt", {
        timeout: "1 minute",
        circuitBreaker: CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.consecutive(2),
          openDuration: "10 seconds"
        }),
        rateLimiter: RateLimiter.tokenBucket({ limit: 10, window: "10 seconds", burst: 3, maxWait: "10 seconds" }),
        bulkhead: Bulkhead.policy({ maxConcurrent: 1 }),
        retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("1 second") })
      })
      const story = Effect.gen(function* () {
        assert.strictEqual(yield* service.resilient(Effect.succeed(1), "a"), 1)
        const fails = yield* Effect.forkChild(Effect.exit(service.resilient(Effect.fail("no"), "a")))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(fails), Exit.fail("no"))
        const waits = yield* Effect.forkChild(service.resilient(Effect.succeed(2), "a", { cost: 3 }))
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* Fiber.join(waits), 2)
        yield* Effect.exit(service.resilient(Effect.die("no"), "b"))
        yield* Effect.exit(service.resilient(Effect.die("no"), "b"))
        const open: unknown = yield* Effect.flip(service.resilient(Effect.void, "b"))
        assert.deepInclude(open, { _tag: "CircuitOpen" })
        return yield* service.inspect("a")
      })
      const layer = Event.layer(other.sink).pipe(Layer.provideMerge(Event.layer(broken)))
      const inspection = yield* story.pipe(Effect.provide(layer), Effect.provide(Logger.layer([logger])))
      assert.deepInclude(inspection.bulkhead, { running: 0, queued: 0, free: 1 })
      assert.deepInclude(inspection.rateLimiter, { queued: 0 })
      assert.deepInclude(inspection.circuitBreaker, { state: "Open", probesInFlight: 0 })
      assert.deepStrictEqual(new Set(heard), new Set(["Error An event sink threw: Die"]))
      assert.strictEqual(heard.length, other.events.length)
      const tags = new Set(other.events.map(({ _tag }) => _tag))
      assert.deepStrictEqual([...tags].sort(), [
        "Admitted",
        "AttemptEnded",
        "CallEnded",
        "CircuitTransition",
        "Queued",
        "Rejected",
        "RetryScheduled"
      ])
    })
  )

  it.effect("one that throws does not hurt a retry policy that stands alone", () =>
    Effect.gen(function* () {
      let runs = 0
      const call = Effect.suspend(() => (++runs < 3 ? Effect.fail("no") : Effect.succeed(runs)))
      const { execute } = yield* Retry.make(Retry.policy({ maxAttempts: 3, backoff: Backoff.constant(0) }))
      const silent = Effect.provide(Logger.layer([]))
      assert.strictEqual(yield* execute(call).pipe(Effect.provide(Event.layer(broken)), silent), 3)
    })
  )

  it("a pipeline that is watched still runs in Effect.runSync", () => {
    const watched = EventStream.layer().pipe(Layer.provideMerge(Telemetry.layer()))
    const program = Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(circuits)
      return yield* Effect.exit(breaker.execute(Effect.fail("no"), "a"))
    })
    const result = program.pipe(Effect.provide(watched), Effect.provide(Logger.layer([])), isolated)
    assert.deepStrictEqual(Effect.runSync(result), Exit.fail("no"))
  })
})

it.effect("every call ends with one event, whatever became of it", () =>
  Effect.gen(function* () {
    const { events, sink } = recorder()
    const service = yield* Resilience.make("app/All", {
      timeout: "1 second",
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute", maxQueued: 1 })
    })
    const call = (key: string, effect: Effect.Effect<void, unknown> = Effect.void) =>
      service.resilient(effect, key).pipe(Effect.exit, Effect.provide(Event.layer(sink)))
    const start = (key: string, effect?: Effect.Effect<void>) =>
      Effect.forkChild(call(key, effect), { startImmediately: true })
    /** What the only call that ended since the last look was told to be. */
    const ended = (key: string, outcome: Outcome.Outcome, attempts: number, flags: Partial<Event.CallEnded> = {}) => {
      const calls = events
        .splice(0)
        .flatMap((event) =>
          event._tag === "CallEnded" && event.service === "app/All" ? [{ ...event, exit: undefined, duration: 0 }] : []
        )
      const call = {
        _tag: "CallEnded",
        service: "app/All",
        key,
        outcome,
        attempts,
        exit: undefined,
        duration: 0
      } as const
      assert.deepStrictEqual(calls, [{ ...call, timedOut: false, rejected: false, ...flags }])
    }

    yield* call("succeeds")
    ended("succeeds", "success", 1)
    yield* call("fails", Effect.fail("no"))
    ended("fails", "failure", 1)
    const inner = yield* limiter
    yield* call("is refused further in", inner.acquire("a", { cost: 2_000 }))
    ended("is refused further in", "ignored", 1)
    const classify = () => {
      throw new Error("no")
    }
    const unclassified = service.resilient(Effect.void, "cannot be judged", { classify })
    yield* Effect.exit(Effect.provide(unclassified, Event.layer(sink)))
    ended("cannot be judged", "ignored", 1)

    const holds = yield* start("takes too long", Effect.uninterruptible(Effect.sleep("1 minute")))
    const leaves = yield* start("leaves the queue")
    yield* call("is refused")
    ended("is refused", "ignored", 0, { rejected: true })
    yield* Fiber.interrupt(leaves)
    ended("leaves the queue", "ignored", 0)
    const late = yield* start("waits too long")
    yield* TestClock.adjust("1 second")
    assert.isDefined(late.pollUnsafe())
    ended("waits too long", "ignored", 0, { timedOut: true })
    yield* TestClock.adjust("1 minute")
    assert.isDefined(holds.pollUnsafe())
    ended("takes too long", "failure", 1, { timedOut: true })
    const gone = yield* start("is interrupted", Effect.never)
    yield* Fiber.interrupt(gone)
    ended("is interrupted", "ignored", 1)
  })
)

describe("events of decisions inside Effect.tx", () => {
  const decide = Effect.gen(function* () {
    const { acquire, allow } = yield* RateLimiter.make(
      RateLimiter.tokenBucket({ limit: 1, window: "1 minute" }),
      "app/Limit"
    )
    const breaker = yield* CircuitBreaker.make(circuits, "app/Circuit")
    return Effect.gen(function* () {
      yield* allow("a")
      yield* Effect.exit(acquire("a"))
      yield* breaker.isolate("b")
    })
  })
  const decided = ["Admitted a", "Rejected a", "CircuitTransition b"]
  const told = (events: ReadonlyArray<Event.Event>) => events.map(({ _tag, key }) => `${_tag} ${key}`)

  it.effect("they follow the commit, in the order of the decisions", () =>
    Effect.gen(function* () {
      const decisions = yield* decide
      const { events, sink } = recorder()
      const body = Effect.gen(function* () {
        yield* decisions
        yield* Effect.yieldNow
        assert.deepStrictEqual(events, [])
      })
      yield* Effect.tx(body).pipe(Effect.provide(Event.layer(sink)))
      yield* settle
      assert.deepStrictEqual(told(events), decided)
    })
  )

  for (const [how, end] of Object.entries({
    fails: Effect.fail("no"),
    dies: Effect.die("no"),
    "is interrupted": Effect.interrupt
  })) {
    it.effect(`there are none when the transaction ${how}`, () =>
      Effect.gen(function* () {
        const decisions = yield* decide
        const { events, sink } = recorder()
        yield* Effect.exit(Effect.tx(Effect.andThen(decisions, end))).pipe(Effect.provide(Event.layer(sink)))
        yield* settle
        assert.deepStrictEqual(events, [])
        yield* Effect.tx(decisions).pipe(Effect.provide(Event.layer(sink)))
        yield* settle
        assert.deepStrictEqual(told(events), decided)
      })
    )
  }

  it.effect("a transaction that runs again tells of its last run only", () =>
    Effect.gen(function* () {
      const decisions = yield* decide
      const { events, sink } = recorder()
      const ref = yield* TxRef.make(0)
      let runs = 0
      const body = Effect.gen(function* () {
        runs++
        yield* TxRef.get(ref)
        yield* decisions
        yield* Effect.yieldNow
      })
      const fiber = yield* Effect.forkChild(Effect.tx(body).pipe(Effect.provide(Event.layer(sink))), {
        startImmediately: true
      })
      yield* TxRef.set(ref, 1)
      yield* Fiber.join(fiber)
      yield* settle
      assert.strictEqual(runs, 2)
      assert.deepStrictEqual(told(events), decided)
    })
  )

  it.effect("a transaction that waits for its turn tells of the run that commits only", () =>
    Effect.gen(function* () {
      const decisions = yield* decide
      const { events, sink } = recorder()
      const ref = yield* TxRef.make(false)
      let runs = 0
      const body = Effect.gen(function* () {
        runs++
        yield* decisions
        if (!(yield* TxRef.get(ref))) return yield* Effect.txRetry
      })
      const fiber = yield* Effect.forkChild(Effect.tx(body).pipe(Effect.provide(Event.layer(sink))))
      yield* settle
      assert.deepStrictEqual([runs, events], [1, []])
      yield* TxRef.set(ref, true)
      yield* Fiber.join(fiber)
      yield* settle
      assert.strictEqual(runs, 2)
      assert.deepStrictEqual(told(events), decided)
    })
  )
})
