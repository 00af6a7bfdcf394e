/**
 * Weak points of effect 4.1's own CircuitBreaker (C1 to C8), shown not to be here. Only this library is run.
 *
 * What cannot apply in this package:
 * - C1, the lease that a live Redis process renews for ever: there is no Redis here, and no lease is ever renewed.
 * - C5, ramp-up: a closed circuit lets everybody through here as well; what bounds a recovery is the number of probes
 *   that must succeed, and the limits of the same pipeline.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Metric, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  CircuitBreaker,
  type Event,
  EventStream,
  RateLimiter,
  Rejection,
  RemoteStore,
  Resilience,
  Store,
  Telemetry
} from "../../src/index.ts"
import { breakerOn } from "../state/support.ts"
import { counted, inFlight, outcomeOf, recorded, settle, times } from "./support.ts"

const openDuration = "5 seconds"
const fragile = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration })
const stateOf = (breaker: CircuitBreaker.CircuitBreakerService) => Effect.map(breaker.state(), ({ state }) => state)
const trip = (breaker: CircuitBreaker.CircuitBreakerService) => Effect.exit(breaker.execute(Effect.fail("down")))

it.effect(
  "seven days after a probe began to hang, a healthy dependency serves a thousand calls of a thousand (effect 4.1: none; C1)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(fragile)
      yield* trip(breaker)
      yield* TestClock.adjust(openDuration)
      const hung = yield* inFlight((self) => breaker.execute(self))
      yield* TestClock.adjust("7 days")
      assert.deepInclude(yield* breaker.state(), { state: "HalfOpen", probesInFlight: 0 })
      yield* times(1_000, breaker.execute(Effect.void))
      assert.isUndefined(hung.ended())
    })
)

it.effect(
  "the timeout of the pipeline is the lease of its probes, and one that is shorter is refused (effect 4.1 leaves it to its reader; C1)",
  () =>
    Effect.gen(function* () {
      const policies = { timeout: "30 seconds", circuitBreaker: fragile } as const
      const api = yield* Resilience.make("api", policies)
      yield* Effect.exit(api.resilient(Effect.fail("down"), "a"))
      yield* TestClock.adjust(openDuration)
      const probe = yield* Effect.forkChild(Effect.exit(api.resilient(Effect.never, "a")))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(outcomeOf(yield* Fiber.join(probe)), "TimeoutExceeded")
      yield* TestClock.adjust(openDuration)
      yield* api.resilient(Effect.void, "a")
      const circuitBreaker = CircuitBreaker.policy({
        tripPolicy: CircuitBreaker.consecutive(1),
        openDuration,
        probes: { lease: "29 seconds" }
      })
      assert.throws(() => Resilience.make("api", { ...policies, circuitBreaker }), Rejection.InvalidPolicyError)
    })
)

/** A store elsewhere that answers, or never does. */
const flaky = Effect.gen(function* () {
  const store = yield* Store.Store
  const link = { stalled: false }
  const through = <A, E>(self: Effect.Effect<A, E>) => Effect.suspend(() => (link.stalled ? Effect.never : self))
  const remote = RemoteStore.make({
    commit: (steps) => through(store.commit(steps)),
    read: (space, key) => through(store.read(space, key)),
    clear: (space) => through(store.clear(space))
  })
  return { link, layer: Layer.succeed(Store.Store, remote) }
}).pipe(Effect.provide(Store.layerMemory))

const shared = (onError: "allow" | "local" | "fail", deadline: "1 second" | "1 hour") =>
  Resilience.makeFromStore("api", { circuitBreaker: fragile, store: { onError, deadline } })

it.effect(
  "a caller may leave a call whose admission is stalled in the store (effect 4.1: still blocked an hour later; C2)",
  () =>
    Effect.gen(function* () {
      const { layer, link } = yield* flaky
      const api = yield* Effect.provide(shared("allow", "1 hour"), layer)
      link.stalled = true
      const caller = yield* Effect.forkChild(Effect.timeoutOption(api.resilient(Effect.void, "a"), "1 second"))
      yield* TestClock.adjust("1 second")
      const exit = caller.pollUnsafe()
      assert.isTrue(exit !== undefined && Exit.isSuccess(exit) && exit.value._tag === "None")
    })
)

for (const [onError, outcome] of [
  ["allow", "success"],
  ["local", "success"],
  ["fail", "StoreError"]
] as const) {
  it.effect(
    `a stalled store is asked until its deadline, then onError "${onError}" answers (effect 4.1: it never fires; C2)`,
    () =>
      Effect.gen(function* () {
        const { layer, link } = yield* flaky
        const api = yield* Effect.provide(shared(onError, "1 second"), layer)
        link.stalled = true
        const caller = yield* Effect.forkChild(Effect.exit(api.resilient(Effect.void, "a")))
        // one deadline to be admitted, and one to report
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(outcomeOf(yield* Fiber.join(caller)), outcome)
      })
  )
}

it.effect(
  "a report that is stalled in the store holds its call no longer than the deadline (effect 4.1: for ever; C2)",
  () =>
    Effect.gen(function* () {
      const { layer, link } = yield* flaky
      const api = yield* Effect.provide(shared("fail", "1 second"), layer)
      const caller = yield* inFlight((self) => api.resilient(self, "a"))
      yield* settle
      link.stalled = true
      const ended = yield* Effect.forkChild(caller.succeed)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(outcomeOf(yield* Fiber.join(ended)), "success")
    })
)

it.effect("failures of an hour ago do not count, and no success opens a circuit (effect 4.1: success 5 does; C3)", () =>
  Effect.gen(function* () {
    for (const window of [{ calls: 10 }, "1 minute"] as const) {
      const breaker = yield* CircuitBreaker.make(
        CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.failureRate({ threshold: 0.5, window, minimumCalls: 10 }),
          openDuration
        })
      )
      yield* times(5, trip(breaker))
      yield* TestClock.adjust("59 minutes")
      yield* times(5, breaker.execute(Effect.void))
      const { state, windows } = yield* breaker.state()
      assert.strictEqual(state, "Closed")
      assert.deepStrictEqual(windows, [window === "1 minute" ? { calls: 5, bad: 0 } : { calls: 10, bad: 5 }])
    }
  })
)

it.effect(
  "an error that says nothing about the dependency is not counted where classify says so (effect 4.1: five NotFound open; C4)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(fragile)
      const notFound = Effect.fail({ _tag: "NotFound" } as const)
      const classify = (exit: Exit.Exit<never, { _tag: "NotFound" }>) => (Exit.isSuccess(exit) ? "success" : "ignored")
      yield* times(5, Effect.exit(breaker.execute(notFound, "a", { classify })))
      assert.strictEqual(yield* stateOf(breaker), "Closed")
      yield* Effect.exit(breaker.execute(notFound, "a"))
      assert.strictEqual(yield* stateOf(breaker), "Open", "by default it counts")
    })
)

it.effect("calls that hang open the circuit by the timeouts of the pipeline (effect 4.1: closed after 500; C4)", () =>
  Effect.gen(function* () {
    for (const timeouts of [{ timeout: "1 second" }, { attemptTimeout: "1 second" }] as const) {
      const api = yield* Resilience.make("api", {
        ...timeouts,
        circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration })
      })
      const callers = yield* times(5, Effect.forkChild(Effect.exit(api.resilient(Effect.never, "a"))))
      yield* TestClock.adjust("1 second")
      yield* Fiber.awaitAll(callers)
      assert.strictEqual((yield* api.inspect("a")).circuitBreaker?.state, "Open")
    }
  })
)

it.effect(
  "an operator can isolate, close and reset a circuit (effect 4.1: execute, state and transitions only; C4)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(fragile)
      yield* breaker.isolate()
      yield* TestClock.adjust("1 day")
      const refused = yield* Effect.flip(breaker.execute(Effect.void))
      assert.deepStrictEqual([refused.state, refused.retryAfterMillis], ["Isolated", undefined])
      yield* breaker.close()
      yield* breaker.execute(Effect.void)
      yield* trip(breaker)
      yield* breaker.reset()
      yield* breaker.execute(Effect.void)
    })
)

const slow = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.slowCallRate({
    slowAfter: "10 seconds",
    threshold: 0.5,
    window: { calls: 20 },
    minimumCalls: 20
  }),
  openDuration
})

it.effect(
  "twenty successful calls of 55 s each open the circuit, and when they have run for 10 s (effect 4.1: closed; resilience4j#1597; C5)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(slow)
      const callers = yield* times(20, Effect.forkChild(breaker.execute(Effect.sleep("55 seconds"))))
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(yield* stateOf(breaker), "Closed")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* stateOf(breaker), "Open", "none of them has ended")
      yield* TestClock.adjust("46 seconds")
      yield* Fiber.joinAll(callers)

      const another = yield* CircuitBreaker.make(slow)
      for (let i = 0; i < 20; i++) {
        const caller = yield* Effect.forkChild(another.execute(Effect.sleep("55 seconds")))
        yield* TestClock.adjust("55 seconds")
        yield* Fiber.join(caller)
      }
      assert.strictEqual(yield* stateOf(another), "Open")
    })
)

it.effect(
  "a recovering dependency meets probes, then what the limits permit: not a thousand calls (effect 4.1: 1,000 in flight; C5)",
  () =>
    Effect.gen(function* () {
      const api = yield* Resilience.make("api", {
        circuitBreaker: CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.consecutive(1),
          openDuration,
          probes: { permitted: 3 }
        }),
        rateLimiter: RateLimiter.shared(RateLimiter.tokenBucket({ limit: 10, window: "1 second", burst: 5 }))
      })
      yield* Effect.exit(api.resilient(Effect.fail("down"), "a"))
      yield* TestClock.adjust(openDuration)
      const { counts, effect } = counted(Effect.sleep("1 second"))
      const crowd = times(1_000, Effect.forkChild(Effect.exit(api.resilient(effect, "a"))))
      yield* crowd
      yield* settle
      assert.strictEqual(counts.running, 3)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* api.inspect("a")).circuitBreaker?.state, "Closed")
      yield* crowd
      yield* settle
      assert.strictEqual(counts.running, 5)
      yield* TestClock.adjust("1 second")
    })
)

it.effect(
  "a sink hears of every transition, and a slow subscriber is told how many it missed (effect 4.1: 145 of 1,000; C6)",
  () =>
    Effect.gen(function* () {
      const seen: Array<Event.Event | EventStream.Dropped> = []
      const openings = Effect.gen(function* () {
        const breaker = yield* CircuitBreaker.make(
          CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration, by: "key" })
        )
        const subscriber = EventStream.events({ only: ["CircuitTransition"] }).pipe(
          Stream.runForEach((event) =>
            Effect.andThen(
              Effect.sleep(1),
              Effect.sync(() => void seen.push(event))
            )
          )
        )
        yield* Effect.forkChild(subscriber)
        yield* settle
        for (let i = 0; i < 1_000; i++) {
          yield* Effect.exit(breaker.execute(Effect.fail("down"), `circuit ${i}`))
          if (i % 100 === 0) yield* settle
        }
        yield* TestClock.adjust("10 seconds")
      })
      const { events, record } = recorded()
      yield* record(openings.pipe(Effect.provide(EventStream.layer({ capacity: 128 }))))
      assert.strictEqual(events.filter(({ _tag }) => _tag === "CircuitTransition").length, 1_000)
      const told = seen.reduce((sum, event) => sum + (event._tag === "Dropped" ? event.count : 1), 0)
      assert.strictEqual(told, 1_000)
      assert.isTrue(seen.some(({ _tag }) => _tag === "Dropped"))
    })
)

it.effect("calls, rejections and transitions are counted in Effect's metrics (effect 4.1: 0 metrics; C7)", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(fragile)
    yield* trip(breaker)
    yield* times(2, trip(breaker))
    const counts = (yield* Metric.snapshot).flatMap((metric) =>
      metric.type === "Counter" ? [[metric.id, metric.state.count]] : []
    )
    assert.sameDeepMembers(counts, [
      ["resilience_calls_total", 1],
      ["resilience_calls_total", 2],
      ["resilience_attempts_total", 1],
      ["resilience_rejections_total", 2],
      ["resilience_circuit_transitions_total", 1]
    ])
  }).pipe(Effect.provide(Telemetry.layer({ logs: false })), Effect.provideService(Metric.MetricRegistry, new Map()))
)

it.effect("a half-open circuit tells when to try again, and that time is right (effect 4.1 has none; C8)", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(fragile)
    yield* trip(breaker)
    yield* TestClock.adjust(openDuration)
    yield* inFlight((self) => breaker.execute(self))
    const { retryAfterMillis, state } = yield* Effect.flip(breaker.execute(Effect.void))
    assert.deepStrictEqual([state, retryAfterMillis], ["HalfOpen", 65_000])
    yield* TestClock.adjust("64999 millis")
    assert.strictEqual(outcomeOf(yield* Effect.exit(breaker.execute(Effect.void))), "CircuitOpen")
    yield* TestClock.adjust(1)
    yield* breaker.execute(Effect.void)
  })
)

it.effect("two breakers of one name, key and store are two circuits (effect 4.1 checks nothing; C8)", () =>
  Effect.gen(function* () {
    const store = yield* Store.Store
    const strict = yield* breakerOn(store, fragile)
    const patient = yield* breakerOn(
      store,
      CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration })
    )
    yield* trip(strict)
    assert.strictEqual(yield* stateOf(strict), "Open")
    assert.deepInclude(yield* patient.state(), { state: "Closed", windows: [{ calls: 0, bad: 0 }] })
  }).pipe(Effect.provide(Store.layerMemory))
)
