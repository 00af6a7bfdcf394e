/** What a callback of one call throws reaches the process, and no other call (design.md, section 3, law 7). */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, RemoteStore, Resilience, Retry } from "../../src/index.ts"
import { committed } from "../../src/internal/answers.ts"
import { guarded } from "../../src/remote/guard.ts"
import * as memoryStore from "../../src/internal/memoryStore.ts"
import { transactions } from "../../src/internal/memoryTransactions.ts"
import { limiterOn, settle, spied } from "./support.ts"
import { uncaught } from "./uncaught.ts"

const bug = new Error("headers were sent already")

/** A call of a caller whose `onExit` throws. */
const careless = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.withFiber((fiber) => {
    Effect.runCallbackWith(fiber.context)(effect, {
      onExit: () => {
        throw bug
      }
    })
    return Effect.void
  })

describe("where a timeout ends a call whose onExit throws", () => {
  const others = {
    "a timeout": Effect.map(Resilience.make("timed", { timeout: 100 }), (service) =>
      service.resilient(Effect.never, "k")
    ),
    "a wait for a limit": Effect.gen(function* () {
      const limit = RateLimiter.tokenBucket({ limit: 1, window: 100, maxWait: 1_000 })
      const service = yield* Resilience.make("limited", { rateLimiter: limit })
      yield* service.resilient(Effect.void, "k")
      return service.resilient(Effect.void, "k")
    }),
    "a backoff beside a circuit": Effect.map(
      Resilience.make("repeated", {
        circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(9), openDuration: 9 }),
        retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(100) })
      }),
      (service) => service.resilient(Effect.fail("503"), "k")
    ),
    "a wait for a slot": Effect.gen(function* () {
      const service = yield* Resilience.make("slots", { bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: 100 }) })
      yield* Effect.forkChild(service.resilient(Effect.never, "k"))
      yield* settle
      return service.resilient(Effect.void, "k")
    })
  }
  for (const [name, other] of Object.entries(others)) {
    it.effect(`${name} of another service ends on time`, () =>
      Effect.gen(function* () {
        const thrown = yield* uncaught
        const call = yield* other
        const first = yield* Resilience.make("careless", { timeout: 50 })
        yield* careless(first.resilient(Effect.never, "k"))
        const fiber = yield* Effect.forkChild(call)
        yield* TestClock.adjust(99)
        assert.deepStrictEqual(thrown, [bug])
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        yield* settle
        assert.isDefined(fiber.pollUnsafe())
      })
    )
  }
})

describe("where a store answers several calls in a row", () => {
  const limit = RateLimiter.tokenBucket({ limit: 10, window: "1 hour" })

  it.effect("the onExit of one that throws keeps no other from its answer", () =>
    Effect.gen(function* () {
      const thrown = yield* uncaught
      const memory = memoryStore.make(transactions)
      const replies: Array<() => void> = []
      const remote = RemoteStore.make({
        ...memory,
        begin: (steps, _fiber, tell) => {
          replies.push(() => tell(Exit.succeed(committed(steps, 0, memory.sync.commit(steps, 0)))))
          return () => {}
        }
      })
      const limiter = yield* limiterOn(remote, limit)
      yield* careless(limiter.acquire("a"))
      yield* careless(limiter.allow("b"))
      const third = yield* Effect.forkChild(limiter.acquire("c"))
      const fourth = yield* Effect.forkChild(limiter.allow("d"))
      yield* settle
      assert.lengthOf(replies, 4)
      for (const reply of replies) reply() // as a connection does, for what came in one read
      yield* settle
      assert.deepStrictEqual(third.pollUnsafe(), Exit.void)
      assert.deepStrictEqual(fourth.pollUnsafe(), Exit.succeed(true))
      assert.deepStrictEqual(thrown, [bug, bug])
    })
  )

  it.effect("and the same for what reads", () =>
    Effect.gen(function* () {
      const thrown = yield* uncaught
      const memory = memoryStore.make(transactions)
      const waiting: Array<() => void> = []
      const remote = RemoteStore.make({
        ...memory,
        read: (space, key) =>
          Effect.callback((resume) => {
            waiting.push(() => resume(memory.read(space, key)))
          })
      })
      const store = guarded(remote, "s")
      const space = (yield* RateLimiter.make(limit)).gate.members[0]!.space
      yield* careless(store.read(space, "a"))
      const second = yield* Effect.forkChild(store.read(space, "b"))
      yield* settle
      for (const reply of waiting) reply()
      yield* settle
      assert.isTrue(Exit.isSuccess(second.pollUnsafe()!))
      assert.deepStrictEqual(thrown, [bug])
    })
  )
})

describe("where a write wakes several transactions", () => {
  it.effect("the onExit of one that throws keeps no other from running again", () =>
    Effect.gen(function* () {
      const thrown = yield* uncaught
      const { store } = yield* spied
      const limiter = yield* limiterOn(store, RateLimiter.tokenBucket({ limit: 1, window: "1 hour" }))
      yield* limiter.allow("k")
      const untilFree = Effect.tx(
        Effect.flatMap(limiter.peek("k"), ({ remaining }) => (remaining > 0 ? Effect.void : Effect.txRetry))
      )
      yield* careless(untilFree)
      const other = yield* Effect.forkChild(untilFree)
      yield* settle
      assert.isUndefined(other.pollUnsafe())
      yield* limiter.reset("k")
      yield* settle
      assert.deepStrictEqual(other.pollUnsafe(), Exit.void)
      assert.deepStrictEqual(thrown, [bug])
    })
  )
})
