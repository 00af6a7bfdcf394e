/** One server is asked for any keys in one trip, and several only for what is on one. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { InvalidPolicyError } from "effect-resilience/Rejection"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import { type AnySpace, Step, type Store } from "effect-resilience/Store"
import { RedisCluster, RedisStore } from "../src/index.ts"
import { missing, type Server, skipped, startCluster, startRedis } from "./servers.ts"
import { connected, eventually, storeOf, storeOn } from "./support.ts"

const space: AnySpace = {
  name: "s/window",
  kernel: fixedWindow,
  policy: { limit: 1, window: 3_600_000_000 },
  keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity },
  spread: true
}

const users = Array.from({ length: 30 }, (_, i) => `user ${i}`)

let rounds = 0
/** Whether 30 users, each of whom is let through once, were. */
const areLetThrough = (store: Store["Service"]) => {
  const round = rounds++
  const takes = users.flatMap((user) => {
    const take = store.commit([new Step(space, `${round} ${user}`, { op: "take", cost: 1 })])
    return [take, take]
  })
  return Effect.map(Effect.all(takes, { concurrency: "unbounded" }), (replies) =>
    replies.every(({ allowed }, i) => allowed === (i % 2 === 0))
  )
}

const scriptsOf = (server: Server): number =>
  Number(/cmdstat_evalsha:calls=(\d+)/.exec(server.command("INFO", "commandstats"))?.[1] ?? 0)

/** How many trips the questions of 30 users take. */
const tripsOf = (server: Server, store: Store["Service"]) =>
  Effect.gen(function* () {
    const before = scriptsOf(server)
    assert.isTrue(yield* areLetThrough(store))
    return scriptsOf(server) - before
  })

const crossings = (nodes: ReadonlyArray<Server>): boolean =>
  nodes.some((node) => node.command("INFO", "errorstats").includes("errorstat_CROSSSLOT"))

describe.skipIf(missing !== undefined)(`keys of many users${skipped}`, () => {
  it.live("are asked for in one trip, once the server has said that it is the only one", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      assert.isAbove(yield* tripsOf(server, store), 20, "it is not known yet")
      yield* eventually(
        "60 questions take two trips",
        Effect.map(tripsOf(server, store), (trips) => trips === 2)
      )
    })
  )

  it.live("are asked for one by one behind a proxy that hides several servers", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server, { sharded: true }))
      for (let round = 0; round < 10; round++) assert.isAbove(yield* tripsOf(server, store), 20)
      assert.include(server.command("INFO", "commandstats"), "cmdstat_info:calls=20,", "only this test asked")
    })
  )

  it.live("are asked for together at once where that is said", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server, { sharded: false }))
      assert.isTrue(yield* areLetThrough(store)) // Redis learns the script
      assert.strictEqual(yield* tripsOf(server, store), 2)
      const sharded = "no" as unknown as boolean // what a program without types may say
      assert.throws(() => RedisStore.make({ prefix: "test", sharded }), InvalidPolicyError, /sharded.*true or false/)
    })
  )

  it.live("are asked for one by one where the server may not be asked what it is", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      server.command("ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all", "-info")
      const url = server.url.replace("redis://", "redis://shop:secret@")
      const store = yield* storeOf(yield* storeOn({ ...server, url }))
      for (let round = 0; round < 10; round++) assert.isAbove(yield* tripsOf(server, store), 20)
      const refused = Number(/cmdstat_info:.*rejected_calls=(\d+)/.exec(server.command("INFO", "commandstats"))?.[1])
      assert.strictEqual(refused, 1, "it is not asked again")
    })
  )

  it.live("are asked for where they lie on a cluster, whatever was said of it", () =>
    Effect.gen(function* () {
      const nodes = yield* startCluster
      const client = connected(RedisCluster.layer({ rootNodes: [{ url: nodes[0]!.url }] }))
      const on = (options: Partial<RedisStore.Options>) =>
        Effect.flatMap(
          Layer.build(Layer.provide(RedisStore.layer({ prefix: "test", ...options }), client)),
          (context) => storeOf(Layer.succeedContext(context))
        )
      const asking = yield* on({})
      for (let round = 0; round < 10; round++) assert.isTrue(yield* areLetThrough(asking))
      assert.isFalse(crossings(nodes))
      const told = yield* on({ sharded: false })
      assert.isTrue(yield* areLetThrough(told), "what was refused is asked again, and nothing is taken twice")
      assert.isTrue(crossings(nodes))
      for (const node of nodes) node.command("CONFIG", "RESETSTAT")
      for (let round = 0; round < 10; round++) assert.isTrue(yield* areLetThrough(told))
      assert.isFalse(crossings(nodes), "it is known now")
    })
  )

  it.live("are cleared in eight trips on one server, and one by one where they lie apart", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      yield* eventually(
        "it is known to be the only one",
        Effect.map(tripsOf(server, store), (trips) => trips === 2)
      )
      const isCleared = (store: Store["Service"]) =>
        Effect.gen(function* () {
          const take = new Step(space, "ada", { op: "take", cost: 1 })
          yield* store.commit([take])
          assert.isFalse((yield* store.commit([take])).allowed)
          yield* store.clear(space)
          return (yield* store.commit([take])).allowed
        })
      const before = scriptsOf(server)
      yield* store.clear(space)
      assert.strictEqual(scriptsOf(server) - before, 1_024 / 128)
      assert.isTrue(yield* isCleared(store))
      const nodes = yield* startCluster
      const client = connected(RedisCluster.layer({ rootNodes: [{ url: nodes[0]!.url }] }))
      for (const sharded of [undefined, false]) {
        const on = RedisStore.layer({ prefix: `cleared ${sharded}`, sharded }).pipe(Layer.provide(client))
        const cluster = yield* storeOf(Layer.succeedContext(yield* Layer.build(on)))
        assert.isTrue(yield* isCleared(cluster), `sharded: ${sharded}`)
      }
    })
  )
})
