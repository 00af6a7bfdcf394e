/**
 * Bugs of the Promise-based neighbours in limiters, queues and refusals, shown not to be here.
 *
 * What cannot apply here, or stands elsewhere:
 * - bottleneck#118, #205, #112, #197, #151 and rate-limiter-flexible's Redis with half a second: there is no Redis here.
 * - p-limit's clearQueue, bottleneck's restart: nothing clears a queue but its callers; `reset` wakes them.
 * - storyblok/monoblok#706 (slots released from setTimeout): a slot is released by the fiber that holds it.
 * - rate-limiter-flexible's onError: effect-rate-limiter.test.ts (D9). Growth of keys: there (D4).
 */
import { assert, it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, CircuitBreaker, RateLimiter, Rejection, Resilience } from "../../src/index.ts"
import { limiterOn, spied } from "../state/support.ts"
import { counted, countedTimers, inFlight, kinds, outcomeOf, settle, times } from "./support.ts"

const every = RateLimiter.every({
  user: RateLimiter.tokenBucket({ limit: 5, window: "1 minute", maxWait: "10 seconds" }),
  global: RateLimiter.shared(RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: "10 seconds" }))
})

it.effect(
  "several limits are taken in one step: what one refuses, no other pays (rate-limiter-flexible#280, #150, #286: 0 of 5 left)",
  () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(every)
      yield* limiter.allow({ user: "another" })
      const refused = yield* times(5, Effect.exit(limiter.acquire({ user: "a" }, { maxWait: 0 })))
      assert.deepStrictEqual([...new Set(refused.map(outcomeOf))], ["RateLimitExceeded"])
      assert.strictEqual((yield* limiter.peek({ user: "a" })).limits["user"]?.remaining, 5)
    })
)

it.effect(
  "several limits, a burst and a queue compose, and the sequence exceeds none of them (rate-limiter-flexible#79, #69; limiter#35)",
  () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(every)
      const at: Array<readonly [user: string, at: number]> = []
      const call = (user: string) =>
        limiter.execute(
          Effect.tap(Clock.currentTimeMillis, (now) => Effect.sync(() => at.push([user, now]))),
          { user }
        )
      const callers = yield* Effect.forEach(["a", "a", "b", "a", "b"], (user) => Effect.forkChild(call(user)))
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.joinAll(callers)
      assert.deepStrictEqual(at, [
        ["a", 0],
        ["a", 1_000],
        ["b", 2_000],
        ["a", 3_000],
        ["b", 4_000]
      ])
    })
)

it.effect(
  "callers that gave up spend nothing, and the next one waits its own time (rate-limiter-flexible#212: 5.8 s; limiter#33, data-fair#486)",
  () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.tokenBucket({ limit: 5, window: "1 second", burst: 1, maxWait: "1 minute" })
      )
      yield* limiter.acquire("a")
      const abandoned = yield* times(10, Effect.forkChild(Effect.timeoutOption(limiter.acquire("a"), "50 millis")))
      yield* TestClock.adjust("50 millis")
      yield* Fiber.joinAll(abandoned)
      const next = yield* Effect.forkChild(limiter.acquire("a"))
      yield* TestClock.adjust("149 millis")
      assert.isUndefined(next.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual(outcomeOf(next.pollUnsafe()), "success")
    })
)

it.effect("a maximum wait below a second is kept to the millisecond (rate-limiter-flexible#365: whole seconds)", () =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 1, window: 700, maxWait: 701 }))
    yield* limiter.acquire("a")
    const refused = yield* Effect.flip(limiter.acquire("a", { maxWait: "699 millis" }))
    assert.deepStrictEqual([refused.reason, refused.retryAfterMillis], ["wait-too-long", 700])
    const waiter = yield* Effect.forkChild(limiter.acquire("a", { maxWait: "700 millis" }))
    yield* TestClock.adjust(700)
    assert.strictEqual(outcomeOf(waiter.pollUnsafe()), "success")
  })
)

it.effect(
  "windows below a second work, and below a millisecond are refused (rate-limiter-flexible: blocked for ever)",
  () =>
    Effect.gen(function* () {
      for (const kind of ["tokenBucket", "fixedWindow", "slidingWindow", "slidingLog"] as const) {
        for (const window of [1, 3, 500, 999]) {
          const limiter = yield* RateLimiter.make(kinds[kind]({ limit: 1, window }))
          assert.isTrue(yield* limiter.allow("a"), `${kind} ${window}`)
          assert.isFalse(yield* limiter.allow("a"), `${kind} ${window}`)
          yield* TestClock.adjust(2 * window)
          assert.isTrue(yield* limiter.allow("a"), `${kind} ${window}`)
        }
        for (const window of ["500 micros", 0.5, 0, 1.5, -1] as const) {
          assert.throws(() => kinds[kind]({ limit: 1, window }), Rejection.InvalidPolicyError)
        }
      }
    })
)

it.effect(
  "a refusal never asks to wait for nothing or less, also right before an edge (rate-limiter-flexible#238)",
  () =>
    Effect.gen(function* () {
      for (const kind of ["tokenBucket", "fixedWindow", "slidingWindow", "slidingLog"] as const) {
        const limiter = yield* RateLimiter.make(kinds[kind]({ limit: 3, window: 10 }))
        for (let i = 0; i < 60; i++) {
          const exit = yield* Effect.result(limiter.acquire("a"))
          if (exit._tag === "Failure") assert.isAtLeast(exit.failure.retryAfterMillis ?? 0, 1)
          else continue
          yield* TestClock.adjust(1)
        }
      }
    })
)

it.effect(
  "a refusal is what it says it is: an Error, of its class, told from others by its tag (rate-limiter-flexible, firecrawl#3728; mollitia)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(
        CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 second" })
      )
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 1, window: "1 minute" }))
      yield* Effect.exit(breaker.execute(Effect.fail("down")))
      yield* limiter.acquire("a")
      const open = yield* Effect.flip(breaker.execute(Effect.void))
      const limited = yield* Effect.flip(limiter.acquire("a"))
      assert.instanceOf(open, Rejection.CircuitOpen)
      assert.instanceOf(limited, Rejection.RateLimitExceeded)
      for (const error of [open, limited]) {
        assert.instanceOf(error, Error)
        assert.isTrue(Rejection.isRejection(error))
        assert.notInstanceOf(error, Rejection.StoreError)
      }
      assert.strictEqual(
        yield* Effect.catchTag(Effect.fail(open), "CircuitOpen", () => Effect.succeed("caught")),
        "caught"
      )
    })
)

it.effect(
  "a circuit isolated by hand stays so, whatever comes (rate-limiter-flexible#210: block(0) is undone by the next call)",
  () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(
        CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 second" })
      )
      const late = yield* times(
        2,
        inFlight((self) => breaker.execute(self))
      )
      yield* breaker.isolate()
      yield* late[0]!.succeed
      yield* late[1]!.fail
      yield* times(3, Effect.exit(breaker.execute(Effect.void)))
      yield* TestClock.adjust("1 day")
      assert.strictEqual(outcomeOf(yield* Effect.exit(breaker.execute(Effect.void))), "CircuitOpen")
      assert.strictEqual((yield* breaker.state()).state, "Isolated")
    })
)

for (const kind of ["slidingWindow", "slidingLog", "tokenBucket"] as const) {
  it.effect(
    `after a pause a ${kind} lets through what it promises, and no more (p-throttle#26, #49: 19 of 10; bottleneck#153, #100)`,
    () =>
      Effect.gen(function* () {
        const rate = { limit: 10, window: "1 second", maxWait: "1 minute" } as const
        const limiter = yield* RateLimiter.make(
          kind === "tokenBucket" ? RateLimiter.tokenBucket({ ...rate, burst: 1 }) : kinds[kind](rate)
        )
        const at: Array<number> = []
        const call = limiter.execute(
          Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sync(() => at.push(now))),
          "a"
        )
        for (const pause of [500, 950, 3_333, 90, 1_234]) {
          yield* times(15, Effect.forkChild(call))
          yield* TestClock.adjust(pause)
        }
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(at.length, 75)
        for (const from of at) assert.isAtMost(at.filter((other) => other >= from && other < from + 1_000).length, 10)
      })
  )
}

it.effect("a wall clock that steps an hour back delays no call by an hour (p-throttle)", () =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(
      RateLimiter.tokenBucket({ limit: 2, window: "100 millis", maxWait: "10 seconds" })
    )
    yield* TestClock.setTime(7_200_000)
    yield* times(2, limiter.acquire("a"))
    yield* TestClock.setTime(3_600_000)
    const callers = yield* times(4, Effect.forkChild(limiter.acquire("a")))
    yield* settle
    yield* TestClock.adjust("600 millis")
    for (const caller of callers) assert.strictEqual(outcomeOf(caller.pollUnsafe()), "success")
  })
)

it.effect("an interrupted waiter of a bulkhead settles and frees its place (cockatiel; bottleneck#152, #134)", () =>
  Effect.gen(function* () {
    const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, maxQueued: 1, maxWait: "1 hour" }))
    const running = yield* inFlight((self) => bulkhead.execute(self))
    const waiter = yield* Effect.forkChild(bulkhead.execute(Effect.void))
    yield* settle
    yield* Fiber.interrupt(waiter)
    assert.strictEqual(outcomeOf(waiter.pollUnsafe()), "interrupted")
    const next = yield* Effect.forkChild(bulkhead.execute(Effect.succeed("ran")))
    yield* settle
    yield* running.succeed
    yield* settle
    assert.strictEqual(outcomeOf(next.pollUnsafe()), "success")
    assert.deepStrictEqual(yield* bulkhead.inspect, { running: 0, queued: 0, free: 1 })
  })
)

it.effect("no release goes beyond the limit, however calls end (async-sema#36: 3 holders of 1)", () =>
  Effect.gen(function* () {
    const api = yield* Resilience.make("api", {
      attemptTimeout: "1 second",
      bulkhead: Bulkhead.policy({ maxConcurrent: 2, maxWait: "1 hour" })
    })
    const { counts, effect } = counted(Effect.sleep("900 millis"))
    const bodies = [
      effect,
      Effect.andThen(effect, Effect.fail("down")),
      Effect.andThen(effect, Effect.die("bug")),
      Effect.andThen(effect, effect)
    ]
    const callers = yield* Effect.forEach(
      Array.from({ length: 40 }, (_, i) => bodies[i % bodies.length]!),
      (body) => Effect.forkChild(Effect.exit(api.resilient(body, "a")))
    )
    for (let i = 0; i < 40; i += 7) {
      yield* TestClock.adjust("700 millis")
      yield* Fiber.interrupt(callers[i]!)
    }
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(counts.peak, 2)
    assert.deepStrictEqual((yield* api.inspect("a")).bulkhead, { running: 0, queued: 0, free: 2 })
  })
)

it.effect("a bulkhead used inside itself ends by its maxWait, it does not hang (p-limit#91)", () =>
  Effect.gen(function* () {
    const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 second" }))
    const nested = yield* Effect.forkChild(bulkhead.execute(bulkhead.execute(Effect.void)))
    yield* TestClock.adjust("1 second")
    assert.strictEqual(outcomeOf(nested.pollUnsafe()), "BulkheadFull")
    assert.deepStrictEqual(yield* bulkhead.inspect, { running: 0, queued: 0, free: 1 })
  })
)

class RequestId extends Context.Service<RequestId, string>()("test/RequestId") {}

it.effect(
  "a call that waited runs in its own context, not in that of the call that made room (p-queue#200, crawlee#3427)",
  () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 hour" }))
      const limiter = yield* RateLimiter.make(
        RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: "1 hour" })
      )
      const slowly = Effect.delay(Effect.service(RequestId), "10 millis")
      const requests = ["one", "two", "three"]
      const calls: ReadonlyArray<Effect.Effect<string, Rejection.Rejection, RequestId>> = [
        bulkhead.execute(slowly),
        limiter.execute(slowly, "a")
      ]
      for (const call of calls) {
        const callers = yield* Effect.forEach(requests, (id) =>
          Effect.forkChild(Effect.provideService(call, RequestId, id))
        )
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Fiber.joinAll(callers), requests)
      }
    })
)

it.effect(
  "a limiter keeps no queue, no timer and no key of those who have left (rate-limiter-flexible#152: 50,001 queues; async-sema#30)",
  () =>
    Effect.gen(function* () {
      const { counting, timers } = yield* countedTimers
      const { size, store } = yield* spied
      const limiter = yield* limiterOn(
        store,
        RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: "1 hour" })
      )
      const callers = yield* Effect.forEach(Array.from({ length: 3_000 }), (_, i) =>
        Effect.forkChild(counting(limiter.acquire(`key ${i >> 1}`)))
      )
      yield* settle
      assert.strictEqual(timers.pending, 1, "one for all keys that somebody waits for")
      yield* Fiber.interruptAll(callers.filter((_, i) => i % 4 === 1))
      yield* TestClock.adjust("1 minute")
      yield* times(5_000, limiter.allow("another"))
      assert.strictEqual(timers.pending, 0)
      assert.isAtMost(size(), 1)
    })
)
