/** How many keys may be remembered, and what a new one above that meets. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Fiber, Schema, TxRef } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, RateLimiter } from "../../src/index.ts"
import { Table } from "../../src/internal/memoryTable.ts"
import { breaker } from "../../src/kernel/Breaker.ts"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import { slidingLog } from "../../src/kernel/SlidingLog.ts"
import { slidingWindow } from "../../src/kernel/SlidingWindow.ts"
import { tokenBucket } from "../../src/kernel/TokenBucket.ts"
import { type AnySpace, layerMemory, Step, Store } from "../../src/Store.ts"
import { breakerOn, inMemory, limiterOn, settle, spied } from "./support.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("evict forgets a key that is fresh, else the one of the lowest rank", () => {
  const maxKeys = 4
  const keys = { maxKeys, overflow: "evict", idleTimeToLive: Infinity } as const
  const window = 1_000
  const spaces: Record<string, AnySpace> = {
    tokenBucket: { name: "t", kernel: tokenBucket, policy: { limit: 10, window, burst: 10 }, keys },
    fixedWindow: { name: "f", kernel: fixedWindow, policy: { limit: 10, window }, keys },
    slidingWindow: { name: "w", kernel: slidingWindow, policy: { limit: 10, slice: 100, slices: 10 }, keys },
    slidingLog: { name: "l", kernel: slidingLog, policy: { limit: 10, window }, keys },
    circuit: {
      name: "c",
      kernel: breaker,
      policy: {
        trips: [{ kind: "consecutive", failures: 2, within: window }],
        openLow: [300],
        openHigh: [300],
        openGrowth: 0,
        openCap: 300,
        permitted: 1,
        required: 1,
        lease: 0
      },
      keys: { ...keys, idleTimeToLive: 200 } // shorter than the failures count
    }
  }

  const Roll = Schema.Struct({ key: int(0, 7), cost: int(1, 10), gap: int(0, 400), what: int(0, 9), pick: int(0, 9) })
  const rolls = Arbitrary.array(Arbitrary.schema(Roll), { minLength: 40, maxLength: 80 })
  const names = Array.from({ length: 8 }, (_, i) => `${i}`)

  for (const [kind, space] of Object.entries(spaces)) {
    let choices = 0
    it.effect.prop(
      `${kind}: the choice is the one of brute force, among those that nobody uses`,
      { rolls },
      ({ rolls }) =>
        Effect.gen(function* () {
          const { sync } = inMemory(yield* Store)
          const usedAt = new Map<string, number>()
          const held = new Map<string, Step>()
          const given: Array<{ readonly key: string; readonly answer: Record<string, unknown> }> = []
          let now = 0
          const remembers = (key: string) => sync.read(space, key) !== undefined
          const forgettableAt = (key: string): number =>
            space.kernel.expiresAt(space.policy, sync.read(space, key)) ?? usedAt.get(key)! + space.keys.idleTimeToLive
          /** What is fresh goes first, and an isolated circuit never. */
          const rankOf = (key: string, at: number): number => {
            const state = sync.read(space, key)
            return at <= now ? -Infinity : (space.kernel.rank?.(space.policy, state) ?? at)
          }
          const inputOf = ({ cost, what }: typeof Roll.Type, back: (typeof given)[number] | undefined): unknown => {
            if (space.kernel === breaker) {
              if (what < 2) return { op: what === 0 ? "reset" : "isolate" }
              if (what === 8) return { op: "admit", draw: 0 }
              const permit = what < 5 && back !== undefined ? back.answer : { generation: 0, probe: 0 }
              return {
                op: "record",
                ...permit,
                outcome: what === 2 ? "success" : "failure",
                duration: 0,
                slowFed: 0,
                retryAfter: 0,
                draw: 0
              }
            }
            return what === 0
              ? { op: "reset" }
              : what < 3 && back !== undefined
                ? { op: "refund", receipt: back.answer["receipt"] }
                : { op: "take", cost }
          }
          for (const roll of rolls) {
            now += Math.floor(roll.gap / 8)
            const back = given.length === 0 ? undefined : given[roll.pick % given.length]
            const key = roll.what < 5 && back !== undefined ? back.key : `${roll.key}`
            const before = new Map(names.filter(remembers).map((name) => [name, rankOf(name, forgettableAt(name))]))
            if (roll.what === 9 && before.has(key)) {
              // somebody begins to use a key, or ends
              const step = held.get(key) ?? new Step(space, key, undefined)
              if (held.delete(key)) sync.release(step)
              else sync.hold(held.set(key, step).get(key)!, now)
              continue
            }
            const step = new Step(space, key, inputOf(roll, back))
            const allowed = sync.commit([step], now)
            const answer = step.result?.[0]
            usedAt.set(key, now)
            if (allowed) given.push({ key, answer: answer as unknown as Record<string, unknown> })
            if (before.has(key) || before.size < maxKeys) continue

            const free = Array.from(before).filter(([name, rank]) => !held.has(name) && rank < Infinity)
            const gone = Array.from(before).filter(([name]) => !remembers(name))
            const ranks = (entries: typeof gone) => entries.map(([, rank]) => rank).sort((a, b) => a - b)
            if (!remembers(key)) {
              assert.isTrue(
                gone.every(([, rank]) => rank === -Infinity),
                "what leaves no key behind makes none go"
              )
              continue
            }
            choices++
            // more than one when keys in use had kept the table above its bound
            const lowest = ranks(free).slice(0, before.size - maxKeys + 1)
            assert.deepStrictEqual(
              ranks(gone).filter((rank) => rank > -Infinity),
              lowest.filter((rank) => rank > -Infinity)
            )
            assert.isAtLeast(gone.length, lowest.length)
            assert.isTrue(
              gone.every(([name]) => !held.has(name)),
              "a key in use stays"
            )
            const stays = names.filter((name) => held.has(name) || before.get(name) === Infinity)
            assert.isAtMost(sync.size(space), Math.max(maxKeys, stays.length + 1))
          }
        }).pipe(Effect.provide(layerMemory)),
      { arbitrary: { runs: 150 } }
    )
    it(`${kind}: and there were choices`, () => assert.isAbove(choices, 300))
  }

  it("and what is kept for the choice does not grow with the keys that are gone", () => {
    const table = new Table(spaces["fixedWindow"]!)
    // no other way to see a leak than to look
    const heap = () =>
      Math.max(table["candidates"]!["byEnd"]["heap"].length, table["candidates"]!["byRank"]!["heap"].length)
    let most = 0
    for (let now = 0; now < 20_000; now++) {
      const key = `${now}`
      table.write(key, table.cell(key, now), { start: Math.floor(now / window) * window, used: 1 }, now)
      table.sweep(now)
      most = Math.max(most, heap())
    }
    const cell = table.cell("last", 20_000)
    for (let i = 0; i < 4_000; i++) {
      // each refund ends it sooner
      table.write("last", cell, { start: 20_000, used: 1 }, 0)
      table.write("last", cell, { start: 20_000, used: 0 }, 0)
      most = Math.max(most, heap())
    }
    assert.isAtMost(most, maxKeys)
  })

  it.effect("and a key that was spent longest ago goes first", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const limiter = yield* limiterOn(store, RateLimiter.tokenBucket({ limit: 10, window: "10 seconds", maxKeys: 3 }))
      yield* limiter.allow("a", { cost: 5 })
      yield* limiter.allow("b", { cost: 2 })
      yield* limiter.allow("c", { cost: 9 })
      yield* limiter.allow("d")
      assert.deepStrictEqual(["a", "b", "c", "d"].filter(remembers), ["a", "c", "d"])
      yield* limiter.allow("a", { cost: 5 })
      yield* limiter.allow("e", { cost: 9 })
      assert.deepStrictEqual(["a", "c", "d", "e"].filter(remembers), ["a", "c", "e"])
      yield* limiter.allow("f")
      assert.isFalse(yield* limiter.allow("a"), "who spent most is remembered longest")
    })
  )

  it.effect("also after a transaction has made a key fresh again", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const limiter = yield* limiterOn(store, RateLimiter.tokenBucket({ limit: 10, window: "10 seconds", maxKeys: 3 }))
      yield* limiter.allow("a", { cost: 6 })
      yield* limiter.allow("b", { cost: 2 })
      yield* limiter.allow("c", { cost: 8 })
      yield* limiter.allow("d", { cost: 10 }) // now the order of all of them is known
      yield* Effect.tx(limiter.reset("c"))
      yield* limiter.allow("e")
      assert.deepStrictEqual(["a", "b", "c", "d", "e"].filter(remembers), ["a", "d", "e"])
    })
  )

  it.effect("and a reset of a key that is not known makes none go", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.slidingLog({ limit: 1, window: "1 second", maxKeys: 1 }))
      yield* limiter.allow("a")
      yield* limiter.reset("b")
      assert.isFalse(yield* limiter.allow("a"))
    })
  )
})

describe("keys in use above maxKeys", () => {
  const policy = CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.consecutive(1),
    openDuration: "1 minute",
    by: "key",
    maxKeys: 1
  })

  it.effect(
    "a call on a new circuit passes while every remembered one has a call in flight, and all outcomes count",
    () =>
      Effect.gen(function* () {
        const { size, store } = yield* spied
        const breaker = yield* breakerOn(store, policy)
        const call = (key: string) =>
          Effect.exit(breaker.execute(Effect.andThen(Effect.sleep("1 second"), Effect.fail("down")), key))
        const fibers = yield* Effect.forEach(["a", "b", "c"], (key) => Effect.forkChild(call(key)))
        yield* settle
        assert.strictEqual(size(), 3)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.joinAll(fibers), [Exit.fail("down"), Exit.fail("down"), Exit.fail("down")])
        for (const key of ["a", "b", "c"]) assert.strictEqual((yield* breaker.state(key)).state, "Open")
        yield* Effect.exit(breaker.execute(Effect.void, "d"))
        assert.strictEqual(size(), 1, "the bound holds again once they are not in use")
      })
  )

  it.effect("a key on which a call waits is not evicted, and the call gets its turn", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const limiter = yield* limiterOn(
        store,
        RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: "1 minute", maxKeys: 1 })
      )
      yield* limiter.acquire("a")
      const waiter = yield* Effect.forkChild(limiter.acquire("a"))
      yield* settle
      for (const key of ["b", "c", "d"]) assert.isTrue(yield* limiter.allow(key))
      assert.isTrue(remembers("a"))
      yield* TestClock.adjust(999)
      assert.isUndefined(waiter.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(waiter.pollUnsafe(), Exit.void)
    })
  )
})

describe("overflow: reject", () => {
  const policy = RateLimiter.fixedWindow({ limit: 2, window: "1 second", maxKeys: 2, overflow: "reject" })

  it.effect("refuses new keys and says why, keeps serving the known ones, and takes new ones when one expired", () =>
    Effect.gen(function* () {
      const { size, store } = yield* spied
      const limiter = yield* limiterOn(store, policy)
      yield* limiter.acquire("a")
      yield* limiter.acquire("b")
      const error = yield* Effect.flip(limiter.acquire("c"))
      assert.deepInclude(error, {
        _tag: "RateLimitExceeded",
        key: "c",
        reason: "too-many-keys",
        retryAfterMillis: undefined
      })
      assert.deepStrictEqual(
        error.limits.map(({ reason }) => reason),
        ["too-many-keys"]
      )
      assert.isFalse(yield* limiter.allow("c"))
      assert.isFalse(yield* Effect.tx(limiter.allow("c")))
      assert.strictEqual((yield* limiter.peek("c")).remaining, 2)
      assert.strictEqual((yield* Effect.tx(limiter.peek("c"))).remaining, 2)
      assert.isTrue(yield* limiter.allow("a"))
      yield* TestClock.adjust(999)
      assert.isFalse(yield* limiter.allow("c"))
      yield* TestClock.adjust(1)
      yield* limiter.acquire("c")
      yield* limiter.acquire("d")
      assert.strictEqual((yield* Effect.flip(limiter.acquire("e"))).reason, "too-many-keys")
      assert.strictEqual(size(), 2)
    })
  )

  it.effect("does not make a call wait for a room that it cannot know of", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: "1 minute", maxKeys: 1, overflow: "reject" })
      )
      yield* limiter.acquire("a")
      assert.strictEqual((yield* Effect.flip(limiter.acquire("b"))).reason, "too-many-keys")
    })
  )

  it.effect("a transaction that runs again is refused only beside keys that it touches this time", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(policy)
      for (const key of ["a", "b"]) yield* limiter.acquire(key)
      yield* TestClock.adjust("1 second") // both are as good as new
      const other = yield* TxRef.make(0)
      const attempts: Array<boolean> = []
      yield* Effect.tx(
        Effect.gen(function* () {
          const { attempt } = yield* Effect.Transaction
          yield* TxRef.get(other)
          for (const key of attempt === 1 ? ["a", "b"] : ["a"]) yield* limiter.peek(key)
          attempts.push(yield* limiter.allow("c"))
          if (attempt === 1) {
            other.value = 1 // as another transaction's commit does: this one runs again
            other.version++
          }
        })
      )
      assert.deepStrictEqual(attempts, [false, true])
    })
  )

  it.effect("in every, spends nothing on the limits that have room", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.every({
          user: policy,
          global: RateLimiter.shared(RateLimiter.slidingLog({ limit: 9, window: "1 hour" }))
        })
      )
      for (const user of ["a", "b"]) yield* limiter.acquire({ user })
      const error = yield* Effect.flip(limiter.acquire({ user: "c" }))
      assert.deepStrictEqual(
        error.limits.map(({ limit, reason }) => [limit, reason]),
        [["user", "too-many-keys"]]
      )
      assert.strictEqual((yield* limiter.peek({ user: "a" })).limits["global"]!.remaining, 7)
    })
  )

  it.effect("a call that another limit refuses costs nobody his place", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(
        RateLimiter.every({
          user: RateLimiter.fixedWindow({ limit: 1, window: "1 hour", maxKeys: 1 }),
          tenant: RateLimiter.fixedWindow({ limit: 1, window: "1 hour" })
        })
      )
      yield* limiter.acquire({ user: "a", tenant: "t" })
      for (const user of ["b", "c"]) assert.isFalse(yield* limiter.allow({ user, tenant: "t" }))
      assert.isFalse(
        yield* limiter.allow({ user: "a", tenant: "other" }),
        "a refused call made room and forgave the key of another"
      )
    })
  )
})
