/** Transactions beside what else can happen to a key: a conflict, a sweep, an eviction. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Schema } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter } from "../../src/index.ts"
import { during, limiterOn, settle, spied } from "./support.ts"

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

  it.effect("does not forget what it has touched itself, however many keys that are", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow(policy))
      let runs = 0
      const keys = Array.from({ length: 300 }, (_, i) => `key ${i}`)
      yield* Effect.tx(
        Effect.suspend(() => {
          runs++
          return Effect.forEach(keys, (key) => Effect.andThen(limiter.peek(key), limiter.allow(key)))
        })
      )
      assert.strictEqual(runs, 1)
      assert.isFalse(yield* limiter.allow("key 0"))
    })
  )

  it.effect(
    "is refused a key more than may be remembered, where new ones are refused, and does not repeat for it",
    () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow({ ...policy, maxKeys: 2, overflow: "reject" }))
        let runs = 0
        const allowed = yield* Effect.tx(
          Effect.suspend(() => {
            if (++runs > 5) return Effect.die("runs again and again")
            return Effect.forEach(["a", "b", "c", "a"], (key) => limiter.allow(key))
          })
        )
        assert.deepStrictEqual(allowed, [true, true, false, false])
        assert.strictEqual(runs, 1)
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
