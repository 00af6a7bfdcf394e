/**
 * Circuit breaker: bugs of other libraries, shown not to be here. Numbers are those of the table of pitfalls.
 *
 * Of that table, these cannot apply here:
 * - 13: there is no such row. 15, 16, 17: there is no client throttle and no budget or partition.
 * - 25, 26: no hedging. 27, 28, 29, 30: no adaptive concurrency limit.
 * - the rest is in limiter.test.ts (11, 12, 14, 18, 22, 23, 24, 34, 35, 36, 37) and neighbours.test.ts (31).
 */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, pipe } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, CircuitBreaker, Event, RateLimiter, Rejection, Resilience } from "../../src/index.ts"
import { counted, inFlight, outcomeOf, recorded, settle, times } from "./support.ts"

const openDuration = "10 seconds"
/** Opens at the first failure. */
const fragile = (probes?: CircuitBreaker.Options["probes"]) =>
  CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration, probes })

const run =
  (breaker: CircuitBreaker.CircuitBreakerService) =>
  <E>(self: Effect.Effect<void, E>) =>
    breaker.execute(self)
const stateOf = (breaker: CircuitBreaker.CircuitBreakerService) => Effect.map(breaker.state(), ({ state }) => state)
const trip = (breaker: CircuitBreaker.CircuitBreakerService) => Effect.exit(breaker.execute(Effect.fail("down")))
/** Opens the circuit, and waits until it lets probes through. */
const halfOpen = (breaker: CircuitBreaker.CircuitBreakerService) =>
  Effect.andThen(trip(breaker), TestClock.adjust(openDuration))

it.effect(
  "late successes of calls admitted before the trip do not close the half-open circuit (resilience4j, failsafe, Polly, Kevlar, Hystrix, opossum; pitfall 1)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(fragile({ permitted: 2, required: 2 }))
      const late = yield* times(2, inFlight(run(breaker)))
      yield* halfOpen(breaker)
      const probe = yield* inFlight(run(breaker))
      for (const call of late) assert.deepStrictEqual(yield* call.succeed, Exit.void)
      assert.strictEqual(yield* stateOf(breaker), "HalfOpen")
      assert.strictEqual((yield* breaker.state()).probesInFlight, 1)
      yield* probe.succeed
      assert.strictEqual(yield* stateOf(breaker), "HalfOpen", "one of two")
      yield* breaker.execute(Effect.void)
      assert.strictEqual(yield* stateOf(breaker), "Closed", "two of two")
    })
)

it.effect("a late failure of a call admitted before the trip does not reopen the half-open circuit (pitfall 1)", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(fragile())
    const late = yield* inFlight(run(breaker))
    yield* halfOpen(breaker)
    yield* late.fail
    assert.strictEqual(yield* stateOf(breaker), "HalfOpen")
  })
)

it.effect("a late failure does not count in the circuit that closed meanwhile (pitfall 1)", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(fragile())
    const late = yield* inFlight(run(breaker))
    yield* halfOpen(breaker)
    yield* breaker.execute(Effect.void)
    yield* late.fail
    assert.strictEqual(yield* stateOf(breaker), "Closed")
  })
)

it.effect("late releases add no probe permits (resilience4j, failsafe#391, failsafe-go; pitfall 2)", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(fragile({ permitted: 2 }))
    const late = yield* times(6, inFlight(run(breaker)))
    yield* halfOpen(breaker)
    const { counts, effect } = counted(Effect.never)
    const first = yield* times(2, Effect.forkChild(breaker.execute(effect)))
    yield* settle
    assert.strictEqual(counts.begun, 2)
    for (const [i, call] of late.entries()) yield* [call.succeed, call.fail, call.interrupt][i % 3]!
    const more = yield* times(10, Effect.forkChild(breaker.execute(effect)))
    yield* settle
    assert.strictEqual(counts.begun, 2)
    yield* Fiber.interruptAll([...first, ...more])
  })
)

it.effect("a late success does not close an open circuit (davenverse/circuit; pitfall 3)", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(fragile())
    const late = yield* inFlight(run(breaker))
    yield* trip(breaker)
    yield* TestClock.adjust("5 seconds")
    yield* late.succeed
    const { retryAfterMillis, state } = yield* breaker.state()
    assert.deepStrictEqual([state, retryAfterMillis], ["Open", 5_000])
  })
)

it.effect(
  "a hung probe counts as failed when its lease ends, and the circuit recovers (resilience4j, failsafe, Polly, gobreaker, OmniRoute#13836; pitfall 4)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(fragile({ lease: "1 minute" }))
      yield* halfOpen(breaker)
      const hung = yield* inFlight(run(breaker))
      const refused = yield* Effect.flip(breaker.execute(Effect.void))
      assert.instanceOf(refused, Rejection.CircuitOpen)
      assert.deepStrictEqual([refused.state, refused.retryAfterMillis], ["HalfOpen", 70_000])
      yield* TestClock.adjust("69999 millis")
      assert.strictEqual(yield* stateOf(breaker), "Open")
      yield* TestClock.adjust(1)
      const probe = yield* inFlight(run(breaker))
      yield* hung.succeed
      assert.deepInclude(yield* breaker.state(), { state: "HalfOpen", probesInFlight: 1 }, "it is nobody's any more")
      yield* probe.succeed
      assert.strictEqual(yield* stateOf(breaker), "Closed")
    })
)

it.effect(
  "a probe that hangs for six days without a lease of its own wedges nothing (OmniRoute#13836, nora#607; pitfall 4)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(fragile())
      yield* halfOpen(breaker)
      const hung = yield* inFlight(run(breaker))
      yield* TestClock.adjust("6 days")
      assert.isUndefined(hung.ended())
      yield* times(100, breaker.execute(Effect.void))
      yield* hung.interrupt
    })
)

it.effect("an interrupted probe gives its permit back (Hystrix PR 1621, rezilience#521; pitfall 5)", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(fragile())
    yield* halfOpen(breaker)
    const probe = yield* inFlight(run(breaker))
    assert.strictEqual(outcomeOf(yield* Effect.exit(breaker.execute(Effect.void))), "CircuitOpen")
    yield* probe.interrupt
    yield* breaker.execute(Effect.void)
    assert.strictEqual(yield* stateOf(breaker), "Closed")
  })
)

it.effect("a cancelled probe decides nothing: the circuit neither closes nor opens (Polly v8; pitfall 6)", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(fragile())
    yield* halfOpen(breaker)
    yield* Effect.flatMap(inFlight(run(breaker)), ({ interrupt }) => interrupt)
    const { probesInFlight, state } = yield* breaker.state()
    assert.deepStrictEqual([state, probesInFlight], ["HalfOpen", 0])
  })
)

it.effect(
  "a probe that another policy of the pipeline refuses is not spent (Sentinel#1638, resilience4j#544; pitfall 7)",
  () =>
    Effect.gen(function* () {
      const api = yield* Resilience.make("api", {
        circuitBreaker: fragile(),
        rateLimiter: RateLimiter.fixedWindow({ limit: 1, window: "1 minute" }),
        bulkhead: Bulkhead.policy({ maxConcurrent: 1 })
      })
      const slow = yield* inFlight((self) => api.resilient(self, "a"))
      const outcome = (key: string) => Effect.map(Effect.exit(api.resilient(Effect.void, key)), outcomeOf)
      yield* slow.fail // opens
      yield* TestClock.adjust(openDuration)
      assert.strictEqual(yield* outcome("a"), "RateLimitExceeded")
      assert.strictEqual((yield* api.inspect("a")).circuitBreaker?.probesInFlight, 0)
      assert.strictEqual(yield* outcome("b"), "success")
      assert.strictEqual((yield* api.inspect("a")).circuitBreaker?.state, "Closed")
    })
)

it.effect(
  "a probe that a service inside of it refuses gives its permit back (Sentinel#1638, resilience4j#544; pitfall 7)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(fragile())
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 1, window: "1 minute" }))
      yield* limiter.allow("a")
      yield* halfOpen(breaker)
      const inner = pipe(Effect.void, limiter.execute("a"), breaker.execute())
      assert.strictEqual(outcomeOf(yield* Effect.exit(inner)), "RateLimitExceeded")
      assert.deepInclude(yield* breaker.state(), { state: "HalfOpen", probesInFlight: 0 })
      yield* breaker.execute(Effect.void)
      assert.strictEqual(yield* stateOf(breaker), "Closed")
    })
)

it.effect("a defect counts as a failure, in a closed circuit and of a probe (rezilience#482; pitfall 8)", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(fragile())
    const dies = Effect.exit(breaker.execute(Effect.die("bug")))
    assert.deepStrictEqual(yield* dies, Exit.die("bug"))
    assert.strictEqual(yield* stateOf(breaker), "Open")
    yield* TestClock.adjust(openDuration)
    assert.deepStrictEqual(yield* dies, Exit.die("bug"))
    assert.strictEqual(yield* stateOf(breaker), "Open", "the probe failed")
    yield* TestClock.adjust(openDuration)
    yield* breaker.execute(Effect.void)
    assert.strictEqual(yield* stateOf(breaker), "Closed")
  })
)

it.effect("classify is asked in a half-open circuit as in a closed one (rezilience#325, #314; pitfall 9)", () =>
  Effect.gen(function* () {
    const api = yield* Resilience.make("api", {
      circuitBreaker: fragile(),
      classify: (exit) => (Exit.isFailure(exit) && outcomeOf(exit) === "failure" ? "failure" : "success")
    })
    const notFound = Effect.exit(api.resilient(Effect.fail({ _tag: "NotFound" }), "a"))
    const state = Effect.map(api.inspect("a"), ({ circuitBreaker }) => circuitBreaker?.state)
    yield* notFound
    assert.strictEqual(yield* state, "Closed")
    yield* Effect.exit(api.resilient(Effect.fail("down"), "a"))
    assert.strictEqual(yield* state, "Open")
    yield* TestClock.adjust(openDuration)
    yield* notFound
    assert.strictEqual(yield* state, "Closed", "the probe succeeded, as its call says")
  })
)

it.effect(
  "no more than the permitted probes run at once, however many callers come (Polly#216, OpenLiberty#7080, tower PR #855, safe-client-gateway#3442; pitfall 10)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(fragile({ permitted: 3 }))
      yield* halfOpen(breaker)
      const { counts, effect } = counted(Effect.sleep("1 second"))
      const callers = yield* times(1_000, Effect.forkChild(Effect.exit(breaker.execute(effect))))
      yield* TestClock.adjust("1 second")
      const outcomes = (yield* Effect.forEach(callers, Fiber.join)).map(outcomeOf)
      assert.strictEqual(counts.peak, 3)
      assert.strictEqual(outcomes.filter((outcome) => outcome === "CircuitOpen").length, 997)
      assert.strictEqual(yield* stateOf(breaker), "Closed")
    })
)

it.effect(
  "probes that ended count among the permitted, and one that was left does not (failsafe#391, Polly#2381)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(fragile({ permitted: 3, required: 3 }))
      yield* halfOpen(breaker)
      const left = yield* inFlight(run(breaker))
      yield* times(2, breaker.execute(Effect.void))
      assert.strictEqual(outcomeOf(yield* Effect.exit(breaker.execute(Effect.void))), "CircuitOpen")
      yield* left.interrupt
      yield* breaker.execute(Effect.void)
      assert.strictEqual(yield* stateOf(breaker), "Closed")
    })
)

it.effect(
  "outcomes age on the clock in use, also where no call comes for an hour (resilience4j's lock-free window; pitfall 19)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(
        CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.failureRate({ threshold: 0.5, window: "5 seconds", minimumCalls: 4 }),
          openDuration
        })
      )
      yield* times(3, trip(breaker))
      yield* TestClock.adjust("1 hour")
      yield* trip(breaker)
      assert.deepInclude(yield* breaker.state(), { state: "Closed", windows: [{ calls: 1, bad: 1 }] })
    })
)

it.effect(
  "a wall clock that steps changes neither the opening nor the window (resilience4j, circuit, Hystrix; pitfall 20)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(fragile())
      yield* TestClock.setTime(7_200_000)
      yield* trip(breaker)
      yield* TestClock.setTime(3_600_000) // an hour back
      assert.deepInclude(yield* breaker.state(), { state: "Open", retryAfterMillis: 10_000 })
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(yield* stateOf(breaker), "Open")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* stateOf(breaker), "HalfOpen")
      assert.isBelow(yield* Clock.currentTimeMillis, 7_200_000)
    })
)

it.effect(
  "a threshold that is overshot trips as well: failures in flight at once, and a rate reached by a success (rezilience; pitfall 21)",
  () =>
    Effect.gen(function* () {
      const three = yield* CircuitBreaker.make(
        CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(3), openDuration })
      )
      for (const call of yield* times(10, inFlight(run(three)))) yield* call.fail
      assert.deepInclude(yield* three.state(), { state: "Open", retryAfterMillis: 10_000 })

      const half = yield* CircuitBreaker.make(
        CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.failureRate({ threshold: 0.5, window: { calls: 100 }, minimumCalls: 10 }),
          openDuration
        })
      )
      yield* times(9, trip(half))
      yield* half.execute(Effect.void)
      assert.deepInclude(
        yield* half.state(),
        { state: "Closed", windows: [{ calls: 10, bad: 9 }] },
        "a success trips nothing"
      )
      yield* trip(half)
      assert.strictEqual(yield* stateOf(half), "Open", "10 of 11 is more than half")
    })
)

it.effect("a refusal carries no stack (Polly; effect 4.1; pitfall 32)", () =>
  Effect.gen(function* () {
    const api = yield* Resilience.make("api", {
      circuitBreaker: fragile(),
      rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 minute" }),
      bulkhead: Bulkhead.policy({ maxConcurrent: 1 })
    })
    const slow = yield* inFlight((self) => api.resilient(self, "slow"))
    const errors = [yield* Effect.flip(api.resilient(Effect.void, "a"))]
    errors.push(yield* Effect.flip(api.resilient(Effect.void, "slow")))
    yield* slow.fail
    errors.push(yield* Effect.flip(api.resilient(Effect.void, "a")))
    assert.deepStrictEqual(
      errors.map(({ _tag }) => _tag),
      ["BulkheadFull", "RateLimitExceeded", "CircuitOpen"]
    )
    for (const error of errors) {
      assert.instanceOf(error, Error)
      assert.strictEqual(error.stack, `${error._tag}: ${error.message}`)
    }
  })
)

it.effect(
  "a listener sees the state that its transition led to, and may use the breaker itself (failsafe-go; pitfall 33)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(fragile())
      const seen: Array<readonly [to: string, state: string]> = []
      const sink: Event.Sink = (event, fiber) => {
        if (event._tag !== "CircuitTransition") return
        seen.push([event.to, Effect.runSyncWith(fiber.context)(stateOf(breaker))])
        Effect.runSyncWith(fiber.context)(Effect.exit(breaker.execute(Effect.fail("from the listener"))))
      }
      yield* halfOpen(breaker).pipe(
        Effect.andThen(breaker.execute(Effect.void)),
        Effect.provideService(Event.EventSink, sink)
      )
      assert.deepStrictEqual(seen.slice(0, 3), [
        ["Open", "Open"],
        ["HalfOpen", "HalfOpen"],
        ["Closed", "Closed"]
      ])
    })
)

it.effect(
  "a timeout of the pipeline is a failure of the dependency, one of its caller is an interruption (all; pitfall 38)",
  () =>
    Effect.gen(function* () {
      const { events, record } = recorded()
      const outside = yield* Resilience.make("outside", { circuitBreaker: fragile() })
      const inside = yield* Resilience.make("inside", { circuitBreaker: fragile(), timeout: "1 second" })
      const left = yield* Effect.forkChild(
        record(Effect.timeoutOption(outside.resilient(Effect.never, "a"), "1 second"))
      )
      const timedOut = yield* Effect.forkChild(record(Effect.exit(inside.resilient(Effect.never, "a"))))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(left))._tag, "None")
      assert.strictEqual(outcomeOf(yield* Fiber.join(timedOut)), "TimeoutExceeded")
      assert.strictEqual((yield* outside.inspect("a")).circuitBreaker?.state, "Closed")
      assert.strictEqual((yield* inside.inspect("a")).circuitBreaker?.state, "Open")
      const told = events.flatMap((event) =>
        event._tag === "CallEnded" ? [[event.service, event.outcome, event.timedOut]] : []
      )
      assert.sameDeepMembers(told, [
        ["outside", "ignored", false],
        ["inside", "failure", true]
      ])
    })
)
