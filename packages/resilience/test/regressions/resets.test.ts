/** What a reset leaves of the calls before it. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker, RateLimiter, Resilience, Retry } from "../../src/index.ts"
import * as RemoteStore from "../../src/RemoteStore.ts"
import { layerMemory, Store } from "../../src/Store.ts"

/** A store elsewhere: it decides at once, and the first answer is late. */
const lateFirstAnswer = Effect.gen(function* () {
  const memory = yield* Store
  const gate = yield* Deferred.make<void>()
  let first = true
  const store = RemoteStore.make({
    ...memory,
    commit: (steps) =>
      Effect.tap(memory.commit(steps), () => {
        const late = first
        first = false
        return late ? Deferred.await(gate) : Effect.void
      })
  })
  return { answer: Deferred.succeed(gate, undefined), layer: Layer.succeed(Store, store) }
}).pipe(Effect.provide(layerMemory))

describe("a call that was let in before a reset, and goes before it runs", () => {
  const limits = {
    "a token bucket": RateLimiter.tokenBucket({ limit: 3, window: "1 hour" }),
    "a fixed window": RateLimiter.fixedWindow({ limit: 3, window: "1 hour" }),
    "a sliding window": RateLimiter.slidingWindow({ limit: 3, window: "1 hour" }),
    "a sliding log": RateLimiter.slidingLog({ limit: 3, window: "1 hour" })
  }
  for (const [name, policy] of Object.entries(limits)) {
    for (const [what, key] of [
      ["its key", "a"],
      ["everything", undefined]
    ] as const) {
      it.effect(`gives nothing back to ${name} that was taken after the reset of ${what}`, () =>
        Effect.gen(function* () {
          const { answer, layer } = yield* lateFirstAnswer
          yield* Effect.gen(function* () {
            const limiter = yield* RateLimiter.RateLimiter
            const early = yield* Effect.forkChild(limiter.acquire("a"), { startImmediately: true })
            yield* limiter.reset(key)
            yield* limiter.acquire("a")
            yield* limiter.acquire("a")
            yield* Fiber.interrupt(early)
            yield* answer
            assert.strictEqual((yield* limiter.peek("a")).remaining, 1)
          }).pipe(Effect.provide(Layer.provide(RateLimiter.layerFromStore(policy), layer)))
        })
      )
    }
    it.effect(`gives its token back to ${name} when another key was reset`, () =>
      Effect.gen(function* () {
        const { answer, layer } = yield* lateFirstAnswer
        yield* Effect.gen(function* () {
          const limiter = yield* RateLimiter.RateLimiter
          const early = yield* Effect.forkChild(limiter.acquire("a"), { startImmediately: true })
          yield* limiter.reset("b")
          yield* Fiber.interrupt(early)
          yield* answer
          assert.strictEqual((yield* limiter.peek("a")).remaining, 3)
        }).pipe(Effect.provide(Layer.provide(RateLimiter.layerFromStore(policy), layer)))
      })
    )
  }

  it.effect("may be one of very many: then its token is lost, and no other one is freed", () =>
    Effect.gen(function* () {
      const { answer, layer } = yield* lateFirstAnswer
      yield* Effect.gen(function* () {
        const limiter = yield* RateLimiter.RateLimiter
        const early = yield* Effect.forkChild(limiter.acquire("a"), { startImmediately: true })
        yield* limiter.reset("a")
        for (let i = 0; i < 2_000; i++) yield* limiter.reset(`b${i}`)
        yield* limiter.acquire("a")
        yield* Fiber.interrupt(early)
        yield* answer
        assert.strictEqual((yield* limiter.peek("a")).remaining, 2)
      }).pipe(Effect.provide(Layer.provide(RateLimiter.layerFromStore(limits["a fixed window"]), layer)))
    })
  )
})

describe("a call that backs off when its closed circuit is reset", () => {
  const Policies = Layer.mergeAll(
    CircuitBreaker.layerFromStore(
      CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(9), openDuration: "1 minute" })
    ),
    Retry.layer(Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("1 hour") }))
  )
  const Composed = Resilience.layerFrom([CircuitBreaker.CircuitBreaker, Retry.Retry])
  const Elsewhere = Layer.effect(Store, Effect.map(Store, RemoteStore.make)).pipe(Layer.provide(layerMemory))

  for (const [where, layer] of [
    ["this process", layerMemory],
    ["a store elsewhere", Elsewhere]
  ] as const) {
    it.effect(`ends at once, with its state in ${where}`, () =>
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker.CircuitBreaker
        const { resilient } = yield* Resilience.Resilience
        let attempts = 0
        const call = Effect.suspend(() => Effect.fail(`attempt ${++attempts}`))
        const fiber = yield* Effect.forkChild(resilient(call, "a"), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        assert.isUndefined(fiber.pollUnsafe())
        yield* breaker.reset()
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(fiber.pollUnsafe(), Exit.fail("attempt 1"))
      }).pipe(Effect.provide(Layer.provideMerge(Composed, Layer.provide(Policies, layer))))
    )
  }
})

describe("a reset of a key for which there is no room", () => {
  const policy = RateLimiter.every({
    user: RateLimiter.fixedWindow({ limit: 1, window: "1 hour", maxKeys: 1, overflow: "reject" }),
    all: RateLimiter.shared(RateLimiter.fixedWindow({ limit: 1, window: "1 hour" }))
  })
  const commands = { "outside of a transaction": Effect.asVoid, "inside of one": Effect.tx } as const
  for (const [where, run] of Object.entries(commands)) {
    it.effect(`forgets the others all the same: ${where}`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(policy)
        yield* limiter.acquire({ user: "a" })
        yield* run(limiter.reset({ user: "b" }))
        assert.strictEqual((yield* limiter.peek({ user: "a" })).limits["all"]?.remaining, 1)
        assert.strictEqual((yield* limiter.peek({ user: "a" })).limits["user"]?.remaining, 0)
      })
    )
  }
})
