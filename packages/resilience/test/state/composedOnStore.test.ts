/** `Resilience.layerFrom` over policy services whose state lives in one store elsewhere. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import { CircuitBreaker, RateLimiter, Rejection, RemoteStore, Resilience, resilient, Retry } from "../../src/index.ts"
import { layerMemory, type Step, Store } from "../../src/Store.ts"

/** A store elsewhere that can go away, and the commits that reached it. */
const elsewhere = Effect.gen(function* () {
  const memory = yield* Store
  const seen: { commits: Array<ReadonlyArray<Step>>; down: boolean } = { commits: [], down: false }
  const answer = <A>(effect: Effect.Effect<A, Rejection.StoreError>): Effect.Effect<A, Rejection.StoreError> =>
    Effect.suspend(() => (seen.down ? Effect.fail(new Rejection.StoreError({ reason: "unavailable" })) : effect))
  const store = RemoteStore.make({
    commit: (steps) => {
      seen.commits.push(steps)
      return answer(memory.commit(steps))
    },
    read: (space, key) => answer(memory.read(space, key)),
    clear: (space) => answer(memory.clear(space))
  })
  return { seen, layer: Layer.succeed(Store, store) }
}).pipe(Effect.provide(layerMemory))

const Policies = Layer.mergeAll(
  RateLimiter.layerFromStore(RateLimiter.tokenBucket({ limit: 2, window: "1 hour" })),
  CircuitBreaker.layerFromStore(
    CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "1 minute" })
  ),
  Retry.layer(Retry.policy({ maxAttempts: 1 }))
)
const Composed = Resilience.layerFrom([RateLimiter.RateLimiter, CircuitBreaker.CircuitBreaker, Retry.Retry])

describe("layerFrom, over services on one store elsewhere", () => {
  it.effect("asks limits and circuit in one trip, and reports in another", () =>
    Effect.gen(function* () {
      const { layer, seen } = yield* elsewhere
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* resilient(Effect.succeed(1), "a"), 1)
        assert.deepStrictEqual(
          seen.commits.map((steps) => steps.map(({ space }) => space.kernel.id)),
          [["circuit-breaker@3", "token-bucket@2"], ["circuit-breaker@3"]]
        )
        yield* Effect.exit(resilient(Effect.fail("down"), "b"))
        yield* Effect.exit(resilient(Effect.fail("down"), "b"))
        assert.strictEqual((yield* (yield* CircuitBreaker.CircuitBreaker).state()).state, "Open")
      }).pipe(Effect.provide(Layer.provideMerge(Composed, Layer.provide(Policies, layer))))
    })
  )

  it.effect("decides in this process while the store is away, and all of them by the same memory", () =>
    Effect.gen(function* () {
      const { layer, seen } = yield* elsewhere
      seen.down = true
      yield* Effect.gen(function* () {
        const breaker = yield* CircuitBreaker.CircuitBreaker
        const limiter = yield* RateLimiter.RateLimiter
        yield* Effect.exit(resilient(Effect.fail("down"), "a"))
        assert.strictEqual((yield* limiter.peek("a")).remaining, 1)
        yield* Effect.exit(resilient(Effect.fail("down"), "a"))
        assert.strictEqual((yield* breaker.state()).state, "Open")
        const exit = yield* Effect.exit(resilient(Effect.void, "b"))
        assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("CircuitOpen"), String(exit))
      }).pipe(Effect.provide(Layer.provideMerge(Composed, Layer.provide(Policies, layer))))
    })
  )

  it.effect("refuses services that live in different stores: an admission is one step", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* elsewhere, yield* elsewhere]
      const apart = Layer.mergeAll(
        Layer.provide(RateLimiter.layerFromStore(RateLimiter.slidingLog({ limit: 1, window: 1 })), one.layer),
        Layer.provide(
          CircuitBreaker.layerFromStore(
            CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "1 minute" })
          ),
          two.layer
        )
      )
      const Both = Resilience.layerFrom([RateLimiter.RateLimiter, CircuitBreaker.CircuitBreaker])
      const exit = yield* Effect.exit(Effect.provide(Effect.void, Layer.provide(Both, apart)))
      assert.include(String(Exit.isFailure(exit) && exit.cause), "store must be one")
    })
  )
})

describe("a call that was let in while the store was away", () => {
  it.effect(
    "reports to the memory that let it in: the store's own circuit does not hear of it, nor the other way",
    () =>
      Effect.gen(function* () {
        const { layer, seen } = yield* elsewhere
        class Api extends Resilience.Service<Api>()("app/Api", {
          circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" })
        }) {}
        yield* Effect.gen(function* () {
          const stateWhile = (down: boolean) =>
            Effect.suspend(() => {
              seen.down = down
              return Effect.map(Api.inspect("a"), ({ circuitBreaker }) => circuitBreaker?.state)
            })
          const failsOnce = (before: boolean, after: boolean) =>
            Effect.suspend(() => {
              seen.down = before
              const call = Effect.suspend(() => {
                seen.down = after
                return Effect.fail("down")
              })
              return Effect.exit(Api.resilient(call, "a"))
            })
          yield* failsOnce(true, false) // let in by the memory, back before it ends
          assert.deepStrictEqual([yield* stateWhile(false), yield* stateWhile(true)], ["Closed", "Open"])
          yield* failsOnce(false, true) // let in by the store, which is away when it ends: dropped
          assert.deepStrictEqual([yield* stateWhile(false), yield* stateWhile(true)], ["Closed", "Open"])
          yield* failsOnce(false, false)
          assert.strictEqual(yield* stateWhile(false), "Open")
        }).pipe(Effect.provide(Layer.provide(Api.layerFromStore, layer)))
      })
  )
})
