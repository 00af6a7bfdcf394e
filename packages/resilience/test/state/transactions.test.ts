/** Decisions inside a user's own `Effect.tx` commit and roll back with it. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, TxRef } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, CircuitBreaker, RateLimiter, Resilience, resilient, Retry } from "../../src/index.ts"
import { settle } from "./support.ts"

const rate = { limit: 2, window: "1 second" } as const
const kinds = {
  tokenBucket: RateLimiter.tokenBucket(rate),
  leakyBucket: RateLimiter.leakyBucket({ ...rate, capacity: 2 }),
  fixedWindow: RateLimiter.fixedWindow(rate),
  slidingWindow: RateLimiter.slidingWindow(rate),
  slidingLog: RateLimiter.slidingLog(rate)
}

/** The ways in which a transaction ends without a commit. */
const failures = { fails: Effect.fail("no"), dies: Effect.die("no"), "is interrupted": Effect.interrupt }

const trip = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "10 seconds" })

describe("a rate limiter inside Effect.tx", () => {
  for (const [kind, policy] of Object.entries(kinds)) {
    for (const [how, failure] of Object.entries(failures)) {
      it.effect(`a transaction that takes a token of a ${kind} and then ${how} leaves the token`, () =>
        Effect.gen(function* () {
          const limiter = yield* RateLimiter.make(policy)
          let inside: number | undefined
          const exit = yield* Effect.exit(
            Effect.tx(
              Effect.gen(function* () {
                assert.isTrue(yield* limiter.allow("a"))
                yield* limiter.acquire("a")
                inside = (yield* limiter.peek("a")).remaining
                assert.isFalse(yield* limiter.allow("a"))
                return yield* failure
              })
            )
          )
          assert.isTrue(Exit.isFailure(exit))
          assert.strictEqual(inside, 0)
          assert.strictEqual((yield* limiter.peek("a")).remaining, 2)
          assert.isTrue(yield* limiter.allow("a", { cost: 2 }))
        })
      )
    }

    it.effect(`a transaction that commits has taken its tokens of a ${kind}, and nobody sees them go before`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(policy)
        const seen: Array<number> = []
        const fiber = yield* Effect.forkChild(
          Effect.tx(
            Effect.gen(function* () {
              yield* limiter.allow("a")
              seen.push((yield* limiter.peek("a")).remaining)
              yield* Effect.yieldNow
            })
          )
        )
        yield* Effect.yieldNow
        assert.deepStrictEqual(seen, [1])
        assert.strictEqual((yield* limiter.peek("a")).remaining, 2)
        yield* Fiber.join(fiber)
        assert.strictEqual((yield* limiter.peek("a")).remaining, 1)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* limiter.peek("a")).remaining, 2)
      })
    )
  }

  it.effect("a refusal in a transaction tells what acquire would, and the transaction may go on", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(kinds.tokenBucket)
      const other = yield* TxRef.make("")
      yield* Effect.tx(
        Effect.gen(function* () {
          yield* limiter.acquire("a", { cost: 2 })
          const error = yield* Effect.flip(limiter.acquire("a"))
          assert.deepInclude(error, { _tag: "RateLimitExceeded", key: "a", reason: "limit", retryAfterMillis: 500 })
          const never = yield* Effect.flip(limiter.acquire("a", { cost: 3 }))
          assert.deepInclude(never, { reason: "cost-exceeds-capacity", retryAfterMillis: undefined })
          yield* TxRef.set(other, "went on")
        })
      )
      assert.strictEqual(yield* TxRef.get(other), "went on")
      assert.strictEqual((yield* limiter.peek("a")).remaining, 0)
    })
  )

  it.effect("acquire inside a transaction does not wait, whatever the policy's maxWait", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ ...rate, maxWait: "1 minute" }))
      yield* limiter.acquire("a", { cost: 2 })
      const error = yield* Effect.flip(Effect.tx(limiter.acquire("a", { maxWait: "1 minute" })))
      assert.deepInclude(error, { reason: "limit", retryAfterMillis: 500 })
      assert.strictEqual((yield* limiter.peek("a")).queued, 0)
    })
  )

  it.effect("reset inside a transaction commits and rolls back with it, for one key and for all", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(kinds.slidingLog)
      const spend = Effect.forEach(["a", "b"], (key) => limiter.allow(key, { cost: 2 }))
      const left = Effect.forEach(["a", "b"], (key) => Effect.map(limiter.peek(key), ({ remaining }) => remaining))
      yield* spend
      yield* Effect.exit(Effect.tx(Effect.andThen(limiter.reset("a"), Effect.fail("no"))))
      yield* Effect.exit(Effect.tx(Effect.andThen(limiter.reset(), Effect.fail("no"))))
      assert.deepStrictEqual(yield* left, [0, 0])
      yield* Effect.tx(limiter.reset("a"))
      assert.deepStrictEqual(yield* left, [2, 0])
      yield* spend
      yield* Effect.tx(limiter.reset())
      assert.deepStrictEqual(yield* left, [2, 2])
    })
  )

  it.effect("every inside a transaction takes from all or from none, and rolls back from all", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.every({
          user: RateLimiter.tokenBucket({ limit: 1, window: "1 second" }),
          tenant: RateLimiter.fixedWindow({ limit: 3, window: "1 second" }),
          global: RateLimiter.shared(RateLimiter.slidingLog({ limit: 10, window: "1 second" }))
        })
      )
      const key = { user: "u", tenant: "t" }
      const left = Effect.map(limiter.peek(key), ({ limits }) =>
        Object.values(limits).map(({ remaining }) => remaining)
      )
      yield* Effect.exit(Effect.tx(Effect.andThen(limiter.acquire(key), Effect.fail("no"))))
      assert.deepStrictEqual(yield* left, [1, 3, 10])
      const refused = yield* Effect.tx(
        Effect.gen(function* () {
          assert.isTrue(yield* limiter.allow(key))
          assert.deepStrictEqual(yield* left, [0, 2, 9])
          const error = yield* Effect.flip(limiter.acquire(key))
          assert.deepStrictEqual(yield* left, [0, 2, 9])
          return error.limits.map(({ limit }) => limit)
        })
      )
      assert.deepStrictEqual(refused, ["user"])
      assert.deepStrictEqual(yield* left, [0, 2, 9])
    })
  )

  it.effect("two limiters and a reference of the user's commit together or not at all", () =>
    Effect.gen(function* () {
      const one = yield* RateLimiter.make(kinds.tokenBucket, "one")
      const two = yield* RateLimiter.make(kinds.fixedWindow, "two")
      const spent = yield* TxRef.make(0)
      const buy = (cost: number) =>
        Effect.tx(
          Effect.gen(function* () {
            yield* TxRef.update(spent, (n) => n + cost)
            yield* one.acquire("a", { cost })
            yield* Effect.tx(two.acquire("a", { cost }))
          })
        )
      yield* two.allow("a")
      yield* Effect.flip(buy(2))
      assert.strictEqual((yield* one.peek("a")).remaining, 2)
      assert.strictEqual(yield* TxRef.get(spent), 0)
      yield* buy(1)
      assert.deepStrictEqual(
        [(yield* one.peek("a")).remaining, (yield* two.peek("a")).remaining, yield* TxRef.get(spent)],
        [1, 0, 1]
      )
    })
  )

  it.effect("a key seen first inside a transaction that rolled back is as good as unseen", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.fixedWindow({ limit: 1, window: "1 second", maxKeys: 2, overflow: "reject" })
      )
      for (const key of ["a", "b", "c", "d"]) {
        yield* Effect.exit(Effect.tx(Effect.andThen(limiter.allow(key), Effect.fail("no"))))
      }
      assert.isTrue(yield* limiter.allow("e"))
      assert.isTrue(yield* limiter.allow("f"))
      assert.isFalse(yield* limiter.allow("g"))
    })
  )
})

describe("a circuit breaker inside Effect.tx", () => {
  const open = (breaker: CircuitBreaker.CircuitBreakerService) => Effect.exit(breaker.execute(Effect.fail("down")))
  const states = { isolate: "Isolated", close: "Closed", reset: "Closed" } as const

  for (const [command, after] of Object.entries(states)) {
    for (const [how, failure] of Object.entries(failures)) {
      it.effect(`${command} in a transaction that ${how} has not happened`, () =>
        Effect.gen(function* () {
          const breaker = yield* CircuitBreaker.make(trip)
          yield* open(breaker)
          const before = yield* breaker.state()
          assert.strictEqual(before.state, "Open")
          let inside = ""
          yield* Effect.exit(
            Effect.tx(
              Effect.gen(function* () {
                yield* breaker[command as keyof typeof states]()
                inside = (yield* breaker.state()).state
                return yield* failure
              })
            )
          )
          assert.strictEqual(inside, after)
          assert.deepStrictEqual(yield* breaker.state(), before)
        })
      )
    }

    it.effect(`${command} in a transaction that commits has happened then`, () =>
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker.make(trip)
        yield* open(breaker)
        const fiber = yield* Effect.forkChild(
          Effect.tx(Effect.andThen(breaker[command as keyof typeof states](), Effect.yieldNow))
        )
        yield* Effect.yieldNow
        assert.strictEqual((yield* breaker.state()).state, "Open")
        yield* Fiber.join(fiber)
        assert.strictEqual((yield* breaker.state()).state, after)
      })
    )
  }

  it.effect("a transaction that moved a circuit gives way to a call that moved it meanwhile", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(trip)
      const seen: Array<string> = []
      const fiber = yield* Effect.forkChild(
        Effect.tx(
          Effect.gen(function* () {
            const { state } = yield* breaker.state()
            seen.push(state)
            yield* Effect.yieldNow
            if (state === "Closed") yield* breaker.isolate()
          })
        )
      )
      yield* Effect.yieldNow
      yield* open(breaker)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, ["Closed", "Open"])
      assert.strictEqual((yield* breaker.state()).state, "Open")
    })
  )

  it.effect("a command in a transaction that changes nothing wakes nobody", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(trip)
      let looks = 0
      const untilIsolated = Effect.tx(
        Effect.gen(function* () {
          looks++
          if ((yield* breaker.state()).state === "Closed") return yield* Effect.txRetry
        })
      )
      const waiting = yield* Effect.forkChild(untilIsolated)
      yield* settle
      yield* Effect.tx(breaker.close())
      yield* settle
      assert.strictEqual(looks, 1)
      yield* Effect.tx(breaker.isolate())
      yield* Fiber.join(waiting)
      assert.strictEqual(looks, 2)
    })
  )

  it.effect("a limiter's token and a circuit's state roll back together", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(trip)
      const limiter = yield* RateLimiter.make(kinds.tokenBucket)
      yield* Effect.exit(Effect.tx(Effect.all([limiter.allow("a"), breaker.isolate(), Effect.fail("no")])))
      assert.strictEqual((yield* breaker.state()).state, "Closed")
      assert.strictEqual((yield* limiter.peek("a")).remaining, 2)
    })
  )
})

describe("calls inside Effect.tx", () => {
  class Named extends Resilience.Service<Named>()("test/Named", {
    rateLimiter: kinds.tokenBucket,
    circuitBreaker: trip
  }) {}
  const Live = Resilience.layer({ rateLimiter: kinds.tokenBucket, timeout: "1 second" })

  const all = Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(kinds.tokenBucket)
    const breaker = yield* CircuitBreaker.make(trip)
    const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1 }))
    const retry = yield* Retry.make(Retry.policy())
    return {
      resilient: resilient("a"),
      "a named service's resilient": Named.resilient("a"),
      "RateLimiter.execute": limiter.execute("a"),
      "CircuitBreaker.execute": breaker.execute("a"),
      "Bulkhead.execute": bulkhead.execute("a"),
      "Retry.execute": retry.execute("a")
    }
  })
  type Through = <A>(self: Effect.Effect<A>) => Effect.Effect<A, unknown, Named | Resilience.Resilience>
  const through = (name: string) => Effect.map(all, (all) => all[name as keyof typeof all] as Through) // what all have in common

  for (const name of [
    "resilient",
    "a named service's resilient",
    "RateLimiter.execute",
    "CircuitBreaker.execute",
    "Bulkhead.execute",
    "Retry.execute"
  ]) {
    it.effect(`${name} dies with a message that tells what to do, and the effect does not run`, () =>
      Effect.gen(function* () {
        const call = yield* through(name)
        let ran = 0
        const run = call(Effect.sync(() => ++ran))
        const exit = yield* Effect.exit(Effect.tx(run))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && !Cause.hasFails(exit.cause))
        const text = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
        assert.include(text, "cannot run inside Effect.tx")
        assert.include(text, "after the commit")
        assert.strictEqual(ran, 0)
        // nothing was spent, and the same call works outside
        yield* run
        yield* run
        assert.strictEqual(ran, 2)
      }).pipe(Effect.provide([Live, Named.layer]))
    )

    it.effect(`${name} works in a fiber that was forked inside a transaction and outlives it`, () =>
      Effect.gen(function* () {
        const call = yield* through(name)
        let ran = 0
        const fiber = yield* Effect.tx(
          Effect.forkDetach(Effect.andThen(Effect.sleep(Duration.seconds(1)), call(Effect.sync(() => ++ran))))
        )
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(fiber), 1)
      }).pipe(Effect.provide([Live, Named.layer]))
    )
  }

  it.effect("resilient dies in a child of an open transaction too", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(
        Effect.tx(
          Effect.gen(function* () {
            const child = yield* Effect.forkChild(resilient(Effect.void, "a"))
            return yield* Fiber.join(child)
          })
        )
      )
      assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "cannot run inside Effect.tx")
      yield* settle
    }).pipe(Effect.provide(Live))
  )

  it.effect("acquire and allow in a fiber that outlived its transaction take and wait as anywhere", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ ...rate, maxWait: "1 minute" }))
      const fiber = yield* Effect.tx(
        Effect.forkDetach(
          Effect.gen(function* () {
            yield* Effect.sleep("1 second")
            assert.isTrue(yield* limiter.allow("a", { cost: 2 }))
            yield* limiter.acquire("a")
            return yield* limiter.peek("a")
          })
        )
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* limiter.peek("a")).queued, 1)
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).remaining, 0)
    })
  )
})
