/** What a service accepts as a store, and what a copy of one opens as. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, type Scope } from "effect"
import { CircuitBreaker, MemoryStore, RateLimiter, Rejection, RemoteStore, Resilience, Store } from "../../src/index.ts"
import { limiterOn } from "./support.ts"

const limit = RateLimiter.tokenBucket({ limit: 1, window: "1 hour" })
const unavailable = Effect.fail(new Rejection.StoreError({ reason: "unavailable" }))
const away = { commit: () => unavailable, read: () => unavailable, clear: () => unavailable }

describe("a value of JavaScript that is no store", () => {
  const trip = { tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" } as const
  const services = {
    RateLimiter: RateLimiter.makeFromStore(limit, "app/Api"),
    CircuitBreaker: CircuitBreaker.makeFromStore(CircuitBreaker.policy(trip), "app/Api"),
    Resilience: Resilience.makeFromStore("app/Api", { rateLimiter: limit })
  }
  type Make = Effect.Effect<unknown, never, Store.Store | Scope.Scope>
  for (const [name, make] of Object.entries<Make>(services)) {
    it.effect(`is refused by ${name} when it is built, with a message that says how to make one`, () =>
      Effect.gen(function* () {
        const plain = away as unknown as Store.Store["Service"] // what the types refuse
        const exit = yield* Effect.exit(Effect.scoped(Effect.provideService(make, Store.Store, plain)))
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) {
          const message = "The Store of app/Api must be a MemoryStore, or made by RemoteStore.make"
          assert.include(Cause.pretty(exit.cause), message)
        }
      })
    )
  }
})

describe("a copy of a store", () => {
  it.effect("that is remote is asked what the copy has in place of the original's", () =>
    Effect.gen(function* () {
      const memory = yield* Store.Store
      let asked = 0
      const original = RemoteStore.make(away)
      const copy: typeof original = { ...original, commit: (steps) => (asked++, memory.commit(steps)) }
      const limiter = yield* limiterOn(copy, limit)
      assert.deepStrictEqual([yield* limiter.allow("a"), yield* limiter.allow("a")], [true, false])
      assert.strictEqual(asked, 2)
    }).pipe(Effect.provide(MemoryStore.layer))
  )

  it.effect("in this process is asked without a trip, as the original is", () =>
    Effect.gen(function* () {
      let asked = 0
      const memory = yield* Store.Store
      const copy: typeof memory = { ...memory, commit: (steps) => (asked++, memory.commit(steps)) }
      const limiter = yield* limiterOn(copy, limit)
      yield* limiter.allow("a")
      assert.strictEqual(asked, 0, "a decision of the hot path needs no Effect")
      yield* Effect.tx(limiter.allow("b"))
      assert.strictEqual(asked, 1, "one in a transaction is the copy's")
    }).pipe(Effect.provide(MemoryStore.layer))
  )
})
