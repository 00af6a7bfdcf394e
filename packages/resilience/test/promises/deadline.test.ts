/** One deadline for each call: no wait, and no backoff, for what can no longer end. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Resilience, Retry } from "../../src/index.ts"
import { drawing } from "../failing.ts"

/** How an effect ends, and how long it takes. */
const timed = Effect.fnUntraced(function* <A, E>(self: Effect.Effect<A, E>) {
  const start = yield* Clock.currentTimeMillis
  const noted = Effect.flatMap(Effect.exit(self), (exit) =>
    Effect.map(Clock.currentTimeMillis, (now) => ({ exit, after: now - start }))
  )
  const fiber = yield* Effect.forkChild(noted, { startImmediately: true })
  for (let i = 0; i < 60; i++) yield* TestClock.adjust("1 second")
  yield* TestClock.adjust("1 hour")
  return yield* Fiber.join(fiber)
})
const errorIn = (exit: Exit.Exit<unknown, unknown>): unknown => Option.getOrUndefined(Exit.findErrorOption(exit))

describe("a backoff that passes the deadline (case backoff-past-deadline)", () => {
  const busy = { status: 429, after: 60 }
  const retryAfter = ({ after }: typeof busy) => Option.some(Duration.seconds(after))

  const run = Effect.fnUntraced(function* (
    timeout: Duration.Input,
    retry: Retry.Policy<typeof busy, "last" | "wrap">,
    error = busy
  ) {
    let attempts = 0
    const { resilient } = yield* Resilience.make("app/Api", { timeout, retry })
    const call = Effect.suspend(() => (attempts++, Effect.fail(error)))
    return { ...(yield* timed(resilient(call, "k"))), attempts }
  })
  const ended = { exit: Exit.fail(busy), after: 0, attempts: 1 }

  it.effect("ends the call at once with the last error, for a hint as for a delay, also where errors are wrapped", () =>
    Effect.gen(function* () {
      for (const onExhausted of ["last", "wrap"] as const) {
        const hinted = Retry.policy({ retryAfter, maxRetryAfter: "5 minutes", onExhausted })
        assert.deepStrictEqual(yield* run("30 seconds", hinted), ended)
        assert.deepStrictEqual(yield* run("60 seconds", hinted), ended)
        const delayed = Retry.policy({ backoff: Backoff.constant("10 seconds"), onExhausted })
        assert.deepStrictEqual(yield* run("3 seconds", delayed), ended)
        assert.deepStrictEqual(yield* run("10 seconds", delayed), ended)
      }
    })
  )

  it.effect("a hint above maxRetryAfter ends it with the bare error, however much time is left", () =>
    Effect.gen(function* () {
      const policy = Retry.policy({ retryAfter, onExhausted: "wrap" })
      assert.deepStrictEqual(yield* run("1 hour", policy), ended)
    })
  )

  it.effect("a hint that fits is kept: what is added to it is cut to what is left", () =>
    Effect.gen(function* () {
      const policy = Retry.policy({
        maxAttempts: 2,
        retryAfter,
        maxRetryAfter: "5 minutes",
        backoff: Backoff.constant("10 seconds")
      })
      const { after, attempts } = yield* run("61 seconds", policy).pipe(drawing(0.999))
      assert.deepStrictEqual([after, attempts], [60_999, 2])
    })
  )
})

describe("a pipeline inside a call that has a timeout (case nested-deadline)", () => {
  const outer = Resilience.make("app/Edge", { timeout: "1 second" })
  const waiting = Effect.gen(function* () {
    const inner = yield* Resilience.make("app/Db", {
      rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "10 seconds", maxWait: "1 minute" })
    })
    yield* inner.resilient(Effect.void, "k")
    return inner
  })

  it.effect("is refused at once where room comes after the outer call has ended, and raises no timeout for it", () =>
    Effect.gen(function* () {
      const { resilient } = yield* outer
      const inner = yield* waiting
      const { after, exit } = yield* timed(resilient(inner.resilient(Effect.void, "k"), "k"))
      assert.strictEqual(after, 0)
      assert.deepInclude(errorIn(exit), { _tag: "RateLimitExceeded", service: "app/Db", reason: "wait-too-long" })
    })
  )

  it.effect("waits where room comes in time", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("app/Edge", { timeout: "11 seconds" })
      const inner = yield* waiting
      const { after, exit } = yield* timed(resilient(inner.resilient(Effect.succeed("ran"), "k"), "k"))
      assert.deepStrictEqual([exit, after], [Exit.succeed("ran"), 10_000])
    })
  )

  it.effect("backs off no longer than the outer call lasts", () =>
    Effect.gen(function* () {
      const { resilient } = yield* outer
      const inner = yield* Resilience.make("app/Db", {
        retry: Retry.policy({ backoff: Backoff.constant("1 second") })
      })
      const { after, exit } = yield* timed(resilient(inner.resilient(Effect.fail("down"), "k"), "k"))
      assert.deepStrictEqual([exit, after], [Exit.fail("down"), 0])
    })
  )

  it.effect("the nearer of two deadlines counts, an attempt's as well", () =>
    Effect.gen(function* () {
      const far = yield* Resilience.make("app/Far", { timeout: "1 minute" })
      const near = yield* Resilience.make("app/Near", { timeout: "30 seconds", attemptTimeout: "1 second" })
      const inner = yield* waiting
      const call = inner.resilient(Effect.void, "k")
      for (const both of [
        far.resilient(near.resilient(call, "k"), "k"),
        near.resilient(far.resilient(call, "k"), "k")
      ]) {
        const { after, exit } = yield* timed(both)
        assert.strictEqual(after, 0)
        assert.deepInclude(errorIn(exit), { service: "app/Db", reason: "wait-too-long" })
        yield* Effect.exit(inner.resilient(Effect.void, "k"))
      }
    })
  )

  it.effect("a pipeline with a timeout of its own that is longer sets no timer for the outer one", () =>
    Effect.gen(function* () {
      const { resilient } = yield* outer
      const inner = yield* Resilience.make("app/Db", { timeout: "1 minute" })
      const { after, exit } = yield* timed(resilient(inner.resilient(Effect.never, "k"), "k"))
      assert.strictEqual(after, 1_000)
      assert.deepInclude(errorIn(exit), { service: "app/Edge", scope: "call" })
    })
  )

  it.effect("a worker that the call started and that outlives it is free", () =>
    Effect.gen(function* () {
      const { resilient } = yield* outer
      const inner = yield* waiting
      let ran = 0
      const work = Effect.map(
        Effect.exit(inner.resilient(Effect.void, "k")),
        (exit) => void (ran += +Exit.isSuccess(exit))
      )
      const worker = Effect.andThen(Effect.sleep("100 millis"), work)
      yield* resilient(Effect.forkDetach(worker), "k")
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(ran, 1)
    })
  )

  it.effect("as is a call on another clock, whose times mean nothing here", () =>
    Effect.gen(function* () {
      const { resilient } = yield* outer
      const inner = yield* waiting
      const there: Clock.Clock = Object.create(yield* Clock.Clock) as Clock.Clock // the same times, and another clock
      const call = Effect.provideService(inner.resilient(Effect.void, "k"), Clock.Clock, there)
      const { after, exit } = yield* timed(resilient(call, "k"))
      assert.strictEqual(after, 1_000, "it waits, and the outer call ends it")
      assert.deepInclude(errorIn(exit), { service: "app/Edge" })
    })
  )
})

describe("a wait leaves the time that an attempt takes", () => {
  const service = Resilience.make("app/Db", {
    timeout: "1 second",
    bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute" })
  })
  const fork = <A, E>(self: Effect.Effect<A, E>) => Effect.forkChild(Effect.exit(self), { startImmediately: true })

  it.effect("a call whose attempt could not end is refused when that is clear, and is no timeout", () =>
    Effect.gen(function* () {
      const { resilient } = yield* service
      const first = yield* fork(resilient(Effect.sleep(400), "k"))
      yield* TestClock.adjust(400)
      yield* Fiber.join(first)
      yield* fork(resilient(Effect.sleep(900), "k"))
      const waits = yield* fork(resilient(Effect.void, "k"))
      yield* TestClock.adjust(599)
      assert.isUndefined(waits.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepInclude(errorIn(yield* Fiber.join(waits)), { _tag: "BulkheadFull", reason: "wait-too-long" })
      yield* TestClock.adjust("1 second")
    })
  )

  it.effect("without a sample it waits until its deadline", () =>
    Effect.gen(function* () {
      const { resilient } = yield* service
      yield* fork(resilient(Effect.sleep(998), "k"))
      yield* TestClock.adjust(1)
      const waits = yield* fork(resilient(Effect.succeed("ran"), "k"))
      yield* TestClock.adjust(997)
      assert.deepStrictEqual(yield* Fiber.join(waits), Exit.succeed("ran"))
    })
  )

  it.effect("a call that finds room is never refused for it", () =>
    Effect.gen(function* () {
      const edge = yield* Resilience.make("app/Edge", { timeout: 100 })
      const { resilient } = yield* service
      const first = yield* fork(resilient(Effect.sleep(900), "k"))
      yield* TestClock.adjust(900)
      yield* Fiber.join(first)
      assert.strictEqual(yield* edge.resilient(resilient(Effect.succeed("ran"), "k"), "k"), "ran")
    })
  )

  it.effect("a backoff leaves it, too", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("app/Db", {
        timeout: "1 second",
        bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute" }),
        retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(600) })
      })
      assert.strictEqual((yield* timed(resilient(Effect.fail("down"), "k"))).after, 600, "no sample")
      const first = yield* fork(resilient(Effect.sleep(400), "k"))
      yield* TestClock.adjust(400)
      yield* Fiber.join(first)
      assert.strictEqual((yield* timed(resilient(Effect.fail("down"), "k"))).after, 0)
    })
  )

  it.effect("a timeout of a call whose attempt began with too little time tells nothing of the dependency", () =>
    Effect.gen(function* () {
      const { inspect, resilient } = yield* Resilience.make("app/Db", {
        timeout: "1 second",
        bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute" }),
        circuitBreaker: CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.failureRate({ threshold: 1, window: { calls: 10 }, minimumCalls: 10 }),
          openDuration: "1 minute"
        })
      })
      const bad = Effect.map(inspect("k"), ({ circuitBreaker }) => circuitBreaker!.windows[0]?.bad)
      const first = yield* fork(resilient(Effect.sleep(100), "k"))
      yield* TestClock.adjust(100)
      yield* Fiber.join(first)
      // may wait for 900 ms, and begins after 850: by then attempts are known to take that long
      yield* fork(resilient(Effect.sleep(850), "k"))
      const late = yield* fork(resilient(Effect.never, "k"))
      yield* TestClock.adjust("1 second")
      assert.deepInclude(errorIn(yield* Fiber.join(late)), { _tag: "TimeoutExceeded", scope: "call" })
      assert.strictEqual(yield* bad, 0)
      const hangs = yield* fork(resilient(Effect.never, "k"))
      yield* TestClock.adjust("1 second")
      assert.deepInclude(errorIn(yield* Fiber.join(hangs)), { _tag: "TimeoutExceeded", scope: "call" })
      assert.strictEqual(yield* bad, 1, "an attempt that had the whole timeout")
    })
  )
})
