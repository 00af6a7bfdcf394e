/** What a service tells a store of several machines: whether the keys of a commit are all one. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { CircuitBreaker, type Policies, RateLimiter, RemoteStore, Resilience } from "../../src/index.ts"
import { layerMemory, Store } from "../../src/Store.ts"

const limit = RateLimiter.fixedWindow({ limit: 9, window: "1 hour" })
const options = { tripPolicy: CircuitBreaker.consecutive(2), openDuration: "1 minute" } as const
const { policy } = CircuitBreaker
const { by, every, shared } = RateLimiter

/** What the spaces of one call say, and its keys. */
const asked = <const P extends Policies.Policies>(policies: P & Policies.Known<P>, key: Policies.KeyOf<P>) =>
  Effect.gen(function* () {
    const memory = yield* Store
    const seen = { spread: new Set<boolean | undefined>(), keys: new Set<string>() }
    const layer = Layer.succeed(
      Store,
      RemoteStore.make({
        ...memory,
        commit: (steps) => {
          for (const { key, space } of steps) {
            seen.spread.add(space.spread)
            seen.keys.add(key)
          }
          return memory.commit(steps)
        }
      })
    )
    const { resilient } = yield* Effect.provide(Resilience.makeFromStore<P>("service", policies), layer)
    const call = Effect.succeed("ran") as Effect.Effect<never> // the compiler does not know here what policies of type P judge
    yield* Effect.exit(resilient(call, key))
    return { spread: [...seen.spread], keys: [...seen.keys] }
  }).pipe(Effect.provide(layerMemory))

describe("a store of several machines may spread a service by key", () => {
  it.effect("where each of its calls has one key", () =>
    Effect.gen(function* () {
      const one = { spread: [true], keys: ["ada"] }
      assert.deepStrictEqual(yield* asked({ rateLimiter: limit }, "ada"), one)
      assert.deepStrictEqual(yield* asked({ circuitBreaker: policy({ ...options, by: "key" }) }, "ada"), one)
      assert.deepStrictEqual(
        yield* asked({ rateLimiter: limit, circuitBreaker: policy({ ...options, by: "key" }) }, "ada"),
        one
      )
      const users = every({ user: limit, burst: by("user", limit) })
      const byUser = policy({ ...options, by: "user" })
      assert.deepStrictEqual(yield* asked({ rateLimiter: users, circuitBreaker: byUser }, { user: "ada" }), one)
      const all = { spread: [true], keys: [""] }
      const global = every({ global: shared(limit) })
      assert.deepStrictEqual(yield* asked({ rateLimiter: global, circuitBreaker: policy(options) }, "any"), all)
    })
  )

  it.effect("and not where a call has several", () =>
    Effect.gen(function* () {
      const several = { spread: [false], keys: ["", "ada"] }
      assert.deepStrictEqual(yield* asked({ rateLimiter: limit, circuitBreaker: policy(options) }, "ada"), several)
      const two = every({ global: shared(limit), user: limit })
      assert.deepStrictEqual(yield* asked({ rateLimiter: two }, { user: "ada" }), several)
    })
  )

  it.effect("what is leased is taken alone, whatever else a call asks", () =>
    Effect.gen(function* () {
      const lease = { duration: "10 millis", share: 2 } as const
      const user = RateLimiter.tokenBucket({ limit: 9, window: "1 second", lease })
      const own = { spread: [true], keys: ["ada", ""] }
      const two = every({ user, global: shared(limit) })
      assert.deepStrictEqual(yield* asked({ rateLimiter: two }, { user: "ada" }), own)
    })
  )
})
