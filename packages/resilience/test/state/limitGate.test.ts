/** What the limits of a service ask of a store, and whom they let wait. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter, type Rejection, RemoteStore } from "../../src/index.ts"
import { adopted } from "../../src/kernel/Adoption.ts"
import type { LimiterDecision } from "../../src/kernel/Limiter.ts"
import { layerMemory, Store } from "../../src/Store.ts"
import { limiterOn, spied } from "./support.ts"

const hour = "1 hour" as const
const refusal = <A>(effect: Effect.Effect<A, Rejection.RateLimitExceeded>) => Effect.flip(effect)

describe("keys", () => {
  it.effect("of a limit that all share are one, and a refusal says so", () =>
    Effect.gen(function* () {
      const limit = RateLimiter.shared(RateLimiter.fixedWindow({ limit: 1, window: hour }))
      const limiter = yield* RateLimiter.make(limit, "app/Api")
      yield* limiter.acquire("a")
      const { key, limits } = yield* refusal(limiter.acquire("b"))
      assert.strictEqual(key, "b")
      assert.deepStrictEqual(
        limits.map((one) => one.key),
        [""]
      )
    })
  )

  it.effect("spaces of limits whose names look alike stay apart in a store that knows names only", () =>
    Effect.gen(function* () {
      const { spaces, store } = yield* spied
      const limit = RateLimiter.fixedWindow({ limit: 1, window: hour })
      const every = RateLimiter.every({ "a/b": limit, "a~1b": limit, "a~b": limit, "a~0b": limit })
      const limiter = yield* limiterOn(store, every)
      yield* limiter.allow({ "a/b": "k", "a~1b": "k", "a~b": "k", "a~0b": "k" })
      assert.deepStrictEqual(Array.from(spaces, ({ name }) => name).sort(), [
        "effect-resilience/RateLimiter/a~00b",
        "effect-resilience/RateLimiter/a~01b",
        "effect-resilience/RateLimiter/a~0b",
        "effect-resilience/RateLimiter/a~1b"
      ])
    })
  )
})

describe("a policy that changed", () => {
  const limits = (limit: number): Record<string, RateLimiter.Limit> => ({
    "token bucket": RateLimiter.tokenBucket({ limit, window: hour }),
    "leaky bucket": RateLimiter.leakyBucket({ limit, window: hour, capacity: limit }),
    "fixed window": RateLimiter.fixedWindow({ limit, window: hour }),
    "sliding window": RateLimiter.slidingWindow({ limit, window: hour }),
    "sliding log": RateLimiter.slidingLog({ limit, window: hour })
  })
  for (const kind of Object.keys(limits(1))) {
    it.effect(`finds in a ${kind}'s space what a store needs to begin with the units that were used`, () =>
      Effect.gen(function* () {
        const spaceOf = Effect.fnUntraced(function* (limit: number) {
          const { spaces, store } = yield* spied
          const limiter = yield* limiterOn(store, limits(limit)[kind]!)
          yield* limiter.acquire("a")
          return Array.from(spaces)[0]!
        })
        const [old, next] = [yield* spaceOf(10), yield* spaceOf(5)]
        const { kernel, policy } = next
        const [, used] = kernel.step(old.policy, kernel.initial(old.policy), { op: "take", cost: 3 }, 0)
        const begun = adopted(kernel, next.isLimit === true, policy, old.policy, used, 0)
        const [answer] = kernel.step(policy, begun, { op: "take", cost: 0 }, 0)
        assert.deepInclude(answer as LimiterDecision<unknown>, { allowed: true, remaining: 2 }) // of a limit's kernel
      })
    )
  }
})

describe("waiting", () => {
  const waiting = { maxWait: hour, maxQueued: 3 } as const

  it.effect("a queue that is full refuses, and tells how long the line is", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 1, window: "1 second", ...waiting }))
      yield* limiter.acquire("a")
      const line = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(limiter.acquire("a")))
      yield* TestClock.adjust(0)
      const { reason, retryAfterMillis } = yield* refusal(limiter.acquire("a"))
      assert.deepStrictEqual([reason, retryAfterMillis], ["queue-full", 4_000])
      yield* limiter.acquire("b")
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.joinAll(line)
    })
  )

  it.effect("who would wait too long is told so on arrival, exactly, also after some were let through or left", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: hour, maxQueued: 100 })
      )
      const waitOf = Effect.map(
        refusal(limiter.acquire("a", { maxWait: 1 })),
        ({ reason, retryAfterMillis }) => `${reason} ${retryAfterMillis}`
      )
      yield* limiter.acquire("a")
      const line = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(limiter.acquire("a")))
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* waitOf, "wait-too-long 5000")
      yield* TestClock.adjust(1_500)
      assert.strictEqual(yield* waitOf, "wait-too-long 3500")
      yield* Fiber.interrupt(line[2]!)
      assert.strictEqual(yield* waitOf, "wait-too-long 2500")
      yield* limiter.reset("a")
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* waitOf, "wait-too-long 2000")
    })
  )

  it.effect("a reset of all keys lets whoever is first in each line ask again at once", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.fixedWindow({ limit: 1, window: hour, maxWait: "2 hours" }))
      const line = yield* Effect.forEach(["a", "b"], (key) =>
        Effect.andThen(limiter.acquire(key), Effect.forkChild(limiter.acquire(key)))
      )
      yield* TestClock.adjust(0)
      yield* limiter.reset()
      yield* TestClock.adjust(0)
      yield* Fiber.joinAll(line)
    })
  )

  it.effect("the strictest of several waits counts, for how long and where", () =>
    Effect.gen(function* () {
      const of = (window: "1 second" | "5 seconds", maxWait: "3 seconds" | "1 minute") =>
        RateLimiter.fixedWindow({ limit: 1, window, maxWait })
      const limiter = yield* RateLimiter.make(
        RateLimiter.every({ user: of("1 second", "1 minute"), tenant: of("5 seconds", "3 seconds") })
      )
      const key = { user: "ada", tenant: "acme" }
      yield* limiter.acquire(key)
      const { limits, reason, retryAfterMillis } = yield* refusal(limiter.acquire(key))
      assert.strictEqual(reason, "wait-too-long")
      assert.strictEqual(retryAfterMillis, 5_000)
      assert.deepStrictEqual(
        limits.map((one) => [one.limit, one.reason]),
        [
          ["user", "limit"],
          ["tenant", "wait-too-long"]
        ]
      )
    })
  )

  it.effect("a waiter whose time is over is refused, and the next one is not held up", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.tokenBucket({ limit: 1, window: "10 seconds", maxWait: "1 minute" })
      )
      yield* limiter.acquire("a")
      const patient = yield* Effect.forkChild(limiter.acquire("a"))
      yield* TestClock.adjust(0)
      const hasty = yield* Effect.forkChild(Effect.exit(limiter.acquire("a", { maxWait: "20 seconds" })))
      yield* TestClock.adjust(0)
      // somebody takes what the first of them waits for
      const taken = yield* Effect.exit(limiter.acquire("a", { maxWait: 0 }))
      assert.isTrue(Exit.isFailure(taken))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(patient)
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(hasty)))
    })
  )
})

describe("giving back", () => {
  it.effect("is left out where the key was forgotten: what its next life took is not this call's", () =>
    Effect.gen(function* () {
      const { store } = yield* spied
      const limiter = yield* limiterOn(store, RateLimiter.tokenBucket({ limit: 9, window: hour, maxKeys: 1 }))
      const { gate } = limiter
      const entry = gate.entry("a", 1)
      entry.asks()
      store.sync.commit(entry.steps, 0, true)
      assert.strictEqual(entry.refunds().length, 1)
      yield* limiter.acquire("b")
      assert.strictEqual(entry.refunds().length, 0, "evicted")
      yield* limiter.acquire("a")
      assert.strictEqual(entry.refunds().length, 0, "another life")
    })
  )
})

describe("elsewhere", () => {
  it.effect("one who waits in the queue of this process goes first, whatever the store would say", () =>
    Effect.gen(function* () {
      const memory = yield* Store
      let asked = 0
      const store = RemoteStore.make({
        ...memory,
        commit: (steps) => Effect.suspend(() => (asked++, memory.commit(steps)))
      })
      const limit = RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: hour })
      const limiter = yield* limiterOn(store, limit)
      yield* limiter.acquire("a")
      const first = yield* Effect.forkChild(limiter.acquire("a"))
      yield* TestClock.adjust(0)
      const before = asked
      const second = yield* Effect.forkChild(limiter.acquire("a"))
      yield* TestClock.adjust(0)
      assert.strictEqual(asked, before, "whoever comes later need not ask")
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.joinAll([first, second])
    }).pipe(Effect.provide(Layer.fresh(layerMemory)))
  )
})
