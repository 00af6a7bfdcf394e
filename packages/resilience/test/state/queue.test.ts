/** The queues of limits and slots: how many stand in one, who leaves a full one, and what a call costs that comes and goes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Bulkhead, RateLimiter, Rejection } from "../../src/index.ts"
import { arrive, type Caller } from "../laws/caller.ts"
import * as memoryStore from "../../src/internal/memoryStore.ts"
import { Store } from "../../src/Store.ts"
import { clean, elsewhere, type MemoryService, Stage } from "../laws/harness.ts"
import { settle } from "./support.ts"

const day = 86_400_000

/** One unit a second, one at once. */
const bucket = (maxQueued?: number) =>
  RateLimiter.tokenBucket({ limit: 1, window: "1 second", burst: 1, maxWait: day, maxQueued })

const reasonOf = ({ ended }: Caller) => {
  const error = ended?.error
  if (error instanceof Rejection.RateLimitExceeded || error instanceof Rejection.BulkheadFull) return error.reason
  return undefined
}

describe("a full queue", () => {
  it.effect("refuses its youngest call where an older one moves in", () =>
    Effect.sync(() => {
      const stage = new Stage(
        { rateLimiter: RateLimiter.every({ x: bucket(), y: bucket(1) }) },
        { key: { x: "", y: "" } }
      )
      arrive(stage, { key: { x: "a", y: "other" } })
      const old = arrive(stage, { key: { x: "a", y: "b" } }) // waits for x
      stage.world.advance(500)
      arrive(stage, { key: { x: "c", y: "b" } })
      const young = arrive(stage, { key: { x: "d", y: "b" } }) // waits for y, and fills its queue
      stage.world.advance(500)
      assert.deepInclude(young.ended, { at: 1_000 })
      assert.instanceOf(young.ended!.error, Rejection.RateLimitExceeded)
      assert.deepStrictEqual(
        young.ended!.error.limits.map(({ limit, reason, retryAfterMillis }) => [limit, reason, retryAfterMillis]),
        [["y", "queue-full", 500]]
      )
      stage.world.runOut()
      assert.strictEqual(old.ranAt, 1_500)
      assert.deepStrictEqual(stage.debris(), clean)
    })
  )

  it.effect("refuses the call that moves in where all in it are older, with that queue as the reason", () =>
    Effect.sync(() => {
      const z = RateLimiter.tokenBucket({ limit: 1, window: "900 millis", burst: 1, maxWait: day })
      const stage = new Stage(
        { rateLimiter: RateLimiter.every({ x: bucket(), y: bucket(1), z }) },
        { key: { x: "", y: "", z: "" } }
      )
      arrive(stage, { key: { x: "a", y: "1", z: "c" } })
      const older = arrive(stage, { key: { x: "b", y: "full", z: "c" } }) // waits for z until 900
      const mover = arrive(stage, { key: { x: "a", y: "full", z: "d" } }) // waits for x until 1,000
      stage.world.advance(500)
      arrive(stage, { key: { x: "e", y: "full", z: "e" } })
      stage.world.advance(499)
      assert.strictEqual(stage.inspect({ x: "", y: "full", z: "" }).rateLimiter!.limits["y"]!.queued, 1)
      assert.isFalse("ended" in mover && mover.ended !== undefined)
      stage.world.advance(1)
      const ended = mover.ended!
      assert.instanceOf(ended.error, Rejection.RateLimitExceeded)
      assert.deepStrictEqual([ended.at, ended.error.reason], [1_000, "queue-full"])
      assert.deepStrictEqual(
        ended.error.limits.map((one) => [one.limit, one.reason, one.retryAfterMillis]),
        [["y", "queue-full", 500]]
      )
      stage.world.runOut()
      assert.strictEqual(older.ranAt, 1_500)
      assert.deepStrictEqual(stage.debris(), clean)
    })
  )

  it.effect("of a bulkhead refuses its youngest call, too", () =>
    Effect.sync(() => {
      const bulkhead = Bulkhead.policy({ maxConcurrent: 1, maxQueued: 1, maxWait: day })
      const stage = new Stage({ rateLimiter: bucket(), bulkhead })
      arrive(stage, { key: "a" }, Effect.sleep(1_800))
      const old = arrive(stage, { key: "a" }) // waits for its limit
      stage.world.advance(500)
      const young = arrive(stage, { key: "b" }) // waits for the slot
      stage.world.advance(500)
      assert.deepInclude(young.ended, { at: 1_000 })
      assert.strictEqual(reasonOf(young), "queue-full")
      stage.world.runOut()
      assert.strictEqual(old.ranAt, 1_800)
      assert.deepStrictEqual(stage.debris(), clean)
    })
  )

  it.effect("of a bulkhead with slots for each key refuses its youngest call, and no other", () =>
    Effect.sync(() => {
      const bulkhead = Bulkhead.policy({ maxConcurrent: 1, maxQueued: 1, maxWait: day, by: "tenant" })
      const rateLimiter = RateLimiter.every({ user: bucket() })
      const stage = new Stage({ rateLimiter, bulkhead }, { key: { user: "", tenant: "" } })
      arrive(stage, { key: { user: "a", tenant: "t" } }, Effect.sleep(1_800))
      arrive(stage, { key: { user: "c", tenant: "u" } }, Effect.sleep(1_800))
      const old = arrive(stage, { key: { user: "a", tenant: "t" } })
      stage.world.advance(500)
      const young = arrive(stage, { key: { user: "b", tenant: "t" } })
      const other = arrive(stage, { key: { user: "d", tenant: "u" } })
      stage.world.advance(500)
      assert.strictEqual(reasonOf(young), "queue-full")
      stage.world.runOut()
      assert.deepStrictEqual([old.ranAt, other.ranAt], [1_800, 1_800])
      assert.deepStrictEqual(stage.debris(), clean)
    })
  )
})

describe("a queue before a remote store", () => {
  const remote = (memory: MemoryService) => elsewhere(memory, () => ({}))
  const slow = RateLimiter.tokenBucket({ limit: 10, window: "1 hour", maxWait: day })
  const forget = (stage: Stage) => {
    const { space } = stage.service.pipeline.limits!.members[0]!
    stage.world.get(stage.counted.store.clear(space)) // another process, or a failover
  }

  it.effect("asks again within two seconds, though it was told a later time", () =>
    Effect.sync(() => {
      const stage = new Stage({ rateLimiter: slow }, { store: remote })
      for (let i = 0; i < 10; i++) arrive(stage)
      const waiters = [arrive(stage), arrive(stage)]
      stage.world.advance(10_000)
      assert.deepStrictEqual(
        waiters.map(({ ended }) => ended),
        [undefined, undefined]
      )
      forget(stage)
      stage.world.advance(2_000)
      for (const { ranAt } of waiters) assert.isAtMost(ranAt!, 12_000)
      assert.deepStrictEqual(stage.debris(), clean)
    })
  )

  it.effect("is woken by a newcomer that sees room, if it is enough for the first", () =>
    Effect.gen(function* () {
      const memory = memoryStore.make()
      const remote = elsewhere(memory, () => ({}))
      const limiter = yield* Effect.provideService(RateLimiter.makeFromStore(slow), Store, remote)
      yield* limiter.allow("a", { cost: 9 })
      const waiter = yield* Effect.forkChild(limiter.acquire("a", { cost: 3 }))
      yield* settle
      assert.isFalse(yield* limiter.allow("a"))
      yield* settle
      assert.isUndefined(waiter.pollUnsafe(), "one unit is free, and it asks for three")
      yield* memory.clear(limiter.gate.members[0]!.space)
      assert.isFalse(yield* limiter.allow("a"), "the waiter goes first")
      yield* settle
      assert.isDefined(waiter.pollUnsafe())
    }).pipe(Effect.scoped)
  )

  it.effect("tells an arriving call its wait: the turn of the first, and the limit's rate from there on", () =>
    Effect.sync(() => {
      const rates = {
        bucket: [bucket(), [1_000, 2_000, 3_000]],
        window: [RateLimiter.fixedWindow({ limit: 2, window: "1 second", maxWait: day }), [112, 112, 1_112]]
      } as const
      for (const [rateLimiter, waits] of Object.values(rates)) {
        const stage = new Stage({ rateLimiter }, { store: remote })
        for (let i = 0; i < rateLimiter.capacity; i++) arrive(stage)
        for (const wait of waits) {
          if (wait > waits[0]) {
            const { ended } = arrive(stage, { maxWait: 100 })
            assert.instanceOf(ended?.error, Rejection.RateLimitExceeded)
            assert.deepInclude(ended.error, { reason: "wait-too-long", retryAfterMillis: wait })
            assert.strictEqual(ended.at, 0)
          }
          const caller = arrive(stage)
          assert.isUndefined(caller.ended)
        }
        stage.world.runOut()
        assert.deepStrictEqual(stage.debris(), clean)
      }
    })
  )
})
