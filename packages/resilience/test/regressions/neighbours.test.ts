/**
 * Bugs of the Promise-based neighbours in calls, retries and circuits, shown not to be here.
 * Those in their limiters and queues are in neighbours-limits.test.ts.
 *
 * What cannot apply here, or stands elsewhere:
 * - cockatiel#73, opossum#1, #2, #5 (half-open, hung probe, success before the trip): breaker.test.ts (1 to 6, 10).
 * - cockatiel#88, #63, mollitia's Cache: there is no cache policy. cockatiel#89, opossum#4: stores have packages of their own.
 * - cockatiel's half-open queue: a half-open circuit has no queue, it refuses.
 * - opossum's healthCheck and shutdown: there is no health check, no interval, and nothing to shut down.
 * - p-retry#27, #30 (async callbacks): `while` and `retryAfter` are plain functions; what they throw is a law of its own.
 * - AbortSignal listeners (cockatiel, p-retry): none is ever added, interruption needs none. Timers are counted below.
 * - mollitia's global arrays, `off()` and Fallback: there is no registry, no listener to remove, and no fallback policy.
 * - pitfalls 25, 26 (hedges) and the others named in breaker.test.ts.
 */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Resilience, Retry } from "../../src/index.ts"
import { drawing } from "../failing.ts"
import { breakerOn, spied } from "../state/support.ts"
import { counted, countedTimers, inFlight, outcomeOf, recorded, settle, times } from "./support.ts"

const fragile = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "10 seconds" })
const everything = {
  timeout: "5 seconds",
  attemptTimeout: "2 seconds",
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "10 seconds" }),
  rateLimiter: RateLimiter.tokenBucket({ limit: 10, window: "1 second", maxWait: "2 seconds" }),
  bulkhead: Bulkhead.policy({ maxConcurrent: 10, maxWait: "2 seconds" }),
  retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("500 millis") })
} as const

it.effect("a caller that leaves is reported as interrupted, not as timed out (cockatiel#99)", () =>
  Effect.gen(function* () {
    const { events, record } = recorded()
    const api = yield* Resilience.make("api", everything)
    const caller = yield* Effect.forkChild(record(api.resilient(Effect.never, "a")))
    yield* settle
    yield* Fiber.interrupt(caller)
    assert.strictEqual(outcomeOf(yield* Fiber.await(caller)), "interrupted")
    yield* TestClock.adjust("5 seconds")
    const [attempt, call] = events.filter(({ _tag }) => _tag === "AttemptEnded" || _tag === "CallEnded")
    assert.deepInclude(attempt, { _tag: "AttemptEnded", result: "interrupt" })
    assert.deepInclude(call, { _tag: "CallEnded", outcome: "ignored", timedOut: false })
    assert.deepInclude((yield* api.inspect("a")).circuitBreaker, { windows: [{ calls: 0, bad: 0 }] })
  })
)

it.effect("an interruption ends a backoff at once, and the effect is not run again (cockatiel#25, p-retry#97)", () =>
  Effect.gen(function* () {
    const { counting, timers } = yield* countedTimers
    const policy = Retry.policy({ maxAttempts: 5, backoff: Backoff.constant("500 millis") })
    const { counts, effect } = counted(Effect.fail("down"))
    const pipeline = yield* Resilience.make("api", { ...everything, retry: policy })
    const unguarded = yield* Resilience.make("api", { retry: policy })
    const alone = yield* Retry.make(policy)
    for (const call of [pipeline.resilient(effect, "a"), unguarded.resilient(effect, "a"), alone.execute(effect)]) {
      counts.begun = 0
      const caller = yield* Effect.forkChild(counting(call))
      yield* settle
      yield* TestClock.adjust("20 millis")
      yield* Fiber.interrupt(caller)
      yield* settle
      assert.strictEqual(outcomeOf(caller.pollUnsafe()), "interrupted")
      assert.strictEqual(timers.pending, 0)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(counts.begun, 1)
    }
  })
)

it.effect(
  "no timer outlives its call, whether it succeeds, fails, times out or is left (cockatiel#81, #82, #69, p-retry#71, p-throttle#14)",
  () =>
    Effect.gen(function* () {
      const { counting, timers } = yield* countedTimers
      const api = yield* Resilience.make("api", {
        ...everything,
        circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(100), openDuration: "1 second" })
      })
      const lives: ReadonlyArray<readonly [millis: number, outcome: string, body: Effect.Effect<unknown, string>]> = [
        [10, "success", Effect.sleep("10 millis")],
        [1_030, "failure", Effect.andThen(Effect.sleep("10 millis"), Effect.fail("down"))],
        [5_000, "TimeoutExceeded", Effect.never]
      ]
      for (const [millis, outcome, body] of lives) {
        const callers = yield* times(20, Effect.forkChild(counting(api.resilient(body, outcome))))
        yield* settle
        yield* Fiber.interruptAll(callers.slice(10))
        yield* TestClock.adjust(millis)
        yield* settle
        for (const caller of callers.slice(0, 10)) assert.strictEqual(outcomeOf(caller.pollUnsafe()), outcome)
        assert.strictEqual(timers.pending, 0, outcome)
      }
      assert.isAbove(timers.begun, 0)
      assert.deepStrictEqual((yield* api.inspect("a")).bulkhead, { running: 0, queued: 0, free: 10 })
    })
)

it.effect("a call that ends synchronously and waits for nothing sets no timer (p-throttle#43, async-sema#30)", () =>
  Effect.gen(function* () {
    const { counting, timers } = yield* countedTimers
    const api = yield* Resilience.make("api", everything)
    yield* counting(times(10, api.resilient(Effect.void, "a")))
    assert.strictEqual(timers.begun, 0)
  })
)

it.effect("ten thousand idle circuits have no timer, open as they are (opossum#378, #719, #635: 17 % of a core)", () =>
  Effect.gen(function* () {
    const { counting, timers } = yield* countedTimers
    const breaker = yield* CircuitBreaker.make(
      CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "10 seconds", by: "key" })
    )
    for (let i = 0; i < 10_000; i++) yield* counting(Effect.exit(breaker.execute(Effect.fail("down"), `circuit ${i}`)))
    assert.strictEqual(timers.begun, 0)
    assert.strictEqual((yield* breaker.state("circuit 0")).state, "Open")
  })
)

it.effect(
  "circuits of keys that nobody uses are forgotten where the policy says so (opossum#363, mollitia: 10,000 kept)",
  () =>
    Effect.gen(function* () {
      const { size, store } = yield* spied
      const policy = { openDuration: "1 second", by: "key", idleTimeToLive: "1 hour" } as const
      const breaker = yield* breakerOn(
        store,
        CircuitBreaker.policy({ ...policy, tripPolicy: CircuitBreaker.consecutive(1) })
      )
      for (let i = 0; i < 2_000; i++) yield* Effect.exit(breaker.execute(Effect.fail("down"), `circuit ${i}`))
      assert.strictEqual(size(), 2_000)
      yield* TestClock.adjust("2 hours")
      for (let i = 0; i < 10_000; i++) yield* Effect.exit(breaker.execute(Effect.fail("down"), "another"))
      assert.isAtMost(size(), 1)
    })
)

it.effect("one call's timeout ends that call alone (opossum#780, #861: it aborts a neighbour)", () =>
  Effect.gen(function* () {
    const api = yield* Resilience.make("api", { timeout: "1 second", circuitBreaker: everything.circuitBreaker })
    const first = yield* Effect.forkChild(api.resilient(Effect.never, "a"))
    yield* TestClock.adjust("900 millis")
    const neighbour = yield* Effect.forkChild(api.resilient(Effect.as(Effect.sleep("900 millis"), "done"), "a"))
    yield* TestClock.adjust("100 millis")
    assert.strictEqual(outcomeOf(first.pollUnsafe()), "TimeoutExceeded")
    assert.isUndefined(neighbour.pollUnsafe())
    yield* TestClock.adjust("800 millis")
    assert.deepStrictEqual(neighbour.pollUnsafe(), Exit.succeed("done"))
  })
)

it.effect(
  "a timeout interrupts what it gives up, and waits for its finalizers (mollitia: it does not cancel; bottleneck#181: slot lost)",
  () =>
    Effect.gen(function* () {
      const api = yield* Resilience.make("api", {
        attemptTimeout: "1 second",
        bulkhead: Bulkhead.policy({ maxConcurrent: 1 })
      })
      const { counts, effect } = counted(Effect.never)
      const caller = yield* Effect.forkChild(api.resilient(Effect.ensuring(effect, Effect.sleep("1 second")), "a"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(counts.running, 0)
      assert.isUndefined(caller.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(outcomeOf(caller.pollUnsafe()), "TimeoutExceeded")
      const dies = yield* Effect.forkChild(api.resilient(Effect.ensuring(effect, Effect.die("in a finalizer")), "a"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(outcomeOf(yield* Fiber.await(dies)), "failure")
      assert.deepStrictEqual((yield* api.inspect("a")).bulkhead, { running: 0, queued: 0, free: 1 })
    })
)

it.effect("refusals for want of capacity do not open the circuit (opossum: 20 callers on 5 slots do)", () =>
  Effect.gen(function* () {
    const policies = { circuitBreaker: fragile, bulkhead: Bulkhead.policy({ maxConcurrent: 5 }) }
    const api = yield* Resilience.make("api", policies)
    const callers = yield* times(20, Effect.forkChild(Effect.exit(api.resilient(Effect.sleep("1 second"), "a"))))
    yield* TestClock.adjust("1 second")
    const outcomes = (yield* Fiber.joinAll(callers)).map(outcomeOf)
    assert.strictEqual(outcomes.filter((outcome) => outcome === "BulkheadFull").length, 15)
    const limited = yield* Resilience.make("limited", {
      circuitBreaker: fragile,
      rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 minute" })
    })
    yield* times(20, Effect.exit(limited.resilient(Effect.void, "a")))
    for (const service of [api, limited]) {
      assert.strictEqual((yield* service.inspect("a")).circuitBreaker?.state, "Closed")
    }
  })
)

it.effect(
  "an idle hour is an hour: failures before it do not trip a ten-second window after it (cockatiel's SamplingBreaker; opossum#558)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(
        CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.failureRate({ threshold: 0.5, window: "10 seconds", minimumCalls: 200 }),
          openDuration: "10 seconds"
        })
      )
      const fails = Effect.exit(breaker.execute(Effect.fail("down")))
      yield* times(100, fails)
      yield* TestClock.adjust("1 hour")
      yield* times(10, breaker.execute(Effect.void))
      yield* fails
      assert.deepInclude(yield* breaker.state(), { state: "Closed", windows: [{ calls: 11, bad: 1 }] })
    })
)

it.effect(
  "the first failure does not open a circuit by rate, where nothing is said of a minimum (opossum#217, #232, #288)",
  () =>
    Effect.gen(function* () {
      const tripPolicy = CircuitBreaker.failureRate({ threshold: 0.01, window: { calls: 100 } })
      const breaker = yield* CircuitBreaker.make(CircuitBreaker.policy({ tripPolicy, openDuration: "10 seconds" }))
      const fails = Effect.exit(breaker.execute(Effect.fail("down")))
      yield* times(19, fails)
      assert.strictEqual((yield* breaker.state()).state, "Closed")
      yield* fails
      assert.strictEqual((yield* breaker.state()).state, "Open")
    })
)

it.effect("a circuit is seen half-open when its time has come, also if nobody called (cockatiel#91)", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(fragile)
    yield* Effect.exit(breaker.execute(Effect.fail("down")))
    yield* TestClock.adjust("10 seconds")
    assert.deepInclude(yield* breaker.state(), { state: "HalfOpen", retryAfterMillis: 0 })
  })
)

it.effect("the order of the fields of the policies means nothing (cockatiel#107, #36, #19, resilience4j#614)", () =>
  Effect.gen(function* () {
    const reversed = Object.fromEntries(Object.entries(everything).reverse()) as typeof everything // the same fields
    const story = (policies: typeof everything) =>
      Effect.gen(function* () {
        const { events, record } = recorded()
        const api = yield* Resilience.make("api", policies)
        const callers = yield* times(15, Effect.forkChild(record(Effect.exit(api.resilient(Effect.fail("down"), "a")))))
        yield* TestClock.adjust("10 seconds")
        const outcomes = (yield* Fiber.joinAll(callers)).map(outcomeOf)
        return [outcomes, events.map(({ _tag }) => _tag)]
      })
    assert.deepStrictEqual(yield* story(reversed), yield* story(everything))
  })
)

it.effect("each call tells of its end once, and nothing is told when nobody calls (cockatiel#115, #56)", () =>
  Effect.gen(function* () {
    const { events, record } = recorded()
    const api = yield* Resilience.make("api", { ...everything, retry: Retry.policy({ maxAttempts: 1 }) })
    const callers = yield* Effect.forEach([Effect.void, Effect.fail("down"), Effect.never], (self) =>
      Effect.forkChild(record(Effect.exit(api.resilient(self, "a"))))
    )
    yield* TestClock.adjust("3 seconds")
    yield* Fiber.joinAll(callers)
    const results = events.flatMap((event) => (event._tag === "AttemptEnded" ? [event.result] : []))
    assert.deepStrictEqual(results, ["success", "failure", "timeout"])
    assert.strictEqual(events.filter(({ _tag }) => _tag === "CallEnded").length, 3)
    const told = events.length
    yield* record(TestClock.adjust("1 day"))
    assert.strictEqual(events.length, told)
  })
)

it("a backoff without jitter obeys its factor (cockatiel's noJitterGenerator: 100, 200, 400 for 3)", () => {
  const backoff = Backoff.exponential({ base: 100, factor: 3, jitter: "none" })
  assert.deepStrictEqual(
    [1, 2, 3, 4].map((n) => Backoff.delay(backoff, n, 0.5)),
    [100, 300, 900, 2_700]
  )
})

it("jitter survives the cap (cockatiel: 30,000 for ever; p-retry: 40, 40, 40; Effect's Schedule: no full jitter)", () => {
  const draws = Array.from({ length: 100 }, (_, i) => (i + 0.5) / 100)
  for (const backoff of [
    Backoff.exponential({ base: 100, cap: 1_000 }),
    Backoff.exponential({ base: 100, cap: 1_000, jitter: "equal" }),
    Backoff.decorrelated({ base: 100, cap: 1_000 })
  ]) {
    const delays = draws.map((u) => Backoff.delay(backoff, 50, u, 1_000))
    assert.isAbove(new Set(delays).size, 80, backoff._tag)
    assert.isAtMost(Math.max(...delays), 1_000)
  }
})

it("no attempt is so late that its delay overflows, and the default is capped (Polly#2163, pitfall 31; Effect's exponential: 466 h)", () => {
  for (const backoff of [
    Backoff.exponential({ base: 100 }),
    Backoff.exponential({ base: 100, factor: 1e9 }),
    Backoff.linear({ base: 100 }),
    Backoff.fibonacci({ base: 100 }),
    Backoff.decorrelated({ base: 100 })
  ]) {
    for (const n of [25, 1_019, 1_024, 1_025, 10_000, 1e9]) {
      const delay = Backoff.delay(backoff, n, 0.999, 30_000)
      assert.isTrue(Number.isSafeInteger(delay) && delay > 0 && delay <= 30_000, `${backoff._tag} ${n}: ${delay}`)
    }
  }
})

it.effect(
  "a retry follows a timeout of an attempt, and not an error that `while` names (p-retry#47, #46, #67; opossum#818)",
  () =>
    Effect.gen(function* () {
      const options = { backoff: Backoff.constant(100), while: (error: string) => error !== "not found" }
      const attempts = (
        self: Effect.Effect<never, string>,
        retry = Retry.policy({ ...options, retryTimeouts: true })
      ) =>
        Effect.gen(function* () {
          const api = yield* Resilience.make("api", { attemptTimeout: "1 second", retry })
          const { counts, effect } = counted(self)
          const caller = yield* Effect.forkChild(Effect.exit(api.resilient(effect, "a")))
          yield* TestClock.adjust("10 seconds")
          yield* Fiber.join(caller)
          return counts.begun
        })
      assert.strictEqual(yield* attempts(Effect.never), 3)
      assert.strictEqual(yield* attempts(Effect.never, Retry.policy({ backoff: options.backoff })), 3)
      assert.strictEqual(yield* attempts(Effect.never, Retry.policy(options)), 1)
      assert.strictEqual(yield* attempts(Effect.fail("not found")), 1)
      assert.strictEqual(yield* attempts(Effect.fail("busy")), 3)
    })
)

it.effect(
  "retries without a delay end by themselves on a clock that stands still (smithy-rs: sleep(0) for ever; pitfall 22)",
  () =>
    Effect.gen(function* () {
      const { counting, timers } = yield* countedTimers
      const retry = Retry.policy({ maxAttempts: 50, backoff: Backoff.constant(0) })
      const api = yield* Resilience.make("api", {
        retry,
        circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(9), openDuration: "1 second" })
      })
      const { counts, effect } = counted(Effect.fail("down"))
      assert.strictEqual(outcomeOf(yield* counting(Effect.exit(api.resilient(effect, "a")))), "failure")
      assert.deepStrictEqual([counts.begun, timers.begun, yield* Clock.currentTimeMillis], [50, 0, 0])
    })
)

it.effect(
  "a Retry-After that is absurd is bounded, in backoff and in openings (Effect's HttpClient, opossum#385)",
  () =>
    Effect.gen(function* () {
      const retryAfter = () => Option.some("400 days" as const)
      const bounded = { maxAttempts: 2, retryAfter, maxRetryAfter: "3 seconds" } as const
      const ends = counted(Effect.fail("busy"))
      yield* Effect.exit(Retry.execute(ends.effect, Retry.policy(bounded)))
      assert.strictEqual(ends.counts.begun, 1)
      const retry = Retry.policy({ ...bounded, onLongRetryAfter: "cut" })
      const breaker = yield* CircuitBreaker.make(
        CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 second", retryAfter })
      )
      const { counts, effect } = counted(Effect.fail("busy"))
      const caller = yield* Effect.forkChild(
        Effect.exit(breaker.execute(Retry.execute(effect, retry))).pipe(drawing(0))
      )
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual([counts.begun, outcomeOf(yield* Fiber.join(caller))], [2, "failure"])
      assert.deepInclude(yield* breaker.state(), { state: "Open", retryAfterMillis: 300_000 })
    })
)

it.effect(
  "a half-open circuit keeps nobody waiting: a thousand callers are refused at once (cockatiel: peak in flight 1000)",
  () =>
    Effect.gen(function* () {
      const api = yield* Resilience.make("api", {
        ...everything,
        circuitBreaker: fragile,
        retry: Retry.policy({ maxAttempts: 1 })
      })
      yield* Effect.exit(api.resilient(Effect.fail("down"), "a"))
      yield* TestClock.adjust("10 seconds")
      const probe = yield* inFlight((self) => api.resilient(self, "a"))
      const { counts, effect } = counted(Effect.never)
      const outcomes = yield* times(1_000, Effect.map(Effect.exit(api.resilient(effect, "a")), outcomeOf))
      assert.deepStrictEqual([...new Set(outcomes)], ["CircuitOpen"])
      yield* probe.succeed
      assert.strictEqual(counts.begun, 0)
    })
)
