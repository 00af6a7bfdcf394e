/**
 * Limiters and bulkheads: bugs of other libraries, shown not to be here. Numbers are those of the table of pitfalls.
 *
 * Of that table, these cannot apply here:
 * - 15, 16, 17: there is no client throttle and no budget or partition.
 * - 19, 20: one clock for all; shown in breaker.test.ts and effect-rate-limiter.test.ts (D11).
 * - 27, 28, 29, 30: no adaptive concurrency limit.
 * - the rest is in breaker.test.ts.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, CircuitBreaker, RateLimiter, Rejection, Resilience } from "../../src/index.ts"
import { limiterOn, spied } from "../state/support.ts"
import { counted, countedTimers, inFlight, kinds, outcomeOf, recorded, settle, times } from "./support.ts"

const allowed = (limiter: RateLimiter.RateLimiterService<string>, key: string, calls: number) =>
  Effect.map(times(calls, limiter.allow(key)), (all) => all.filter(Boolean).length)

const everyKind = {
  tokenBucket: RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: "1 hour" }),
  leakyBucket: RateLimiter.leakyBucket({ limit: 1, window: "1 second", capacity: 1, maxWait: "1 hour" }),
  fixedWindow: RateLimiter.fixedWindow({ limit: 1, window: "1 second", maxWait: "1 hour" }),
  slidingWindow: RateLimiter.slidingWindow({ limit: 1, window: "1 second", maxWait: "1 hour" }),
  slidingLog: RateLimiter.slidingLog({ limit: 1, window: "1 second", maxWait: "1 hour" })
}

for (const [kind, policy] of Object.entries(everyKind)) {
  it.effect(
    `interrupted waiters of a ${kind} leave nothing reserved (resilience4j, failsafe, effect: 210 s instead of 10 s; pitfall 11)`,
    () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(policy)
        yield* limiter.acquire("a")
        const wait = (yield* limiter.peek("a")).waitFor(1) ?? 0
        const waiters = yield* times(100, Effect.forkChild(limiter.acquire("a")))
        yield* settle
        assert.strictEqual((yield* limiter.peek("a")).queued, 100)
        yield* Fiber.interruptAll(waiters)
        assert.strictEqual((yield* limiter.peek("a")).queued, 0)
        const next = yield* Effect.forkChild(limiter.acquire("a"))
        yield* settle
        yield* TestClock.adjust(wait - 1)
        assert.isUndefined(next.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.strictEqual(outcomeOf(next.pollUnsafe()), "success")
      })
  )
}

it.effect("a call that waits behind another, or for a slot, takes nothing of what is there (pitfalls 11, 14)", () =>
  Effect.gen(function* () {
    const rateLimiter = RateLimiter.tokenBucket({ limit: 10, window: "10 hours", maxWait: "20 hours" })
    const limiter = yield* RateLimiter.make(rateLimiter)
    yield* limiter.acquire("a", { cost: 5 })
    const large = yield* Effect.forkChild(limiter.acquire("a", { cost: 10 }))
    yield* settle
    const small = yield* times(3, Effect.forkChild(limiter.acquire("a")))
    yield* settle
    assert.deepInclude(yield* limiter.peek("a"), { remaining: 5, queued: 4 })
    yield* Fiber.interruptAll([large, ...small])
    assert.deepInclude(yield* limiter.peek("a"), { remaining: 5, queued: 0 })

    const api = yield* Resilience.make("api", {
      rateLimiter,
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 hour" })
    })
    const running = yield* inFlight((self) => api.resilient(self, "a"))
    const waiting = yield* times(3, Effect.forkChild(api.resilient(Effect.void, "a")))
    yield* settle
    const { bulkhead, rateLimiter: peek } = yield* api.inspect("a")
    assert.deepStrictEqual([bulkhead?.queued, peek?.remaining], [3, 9])
    yield* Fiber.interruptAll(waiting)
    yield* running.interrupt
    assert.strictEqual((yield* api.inspect("a")).rateLimiter?.remaining, 9)
  })
)

it.effect("a bulkhead waiter that waited too long takes no permit with it (failsafe#393; pitfall 12)", () =>
  Effect.gen(function* () {
    const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 second" }))
    const running = yield* inFlight((self) => bulkhead.execute(self))
    const waiters = yield* times(5, Effect.forkChild(Effect.exit(bulkhead.execute(Effect.void))))
    yield* TestClock.adjust("1 second")
    for (const waiter of waiters) assert.strictEqual(outcomeOf(yield* Fiber.join(waiter)), "BulkheadFull")
    assert.deepStrictEqual(yield* bulkhead.inspect, { running: 1, queued: 0, free: 0 })
    yield* running.succeed
    assert.deepStrictEqual(yield* bulkhead.inspect, { running: 0, queued: 0, free: 1 })
    yield* bulkhead.execute(Effect.void)
  })
)

const everyLimits = RateLimiter.every({
  user: RateLimiter.tokenBucket({ limit: 5, window: "1 hour" }),
  tenant: RateLimiter.fixedWindow({ limit: 2, window: "1 hour" }),
  global: RateLimiter.shared(RateLimiter.slidingWindow({ limit: 100, window: "1 hour" }))
})

it.effect(
  "a limit that passes keeps its tokens when another of the chain refuses, and the refusal names which (.NET CreateChained, Finagle, governor#156, dotnet/runtime#130114; pitfall 14)",
  () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(everyLimits)
      const left = (key: { user: string; tenant: string }) =>
        Effect.map(limiter.peek(key), ({ limits }) => Object.values(limits).map(({ remaining }) => remaining))
      yield* times(2, limiter.allow({ user: "u", tenant: "t" }))
      yield* times(50, limiter.allow({ user: "u", tenant: "t" }))
      assert.deepStrictEqual(yield* left({ user: "u", tenant: "t" }), [3, 0, 98])
      const refused = yield* Effect.flip(limiter.acquire({ user: "u", tenant: "t" }))
      assert.deepStrictEqual(
        refused.limits.map(({ limit }) => limit),
        ["tenant"]
      )
      assert.isTrue(yield* limiter.allow({ user: "u", tenant: "other" }))
    })
)

it.effect(
  "a fixed window keeps its edges, whenever its first call comes (Tower TpsBudget, tower-resilience#394; pitfall 18)",
  () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow({ limit: 1, window: "1 second" }))
      const at: Array<number> = []
      for (let now = 0; now < 10_000; now += 300) {
        if (yield* limiter.allow("a")) at.push(now)
        yield* TestClock.adjust(300)
      }
      assert.deepStrictEqual(at, [0, 1_200, 2_100, 3_000, 4_200, 5_100, 6_000, 7_200, 8_100, 9_000])
    })
)

it.effect(
  "a wait sleeps whole milliseconds and asks again once, also where a token takes a third of one (smithy-rs: sleep(0) for ever; pitfall 22)",
  () =>
    Effect.gen(function* () {
      const { counting, timers } = yield* countedTimers
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 3, window: 10, maxWait: "1 second" }))
      yield* limiter.acquire("a", { cost: 3 })
      const waiter = yield* Effect.forkChild(counting(limiter.acquire("a")))
      yield* settle
      yield* TestClock.adjust(3)
      assert.isUndefined(waiter.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual(outcomeOf(waiter.pollUnsafe()), "success")
      assert.strictEqual(timers.pending, 0)
      assert.isAtMost(timers.begun, 2, "one for the token, one for maxWait")
    })
)

it.effect("no flood of other keys frees a key that is used up (Kevlar's LRU; pitfall 23)", () =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 2, window: "1 hour", burst: 1 }))
    assert.isTrue(yield* limiter.allow("victim"))
    for (let i = 0; i < 20_000; i++) yield* limiter.allow(`attacker ${i}`)
    assert.isFalse(yield* limiter.allow("victim"))
  })
)

it.effect(
  "at maxKeys a new key is refused where the policy says reject, and else the key nearest to fresh is forgotten (Kevlar, resilience4j#273; pitfall 23)",
  () =>
    Effect.gen(function* () {
      const rate = { limit: 10, window: "1 hour", maxKeys: 2 } as const
      const rejecting = yield* RateLimiter.make(RateLimiter.tokenBucket({ ...rate, overflow: "reject" }))
      yield* times(10, Effect.andThen(rejecting.allow("spent"), rejecting.allow("also spent")))
      const refused = yield* Effect.flip(rejecting.acquire("new"))
      assert.strictEqual(refused.reason, "too-many-keys")
      assert.isFalse(yield* rejecting.allow("spent"))

      const evicting = yield* RateLimiter.make(RateLimiter.tokenBucket(rate))
      yield* times(10, evicting.allow("spent"))
      for (let i = 0; i < 100; i++) assert.isTrue(yield* evicting.allow(`new ${i}`))
      assert.isFalse(yield* evicting.allow("spent"))
    })
)

it.effect(
  "keys are forgotten once they are as good as new, by the traffic of others (effect, resilience4j registries; pitfall 24)",
  () =>
    Effect.gen(function* () {
      const { size, store } = yield* spied
      const limiter = yield* limiterOn(store, RateLimiter.tokenBucket({ limit: 1, window: "1 second" }))
      for (let i = 0; i < 5_000; i++) yield* limiter.allow(`key ${i}`)
      assert.isAbove(size(), 4_000)
      yield* TestClock.adjust("1 second")
      for (let i = 0; i < 10_000; i++) yield* limiter.allow("another")
      assert.isAtMost(size(), 2)
    })
)

for (const kind of ["slidingWindow", "slidingLog"] as const) {
  it.effect(
    `no second sees more than a ${kind}'s limit, also across the edge of a window (resilience4j, Tower, plausible#6497, rezilience#322, bottleneck's reservoir; pitfall 34)`,
    () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(kinds[kind]({ limit: 5, window: "1 second" }))
        yield* TestClock.adjust("950 millis")
        const admitted: Array<number> = []
        for (let now = 950; now < 5_000; now += 10) {
          if (now < 1_100 || now > 1_800) for (let i = yield* allowed(limiter, "a", 10); i > 0; i--) admitted.push(now)
          yield* TestClock.adjust(10)
        }
        for (const from of admitted) {
          assert.isAtMost(admitted.filter((at) => at >= from && at < from + 1_000).length, 5)
        }
        assert.isAtLeast(admitted.length, 15)
      })
  )
}

it.effect("a burst of n is n, for every n and limit (redis-cell, throttled; pitfall 35)", () =>
  Effect.gen(function* () {
    for (const limit of [1, 3, 7, 10, 30, 60, 97, 100, 1_000]) {
      for (const burst of [1, 2, 15, 16, 100]) {
        const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit, window: "1 minute", burst }))
        assert.strictEqual(yield* allowed(limiter, "a", burst + 10), burst, `burst ${burst} at ${limit} a minute`)
      }
    }
  })
)

it.effect("a request larger than the burst is told so, and the bucket tells what it has (throttled; pitfall 36)", () =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(
      RateLimiter.tokenBucket({ limit: 10, window: "1 second", burst: 5, maxWait: "1 minute" })
    )
    yield* times(3, limiter.allow("a"))
    const refused = yield* Effect.flip(limiter.acquire("a", { cost: 6 }))
    assert.deepStrictEqual([refused.reason, refused.retryAfterMillis], ["cost-exceeds-capacity", undefined])
    const { limits, queued, remaining, resetAfterMillis, waitFor } = yield* limiter.peek("a")
    assert.deepStrictEqual([remaining, resetAfterMillis, queued, limits["limit"]?.used], [2, 300, 0, 3])
    assert.isUndefined(waitFor(6))
    assert.strictEqual(waitFor(5), 300)
  })
)

it("an option that would do nothing is refused; that one that does not exist does not compile is in typetest/RateLimiter.tst.ts (tower-resilience#370, bottleneck's maxWait; pitfall 37)", () => {
  const rate = { limit: 1, window: "1 second" } as const
  const refuses = (make: () => unknown, parameter: string) => {
    try {
      make()
    } catch (error) {
      assert.instanceOf(error, Rejection.InvalidPolicyError)
      return assert.strictEqual(error.parameter, parameter)
    }
    return assert.fail(`accepted ${parameter}`)
  }
  refuses(() => RateLimiter.tokenBucket({ ...rate, maxQueued: 5 }), "maxQueued")
  refuses(() => Bulkhead.policy({ maxConcurrent: 1, maxQueued: 5 }), "maxQueued")
  refuses(() => RateLimiter.tokenBucket({ ...rate, overflow: "lru" as "evict" }), "overflow")
  refuses(() => CircuitBreaker.failureRate({ threshold: 0.5, window: { calls: 10 }, minimumCalls: 11 }), "minimumCalls")
})

it.effect("every number of a limit changes what it does (tower-resilience#370; pitfall 37)", () =>
  Effect.gen(function* () {
    const rate = { limit: 4, window: "1 second", maxWait: "10 seconds" } as const
    const behaviour = (policy: RateLimiter.Limit) =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(policy)
        const burst = yield* allowed(limiter, "a", 20)
        const waiters = yield* times(20, Effect.forkChild(Effect.exit(limiter.acquire("a"))))
        yield* settle
        const { queued, resetAfterMillis } = yield* limiter.peek("a")
        yield* Fiber.interruptAll(waiters)
        return `${burst} ${queued} ${resetAfterMillis}`
      })
    const variants = [
      {},
      { limit: 5 },
      { window: "2 seconds" },
      { burst: 6 },
      { maxQueued: 3 },
      { maxWait: "1 second" }
    ] as const
    const seen = yield* Effect.forEach(variants, (variant) =>
      behaviour(RateLimiter.tokenBucket({ ...rate, ...variant }))
    )
    assert.strictEqual(new Set(seen).size, variants.length, seen.join(", "))
  })
)

it.effect("a large request is not starved by a steady flow of small ones (Effect's Semaphore, effect#2107)", () =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(
      RateLimiter.tokenBucket({ limit: 10, window: "1 second", maxWait: "1 minute", maxQueued: 1_000 })
    )
    yield* limiter.acquire("a", { cost: 10 })
    const large = yield* Effect.forkChild(limiter.acquire("a", { cost: 10 }))
    yield* settle
    const small = yield* Effect.forkChild(
      Effect.forEach(Array.from({ length: 50 }), () => Effect.andThen(limiter.allow("a"), Effect.sleep("20 millis")))
    )
    yield* TestClock.adjust("1 second")
    assert.strictEqual(outcomeOf(large.pollUnsafe()), "success")
    yield* Fiber.interrupt(small)
  })
)

it.effect("a bulkhead's queue is bounded, by 1,000 where nothing is said (Effect's Semaphore: 99,998 waiters)", () =>
  Effect.gen(function* () {
    const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 2, maxWait: "1 hour" }))
    const { counts, effect } = counted(Effect.never)
    const callers = yield* times(5_000, Effect.forkChild(bulkhead.execute(effect)))
    yield* settle
    assert.deepStrictEqual(yield* bulkhead.inspect, { running: 2, queued: 1_000, free: 0 })
    assert.strictEqual(callers.filter((caller) => outcomeOf(caller.pollUnsafe()) === "BulkheadFull").length, 3_998)
    yield* Fiber.interruptAll(callers)
    assert.deepStrictEqual(yield* bulkhead.inspect, { running: 0, queued: 0, free: 2 })
    assert.strictEqual(counts.peak, 2)
  })
)

it.effect("a call that waits is counted by the limit once (dotnet/runtime#113314)", () =>
  Effect.gen(function* () {
    const { events, record } = recorded()
    const limiter = yield* RateLimiter.make(
      RateLimiter.every({
        slow: RateLimiter.by("user", RateLimiter.fixedWindow({ limit: 2, window: "1 second", maxWait: "10 seconds" })),
        day: RateLimiter.by("user", RateLimiter.fixedWindow({ limit: 100, window: "1 day", maxWait: "10 seconds" }))
      })
    )
    const callers = yield* times(10, Effect.forkChild(record(limiter.acquire({ user: "u" }))))
    yield* TestClock.adjust("4 seconds")
    yield* Fiber.joinAll(callers)
    const { limits } = yield* limiter.peek({ user: "u" })
    assert.strictEqual(limits["day"]?.used, 10)
    assert.strictEqual(events.filter(({ _tag }) => _tag === "Admitted").length, 10)
  })
)
