/** Transactions beside what else can happen to a key: a conflict, a sweep, an eviction, a waiter. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, RateLimiter, Resilience, resilient, Retry } from "../../src/index.ts"
import { limiterOn, settle, spied } from "./support.ts"

/** Two fibers meet: one is inside its transaction while the other acts. */
const during = <A, E, B, E2>(
  body: (gap: Effect.Effect<void>) => Effect.Effect<A, E>,
  meanwhile: Effect.Effect<B, E2>
): Effect.Effect<A, E | E2> =>
  Effect.gen(function* () {
    let open: (() => void) | undefined
    let waited = false
    const gap = Effect.suspend(() => {
      if (waited) return Effect.void
      waited = true
      return Effect.callback<void>((resume) => {
        open = () => resume(Effect.void)
      })
    })
    const fiber = yield* Effect.forkChild(Effect.tx(body(gap)))
    yield* settle
    assert.isDefined(open)
    yield* meanwhile
    open!()
    return yield* Fiber.join(fiber)
  })

describe("a transaction beside a conflict", () => {
  const one = RateLimiter.tokenBucket({ limit: 1, window: "1 second" })

  for (const [who, wrap] of [
    ["a call", (self: Effect.Effect<boolean>) => self],
    ["another transaction", (self: Effect.Effect<boolean>) => Effect.tx(self)]
  ] as const) {
    it.effect(`runs again when ${who} took the same token, and sees that it is gone`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(one)
        const asked: Array<boolean> = []
        const last = yield* during(
          (gap) =>
            Effect.gen(function* () {
              const allowed = yield* limiter.allow("a")
              asked.push(allowed)
              yield* gap
              return allowed
            }),
          Effect.map(wrap(limiter.allow("a")), (allowed) => assert.isTrue(allowed))
        )
        assert.deepStrictEqual(asked, [true, false])
        assert.isFalse(last)
      })
    )
  }

  it.effect("runs again when it was refused and the key was reset meanwhile", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(one)
      yield* limiter.allow("a")
      const last = yield* during((gap) => Effect.tap(limiter.allow("a"), gap), limiter.reset("a"))
      assert.isTrue(last)
      assert.isFalse(yield* limiter.allow("a"))
    })
  )

  it.effect("runs again when it only looked", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(one)
      const seen: Array<number> = []
      yield* during(
        (gap) =>
          Effect.gen(function* () {
            seen.push((yield* limiter.peek("never seen")).remaining)
            yield* gap
          }),
        limiter.allow("never seen")
      )
      assert.deepStrictEqual(seen, [1, 0])
    })
  )

  it.effect("keeps its decision when another key changed", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(one)
      let runs = 0
      yield* during(
        (gap) =>
          Effect.gen(function* () {
            runs++
            assert.isTrue(yield* limiter.allow("a"))
            yield* gap
          }),
        limiter.allow("b")
      )
      assert.strictEqual(runs, 1)
    })
  )

  const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
  const buyers = Arbitrary.array(
    Arbitrary.schema(
      Schema.Struct({
        tx: Schema.Boolean,
        keys: Schema.Array(int(0, 2)).check(Schema.isMinLength(1), Schema.isMaxLength(3)),
        gaps: int(0, 3),
        wait: int(0, 4),
        fails: int(0, 3)
      })
    ),
    { minLength: 2, maxLength: 8 }
  )
  it.effect.prop(
    "whatever the interleaving, what was bought is what is gone",
    { buyers },
    ({ buyers }) =>
      Effect.gen(function* () {
        const limit = 4
        const limiter = yield* RateLimiter.make(RateLimiter.slidingLog({ limit, window: "1 hour" }))
        const bought = [0, 0, 0]
        yield* Effect.forEach(
          buyers,
          ({ fails, gaps, keys, tx, wait }) =>
            Effect.gen(function* () {
              for (let i = 0; i < wait; i++) yield* Effect.yieldNow
              const taken = Effect.forEach(keys, (key) =>
                Effect.tap(limiter.allow(`${key}`), () =>
                  Effect.forEach(Array.from({ length: gaps }), () => Effect.yieldNow)
                )
              )
              const outcome = yield* Effect.exit(
                tx ? Effect.tx(fails === 0 ? Effect.andThen(taken, Effect.fail("no")) : taken) : taken
              )
              if (Exit.isSuccess(outcome))
                (outcome.value as ReadonlyArray<boolean>).forEach((allowed, i) => allowed && bought[keys[i]!]!++)
            }),
          { concurrency: "unbounded", discard: true }
        )
        for (const key of [0, 1, 2]) {
          assert.strictEqual((yield* limiter.peek(`${key}`)).remaining, limit - bought[key]!)
        }
      }),
    { arbitrary: { runs: 200 } }
  )
})

describe("a transaction beside forgetting", () => {
  const policy = { limit: 1, window: "1 second" } as const
  /** Calls on other keys, enough for the sweep to pass everywhere. */
  const traffic = (limiter: RateLimiter.RateLimiterService<string>) =>
    Effect.forEach(Array.from({ length: 1_000 }), (_, i) => limiter.allow(`other ${i % 3}`), { discard: true })

  it.effect("takes the token again when its key was dropped between the read and the commit", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const limiter = yield* limiterOn(store, RateLimiter.fixedWindow(policy))
      yield* limiter.allow("a")
      yield* TestClock.adjust("1 second")
      let runs = 0
      yield* during(
        (gap) =>
          Effect.gen(function* () {
            runs++
            assert.isTrue(yield* limiter.allow("a"))
            yield* gap
          }),
        Effect.map(traffic(limiter), () => assert.isFalse(remembers("a"), "the key was swept"))
      )
      assert.strictEqual(runs, 2)
      assert.isFalse(yield* limiter.allow("a"), "the token that the transaction took is gone")
    })
  )

  it.effect("sees what was taken from a key that was dropped and came back", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow(policy))
      const asked: Array<boolean> = []
      yield* limiter.allow("a")
      yield* TestClock.adjust("1 second")
      yield* during(
        (gap) =>
          Effect.gen(function* () {
            asked.push(yield* limiter.allow("a"))
            yield* gap
          }),
        Effect.andThen(traffic(limiter), limiter.allow("a"))
      )
      assert.deepStrictEqual(asked, [true, false])
    })
  )

  it.effect("takes the token again when its key was evicted between the read and the commit", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow({ ...policy, maxKeys: 1 }))
      let runs = 0
      yield* during(
        (gap) =>
          Effect.gen(function* () {
            runs++
            assert.isTrue(yield* limiter.allow("a"))
            yield* gap
          }),
        limiter.allow("b")
      )
      assert.strictEqual(runs, 2)
      assert.isFalse(yield* limiter.allow("a"))
    })
  )

  it.effect("makes no key of another go unless it commits, and keeps to maxKeys when it does", () =>
    Effect.gen(function* () {
      const { size, store } = yield* spied
      const limiter = yield* limiterOn(store, RateLimiter.fixedWindow({ ...policy, maxKeys: 2 }))
      yield* limiter.allow("a")
      yield* limiter.allow("b")
      yield* Effect.exit(
        Effect.tx(
          Effect.andThen(
            Effect.forEach(["c", "d", "e"], (key) => limiter.allow(key)),
            Effect.fail("no")
          )
        )
      )
      yield* settle
      assert.isFalse(yield* limiter.allow("a"), "it rolled back, and yet another's key was forgiven")
      assert.isFalse(yield* limiter.allow("b"))
      yield* Effect.tx(Effect.forEach(["c", "d", "e"], (key) => limiter.allow(key)))
      yield* settle
      assert.strictEqual(size(), 2)
    })
  )

  it.effect("forgets by its own traffic too", () =>
    Effect.gen(function* () {
      const { size, store } = yield* spied
      const limiter = yield* limiterOn(store, RateLimiter.fixedWindow({ limit: 1, window: 10 }))
      let most = 0
      for (let i = 0; i < 3_000; i++) {
        yield* Effect.tx(limiter.allow(`key ${i}`))
        yield* TestClock.adjust(1)
        most = Math.max(most, size())
      }
      assert.isAtMost(most, 200)
    })
  )

  it.effect("ends when it takes from more keys than may be remembered", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow({ ...policy, maxKeys: 2 }))
      let runs = 0
      const allowed = yield* Effect.tx(
        Effect.suspend(() => {
          // it repeated for ever: each key evicted the one before, which was a conflict
          if (++runs > 5) return Effect.die("runs again and again")
          return Effect.forEach(["a", "b", "c", "d"], (key) => limiter.allow(key))
        })
      )
      assert.deepStrictEqual(allowed, [true, true, true, true])
      assert.strictEqual(runs, 1)
    })
  )
})

describe("a transaction beside a waiter", () => {
  const policy = RateLimiter.tokenBucket({ limit: 4, window: "4 seconds", maxWait: "1 minute" })
  const queued = (limiter: RateLimiter.RateLimiterService<string>) =>
    Effect.map(limiter.peek("a"), ({ queued }) => queued)

  it.effect("does not overtake it, though there is room for the smaller cost", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(policy)
      yield* limiter.acquire("a", { cost: 2 })
      const waiter = yield* Effect.forkChild(limiter.acquire("a", { cost: 3 }))
      yield* settle
      assert.strictEqual(yield* queued(limiter), 1)
      assert.strictEqual((yield* limiter.peek("a")).remaining, 2)
      assert.isFalse(yield* Effect.tx(limiter.allow("a")))
      const error = yield* Effect.flip(Effect.tx(limiter.acquire("a")))
      assert.deepInclude(error, { reason: "limit", retryAfterMillis: 2_000 })
      assert.isTrue(yield* Effect.tx(limiter.allow("b")), "nobody waits on the other key")
      yield* Fiber.interrupt(waiter)
      assert.isTrue(yield* Effect.tx(limiter.allow("a")))
      assert.strictEqual((yield* limiter.peek("a")).remaining, 1)
    })
  )

  for (const [what, reset] of [
    ["the key", "a"],
    ["every key", undefined]
  ] as const) {
    it.effect(`wakes it by resetting ${what}, at the commit and not before`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(policy)
        yield* limiter.acquire("a", { cost: 4 })
        const waiter = yield* Effect.forkChild(limiter.acquire("a", { cost: 4 }))
        yield* settle
        yield* during(
          (gap) => Effect.andThen(limiter.reset(reset), gap),
          Effect.gen(function* () {
            yield* settle
            assert.isUndefined(waiter.pollUnsafe())
          })
        )
        yield* settle
        assert.deepStrictEqual(waiter.pollUnsafe(), Exit.void)
        assert.strictEqual((yield* limiter.peek("a")).remaining, 0)
      })
    )

    it.effect(`leaves it waiting when the transaction that reset ${what} rolls back`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(policy)
        yield* limiter.acquire("a", { cost: 4 })
        const waiter = yield* Effect.forkChild(limiter.acquire("a", { cost: 4 }))
        yield* settle
        yield* Effect.exit(Effect.tx(Effect.andThen(limiter.reset(reset), Effect.fail("no"))))
        yield* TestClock.adjust(3_999)
        assert.isUndefined(waiter.pollUnsafe())
        assert.strictEqual(yield* queued(limiter), 1)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(waiter.pollUnsafe(), Exit.void)
      })
    )
  }

  it.effect("that waits with txRetry for its turn behind a waiter is woken when the key changes", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(policy)
      yield* limiter.acquire("a", { cost: 4 })
      const waiter = yield* Effect.forkChild(limiter.acquire("a", { cost: 3 }))
      yield* settle
      const patient = yield* Effect.forkChild(
        Effect.tx(Effect.flatMap(limiter.allow("a"), (allowed) => (allowed ? Effect.void : Effect.txRetry)))
      )
      yield* settle
      assert.isUndefined(patient.pollUnsafe())
      yield* limiter.reset("a")
      yield* settle
      assert.deepStrictEqual(waiter.pollUnsafe(), Exit.void)
      assert.deepStrictEqual(patient.pollUnsafe(), Exit.void)
      assert.strictEqual((yield* limiter.peek("a")).remaining, 0)
    })
  )

  it.effect("that waits with txRetry is woken by a write of the hot path", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.slidingLog({ limit: 2, window: "1 second" }))
      const patient = yield* Effect.forkChild(
        Effect.tx(
          Effect.flatMap(limiter.peek("a"), ({ remaining }) => (remaining === 0 ? Effect.void : Effect.txRetry))
        )
      )
      yield* settle
      yield* limiter.allow("a")
      yield* settle
      assert.isUndefined(patient.pollUnsafe())
      yield* limiter.allow("a")
      yield* settle
      assert.deepStrictEqual(patient.pollUnsafe(), Exit.void)
    })
  )

  const Both = Resilience.layerFrom([RateLimiter.RateLimiter, CircuitBreaker.CircuitBreaker, Retry.Retry]).pipe(
    Layer.provideMerge([
      RateLimiter.layer(policy),
      CircuitBreaker.layer(
        CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "1 minute" })
      ),
      Retry.layer(Retry.policy({ maxAttempts: 2, backoff: { _tag: "Constant", delay: 60_000, jitter: "none" } }))
    ])
  )

  it.effect("that isolates the circuit turns its waiters away at the commit", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      const breaker = yield* CircuitBreaker.CircuitBreaker
      yield* limiter.acquire("a", { cost: 4 })
      const waiter = yield* Effect.forkChild(Effect.flip(resilient(Effect.void, "a")))
      yield* settle
      yield* Effect.exit(Effect.tx(Effect.andThen(breaker.isolate(), Effect.fail("no"))))
      yield* settle
      assert.isUndefined(waiter.pollUnsafe())
      yield* Effect.tx(breaker.isolate())
      assert.deepInclude(yield* Fiber.join(waiter), { _tag: "CircuitOpen", state: "Isolated" })
      assert.strictEqual(yield* queued(limiter), 0)
    }).pipe(Effect.provide(Both))
  )

  it.effect("that isolates the circuit ends a call in its backoff at the commit, with its last error", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.CircuitBreaker
      const call = yield* Effect.forkChild(Effect.flip(resilient(Effect.fail("down"), "a")))
      yield* settle
      yield* Effect.exit(Effect.tx(Effect.andThen(breaker.isolate(), Effect.fail("no"))))
      yield* settle
      assert.isUndefined(call.pollUnsafe())
      yield* Effect.tx(breaker.isolate())
      assert.strictEqual(yield* Fiber.join(call), "down")
    }).pipe(Effect.provide(Both))
  )
})
