/** The memory store forgets what it may, by the traffic of other keys, and forgives nobody anything. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, RateLimiter, Resilience, resilient } from "../../src/index.ts"
import { breakerOn, limiterKinds as kinds, limiterOn, settle, spied, traffic } from "./support.ts"

describe("a key of a limiter", () => {
  for (const [kind, policy] of Object.entries(kinds)) {
    it.effect(`of a ${kind} is forgotten by the traffic of others once it is as good as new, and not before`, () =>
      Effect.gen(function* () {
        const { remembers, store } = yield* spied
        const limiter = yield* limiterOn(store, policy)
        yield* limiter.allow("a")
        const { resetAfterMillis } = yield* limiter.peek("a")
        yield* TestClock.adjust(resetAfterMillis - 1)
        yield* traffic(limiter)
        assert.isTrue(remembers("a"))
        yield* TestClock.adjust(1)
        assert.isTrue(remembers("a"), "no timer forgets")
        yield* traffic(limiter)
        assert.isFalse(remembers("a"))
      })
    )
  }

  it.effect("is kept while a call waits on it, also at the very moment at which it is as good as new", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const limiter = yield* limiterOn(
        store,
        RateLimiter.slidingLog({ limit: 1, window: "1 second", maxWait: "1 minute" })
      )
      yield* limiter.acquire("a")
      // its timer is older than the waiter's, so it runs before the waiter asks again
      const sweeper = yield* Effect.forkChild(
        Effect.andThen(
          Effect.sleep("1 second"),
          Effect.gen(function* () {
            assert.strictEqual((yield* limiter.peek("a")).resetAfterMillis, 0)
            yield* traffic(limiter)
            return [remembers("a"), (yield* limiter.peek("a")).queued] as const
          })
        )
      )
      yield* settle
      const waiters = [yield* Effect.forkChild(limiter.acquire("a")), yield* Effect.forkChild(limiter.acquire("a"))]
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(sweeper), [true, 2])
      assert.deepStrictEqual(
        waiters.map((waiter) => waiter.pollUnsafe()),
        [Exit.void, undefined]
      )
      yield* Effect.tx(limiter.reset("a"))
      yield* settle
      assert.deepStrictEqual(waiters[1]!.pollUnsafe(), Exit.void)
      yield* TestClock.adjust("1 second")
      yield* traffic(limiter)
      assert.isFalse(remembers("a"), "nobody waits any more")
    })
  )

  it.effect("is kept while a waiter stands in its queue behind a reset, so the queue is not split", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const limiter = yield* limiterOn(
        store,
        RateLimiter.slidingLog({ limit: 2, window: "1 second", maxWait: "1 minute" })
      )
      const order: Array<string> = []
      const call = (name: string, cost: number) =>
        Effect.forkChild(Effect.tap(limiter.acquire("a", { cost }), () => Effect.sync(() => order.push(name))))
      yield* limiter.acquire("a", { cost: 2 })
      const fibers = [yield* call("first", 2), yield* call("second", 2)]
      yield* settle
      yield* limiter.reset() // drops every key but those in use
      yield* traffic(limiter)
      assert.isTrue(remembers("a"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(order, ["first", "second"])
      yield* Fiber.joinAll(fibers)
    })
  )

  it.effect("that was refused only, or looked at only, is not remembered", () =>
    Effect.gen(function* () {
      const { remembers, size, store } = yield* spied
      const limiter = yield* limiterOn(store, kinds.slidingLog)
      yield* limiter.peek("looked at")
      assert.strictEqual(size(), 0)
      yield* limiter.allow("refused", { cost: 9 })
      yield* traffic(limiter)
      assert.isFalse(remembers("refused"))
      assert.isAtMost(size(), 3)
    })
  )

  it.effect(
    "100,000 of them, idle, are gone after at most 5,000 later calls",
    () =>
      Effect.gen(function* () {
        const { size, store } = yield* spied
        const limiter = yield* limiterOn(store, kinds.tokenBucket)
        for (let i = 0; i < 100_000; i++) yield* limiter.allow(`idle ${i}`)
        assert.isAbove(size(), 90_000)
        yield* TestClock.adjust("1 minute")
        let calls = 0
        while (size() > 3 && calls < 6_000) {
          yield* limiter.allow(`traffic ${calls++ % 3}`)
        }
        assert.isAtMost(size(), 3)
        assert.isAtMost(calls, 5_000)
      }),
    { timeout: 30_000 }
  )

  it.effect(
    "new keys without end, each used once, do not pile up",
    () =>
      Effect.gen(function* () {
        const { size, store } = yield* spied
        const limiter = yield* limiterOn(store, RateLimiter.slidingLog({ limit: 1, window: 10 }))
        let most = 0
        for (let i = 0; i < 20_000; i++) {
          yield* limiter.allow(`attacker ${i}`)
          if (i % 10 === 9) yield* TestClock.adjust(1)
          most = Math.max(most, size())
        }
        // 100 keys are alive at any time
        assert.isAtMost(most, 500)
      }),
    { timeout: 30_000 }
  )
})

describe("a circuit of each key", () => {
  const failing = {
    tripPolicy: CircuitBreaker.consecutive(2, { within: "10 seconds" }),
    openDuration: "1 second",
    by: "key"
  } as const
  const trafficOn = (breaker: CircuitBreaker.CircuitBreakerService) =>
    Effect.forEach(Array.from({ length: 1_000 }), (_, i) => breaker.execute(Effect.void, `traffic ${i % 3}`), {
      discard: true
    })
  const fail = (breaker: CircuitBreaker.CircuitBreakerService, key: string) =>
    Effect.exit(breaker.execute(Effect.fail("down"), key))

  it.effect("is forgotten when its failures are too old to count", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const breaker = yield* breakerOn(store, CircuitBreaker.policy(failing))
      yield* fail(breaker, "a")
      yield* TestClock.adjust(9_999)
      yield* trafficOn(breaker)
      assert.isTrue(remembers("a"))
      yield* TestClock.adjust(1)
      yield* trafficOn(breaker)
      assert.isFalse(remembers("a"))
    })
  )

  it.effect("is kept while it is open, without an idleTimeToLive for ever", () =>
    Effect.gen(function* () {
      const { store } = yield* spied
      const breaker = yield* breakerOn(store, CircuitBreaker.policy(failing))
      yield* fail(breaker, "a")
      yield* fail(breaker, "a")
      yield* TestClock.adjust("1000 days")
      yield* trafficOn(breaker)
      assert.strictEqual((yield* breaker.state("a")).state, "HalfOpen")
    })
  )

  it.effect("is forgotten an idleTimeToLive after its last use, where no time would close it, and not before", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const breaker = yield* breakerOn(store, CircuitBreaker.policy({ ...failing, idleTimeToLive: "1 hour" }))
      yield* fail(breaker, "a")
      yield* fail(breaker, "a")
      yield* breaker.isolate("b")
      yield* Effect.tx(breaker.isolate("c"))
      yield* TestClock.adjust("30 minutes")
      yield* Effect.exit(breaker.execute(Effect.void, "b")) // refused, and yet a use
      yield* TestClock.adjust(1_800_000 - 1)
      yield* trafficOn(breaker)
      assert.deepStrictEqual(["a", "b", "c"].map(remembers), [true, true, true])
      yield* TestClock.adjust(1)
      yield* trafficOn(breaker)
      assert.deepStrictEqual(["a", "b", "c"].map(remembers), [false, true, false])
      yield* TestClock.adjust("30 minutes")
      yield* trafficOn(breaker)
      assert.isFalse(remembers("b"))
    })
  )

  it.effect("is kept while a call that it lets through waits for something else, which then hears of its moves", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const breaker = yield* breakerOn(store, CircuitBreaker.policy(failing))
      const limiter = yield* limiterOn(store, RateLimiter.tokenBucket({ limit: 1, window: "1 hour", maxWait: "1 day" }))
      const services = Layer.mergeAll(
        Layer.succeed(CircuitBreaker.CircuitBreaker, breaker),
        Layer.succeed(RateLimiter.RateLimiter, limiter)
      )
      yield* Effect.gen(function* () {
        yield* limiter.acquire("a")
        const waiter = yield* Effect.forkChild(Effect.flip(resilient(Effect.void, "a")))
        yield* settle
        yield* trafficOn(breaker)
        assert.isTrue(remembers("a"))
        yield* Effect.tx(breaker.isolate("a"))
        assert.deepInclude(yield* Fiber.join(waiter), { _tag: "CircuitOpen", state: "Isolated" })
        yield* breaker.reset("a")
        yield* TestClock.adjust("1 hour")
        yield* trafficOn(breaker)
        yield* traffic(limiter)
        assert.isFalse(remembers("a"))
      }).pipe(
        Effect.provide(
          Layer.provide(Resilience.layerFrom([RateLimiter.RateLimiter, CircuitBreaker.CircuitBreaker]), services)
        )
      )
    })
  )

  it.effect("is never forgotten before its natural end, however short the idleTimeToLive", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const breaker = yield* breakerOn(store, CircuitBreaker.policy({ ...failing, idleTimeToLive: 1 }))
      yield* fail(breaker, "a")
      yield* TestClock.adjust(9_999)
      yield* trafficOn(breaker)
      assert.isTrue(remembers("a"))
    })
  )

  it.effect("is kept while a call of it is in flight, whose outcome then counts", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const breaker = yield* breakerOn(
        store,
        CircuitBreaker.policy({ ...failing, tripPolicy: CircuitBreaker.consecutive(1), idleTimeToLive: 1 })
      )
      const call = yield* Effect.forkChild(
        Effect.exit(breaker.execute(Effect.andThen(Effect.sleep("1 hour"), Effect.fail("down")), "a"))
      )
      yield* TestClock.adjust("1 hour")
      yield* TestClock.adjust(0)
      yield* Fiber.join(call)
      assert.strictEqual((yield* breaker.state("a")).state, "Open")

      const held = yield* Effect.forkChild(
        Effect.exit(breaker.execute(Effect.andThen(Effect.sleep("1 hour"), Effect.fail("down")), "b"))
      )
      yield* TestClock.adjust("59 minutes")
      yield* trafficOn(breaker)
      assert.isTrue(remembers("b"))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(held)
      assert.strictEqual((yield* breaker.state("b")).state, "Open")
      yield* TestClock.adjust(2)
      yield* trafficOn(breaker)
      assert.isFalse(remembers("b"), "the permit was let go")
    })
  )

  it.effect("is not forgotten between the admission of a call and its outcome, when it was as good as new before", () =>
    Effect.gen(function* () {
      const { store } = yield* spied
      const breaker = yield* breakerOn(store, CircuitBreaker.policy({ ...failing, by: "key" }))
      yield* breaker.reset("a") // a generation of its own, so that another life would not know its permits
      for (let i = 0; i < 500; i++) {
        yield* TestClock.adjust("11 seconds") // and nothing of it has to be remembered
        yield* fail(breaker, "a")
        assert.deepStrictEqual(
          (yield* breaker.state("a")).windows,
          [{ calls: 1, bad: 1 }],
          `the failure of call ${i} is lost`
        )
      }
    })
  )

  it.effect("does not take the outcome of a call of its last life for its own", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const breaker = yield* breakerOn(
        store,
        CircuitBreaker.policy({ ...failing, tripPolicy: CircuitBreaker.consecutive(1), idleTimeToLive: "1 second" })
      )
      const slow = yield* Effect.forkChild(
        Effect.exit(breaker.execute(Effect.andThen(Effect.sleep("1 hour"), Effect.fail("late")), "a"))
      )
      yield* settle
      yield* breaker.reset("a")
      yield* TestClock.adjust("30 minutes")
      yield* trafficOn(breaker)
      assert.isTrue(remembers("a"))
      yield* TestClock.adjust("30 minutes")
      yield* Fiber.join(slow)
      assert.strictEqual((yield* breaker.state("a")).state, "Closed")
    })
  )
})
