/** What an attack on the store found: each was wrong once. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option } from "effect"
import { RateLimiter } from "effect-resilience"
import type { Kernel } from "effect-resilience/kernel/Kernel"
import { slidingWindow } from "effect-resilience/kernel/SlidingWindow"
import { type AnySpace, Command, Step, type Store } from "effect-resilience/Store"
import { missing, skipped, startRedis } from "./servers.ts"
import { storeOf, storeOn } from "./support.ts"

const keys = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity } as const

interface Count {
  readonly by: { readonly [name: string]: number }
  readonly list: ReadonlyArray<number>
}

/** A kernel that only this process knows: each step adds one, up to the policy's `most`. */
const counter: Kernel<{ readonly most: number } | undefined, Count, object, { readonly allowed: boolean }> = {
  id: "attacked-counter@1",
  initial: () => ({ by: {}, list: [] }),
  step: (policy, state) =>
    state.list.length >= (policy?.most ?? 3)
      ? [{ allowed: false }, state]
      : [{ allowed: true }, { by: { ...state.by, last: state.list.length }, list: [...state.list, 1] }],
  expiresAt: () => undefined
}
const counting = (policy: object | undefined): AnySpace =>
  ({ name: "s/counter", kernel: counter, policy, keys }) as AnySpace // a space of this very kernel

const reasonOf = <A, E extends { readonly reason: string }>(effect: Effect.Effect<A, E>): Effect.Effect<string> =>
  Effect.map(Effect.exit(effect), (exit) =>
    Exit.isSuccess(exit)
      ? "ok"
      : Option.match(Exit.findErrorOption(exit), { onNone: () => "defect", onSome: ({ reason }) => reason })
  )

const add = (store: Store["Service"], space: AnySpace) => store.commit([new Step(space, "ada", {})])

describe.skipIf(missing !== undefined)(`the store in Redis, attacked${skipped}`, () => {
  for (const lease of [undefined, { duration: "100 millis", share: 3 } as const]) {
    it.live(`a reset goes for every policy, and repairs what cannot be read (${lease ? "leased" : "not leased"})`, () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const on = (limit: number) =>
          Effect.flatMap(storeOn(server), (store) =>
            Effect.provide(
              RateLimiter.makeFromStore(RateLimiter.tokenBucket({ limit, window: "1 hour", lease }), "leased"),
              store
            )
          )
        const [one, other] = [yield* on(10), yield* on(20)]
        for (let i = 0; i < 5; i++) yield* one.allow("ada")
        yield* other.allow("ada")
        yield* one.reset("ada")
        const { limits } = yield* other.peek("ada")
        assert.strictEqual(limits["limit"]!.used, 0)
        yield* one.allow("ada")
        server.command("SET", server.command("KEYS", "*ada"), "garbage")
        assert.strictEqual(yield* reasonOf(one.reset("ada")), "ok")
        assert.isTrue(yield* one.allow("ada"))
      })
    )
  }

  it.live("a note of what was cleared that cannot be read is begun anew, and the reset is done", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const limit = yield* Effect.provide(
        RateLimiter.makeFromStore(
          RateLimiter.shared(RateLimiter.fixedWindow({ limit: 1, window: "1000 hours" })),
          "noted"
        ),
        yield* storeOn(server)
      )
      assert.isTrue(yield* limit.allow("ada"))
      yield* limit.reset()
      const note = server.command("KEYS", "*cleared")
      for (const poison of [
        () => server.command("SET", note, "garbage"),
        () => server.command("SET", note, ""),
        () => (server.command("DEL", note), server.command("RPUSH", note, "x"))
      ]) {
        assert.isTrue(yield* limit.allow("ada"))
        assert.isFalse(yield* limit.allow("ada"))
        poison()
        assert.strictEqual(yield* reasonOf(limit.reset()), "ok")
      }
      assert.isTrue(yield* limit.allow("ada"))
    })
  )

  it.live("a damaged state of a kernel that only this process knows is damaged, and not absent", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const space = counting({ most: 3 })
      for (const state of ["null", "{}", "5", '"x"', '{"by":5,"list":[]}', '{"by":{},"list":{}}']) {
        server.command("FLUSHALL")
        yield* add(store, space)
        const key = server.command("KEYS", "*ada")
        const value = server.command("GET", key)
        const poisoned = value.slice(0, value.lastIndexOf(" ") + 1) + encodeURIComponent(state).replaceAll("'", "%27")
        server.command("SET", key, poisoned)
        assert.strictEqual(yield* reasonOf(add(store, space)), "damaged", state)
        assert.strictEqual(yield* reasonOf(store.read(space, "ada")), "damaged", state)
        assert.strictEqual(server.command("GET", key), poisoned, "it is not written over")
        yield* store.commit([new Command(space, "ada", {})])
        assert.strictEqual(yield* reasonOf(add(store, space)), "ok")
      }
    })
  )

  it.live("a policy is the same whatever the order of its fields, and may be none", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const spaces = [counting({ most: 3, x: 1 }), counting({ x: 1, most: 3 })]
      let admitted = 0
      for (let i = 0; i < 10; i++) if ((yield* add(store, spaces[i % 2]!)).allowed) admitted++
      assert.strictEqual(admitted, 3)
      server.command("FLUSHALL")
      assert.strictEqual(yield* reasonOf(add(store, counting(undefined))), "ok")
      assert.strictEqual(yield* reasonOf(add(store, counting({ most: 5 }))), "ok")
    })
  )

  it.live("numbers that no policy has are damage, and keep no server busy", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const sliding = (limit: number): AnySpace => ({
        name: "s/sliding",
        kernel: slidingWindow,
        policy: { limit, slice: 600_000, slices: 6 },
        isLimit: true,
        keys
      })
      const take = (space: AnySpace) => store.commit([new Step(space, "ada", { op: "take", cost: 1 })])
      for (const policy of ["5,600000,20000000", "5,600000,1000000000000", "0,600000,6"]) {
        server.command("FLUSHALL")
        yield* take(sliding(5))
        const key = server.command("KEYS", "*ada")
        server.command("SET", key, server.command("GET", key).replace("5,600000,6", policy))
        assert.strictEqual(yield* reasonOf(take(sliding(7))), "damaged", policy)
        assert.strictEqual(server.command("PING"), "PONG")
      }
    })
  )
})
