/** A cluster whose machines hang: one takes its own keys with it, and nothing else. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Redis from "effect/persistence/Redis"
import { Resilience } from "effect-resilience"
import { RedisCluster, RedisStore } from "../src/index.ts"
import { slotOf } from "../src/internal/slots.ts"
import { startProxy } from "./proxy.ts"
import { missing, type Server, skipped, startCluster } from "./servers.ts"
import { eventually, perHour } from "./support.ts"

const silence = "1 second"

/** Nobody takes the place of a machine that hangs, and the others go on. */
const patient = Effect.tap(startCluster, (nodes) =>
  Effect.sync(() =>
    nodes.forEach((node) =>
      node.command("CONFIG", "SET", "cluster-require-full-coverage", "no", "cluster-node-timeout", "60000")
    )
  )
)

const users = Array.from({ length: 90 }, (_, i) => `user ${i}`)

/** How each user's call ends: "ok", or the reason of the store's error. */
const callsOn = Effect.fnUntraced(function* (redis: Layer.Layer<Redis.Redis>) {
  const store = yield* Layer.build(RedisStore.layer({ prefix: "hung" }).pipe(Layer.provide(redis)))
  const { resilient } = yield* Effect.provide(
    Resilience.makeFromStore("hung", {
      rateLimiter: perHour(1_000_000),
      store: { onError: "fail", deadline: "2 seconds" }
    }),
    Layer.succeedContext(store)
  )
  return (asked: ReadonlyArray<string>) =>
    Effect.forEach(
      asked,
      (user) =>
        Effect.match(resilient(Effect.void, user), {
          onSuccess: () => "ok",
          onFailure: (error) => ("reason" in error ? error.reason : "")
        }),
      { concurrency: "unbounded" }
    )
})

const clusterOf = (nodes: ReadonlyArray<Server>, options?: object) =>
  RedisCluster.layer({ rootNodes: nodes.map(({ url }) => ({ url })), silence, ...options })

const every = (ends: ReadonlyArray<string>, how: string) => ends.every((end) => end === how)

describe.skipIf(missing !== undefined)(`a store on a cluster whose machines hang${skipped}`, () => {
  it.live(
    "loses the keys of the one that hangs, keeps all others, and gets them back",
    () =>
      Effect.gen(function* () {
        const nodes = yield* patient
        const calls = yield* callsOn(clusterOf(nodes))
        const all = calls(users)
        yield* eventually(
          "connected",
          Effect.map(all, (ends) => every(ends, "ok"))
        )
        const keys = nodes[1]!.command("KEYS", "hung:*").split("\n")
        const [theirs, others] = [true, false].map((is) =>
          users.filter((user) => keys.some((key) => key.endsWith(`:${user.replaceAll(" ", "%20")}`)) === is)
        ) as [Array<string>, Array<string>]
        assert.isAbove(theirs.length, 15)
        assert.isAbove(others.length, 45)
        yield* nodes[1]!.suspend
        yield* eventually(
          "the silent one is left: its keys fail at once",
          Effect.map(calls(theirs), (ends) => every(ends, "unavailable"))
        )
        for (let round = 0; round < 20; round++) {
          const [kept, lost] = yield* Effect.all([calls(others), calls(theirs)], { concurrency: "unbounded" })
          assert.isTrue(every(kept, "ok"), String(kept))
          assert.isTrue(every(lost, "unavailable"), String(lost))
        }
        yield* nodes[1]!.resume
        yield* eventually(
          "its keys are back",
          Effect.map(all, (ends) => every(ends, "ok"))
        )
      }),
    30_000
  )

  it.live(
    "starts while all of them hang, and asks them once they go on",
    () =>
      Effect.gen(function* () {
        const nodes = yield* patient
        const root = yield* startProxy(nodes[0]!.port)
        for (const node of nodes) yield* node.suspend
        const calls = yield* callsOn(RedisCluster.layer({ rootNodes: [{ url: root.url }], silence }))
        assert.isTrue(every(yield* calls(users), "unavailable"))
        yield* eventually(
          "it is asked where the slots are, again and again",
          Effect.sync(() => root.made() > 2)
        )
        assert.strictEqual(root.mostOpen(), 1)
        for (const node of nodes) yield* node.resume
        yield* eventually(
          "all answer",
          Effect.map(calls(users), (ends) => every(ends, "ok"))
        )
      }),
    30_000
  )

  it.live(
    "finds its machines behind other addresses, and leaves one whose connection is half-open",
    () =>
      Effect.gen(function* () {
        const nodes = yield* patient
        const proxies = yield* Effect.forEach(nodes, ({ port }) => startProxy(port))
        const nodeAddressMap = Object.fromEntries(
          nodes.map(({ port }, i) => [`127.0.0.1:${port}`, { host: "127.0.0.1", port: proxies[i]!.port }])
        )
        const redis = RedisCluster.layer({ rootNodes: [{ url: proxies[0]!.url }], nodeAddressMap, silence })
        const calls = yield* callsOn(redis)
        const all = Effect.map(calls(users), (ends) => every(ends, "ok"))
        yield* eventually("connected", all)
        yield* proxies[2]!.cut
        assert.isFalse(yield* all)
        yield* eventually("all answer again", all)
        assert.isAbove(proxies[2]!.made(), 1)
      }),
    30_000
  )

  it.live(
    "asks a machine that has only just got its first slot, and one that is about to get it",
    () =>
      Effect.gen(function* () {
        const nodes = yield* patient
        const redis = yield* Effect.provide(
          Redis.Redis,
          yield* Layer.build(clusterOf(nodes)).pipe(Effect.map(Layer.succeedContext))
        )
        yield* eventually("connected", Effect.isSuccess(redis.send("SET", "{moves}a", "1")))
        const slot = slotOf("{moves}")
        const from = nodes[Math.floor((3 * slot) / 16_384)]!
        const to = nodes.find((node) => node !== from)!
        const [fromId, toId] = [from, to].map((node) => node.command("CLUSTER", "MYID")) as [string, string]
        to.command("CLUSTER", "SETSLOT", String(slot), "IMPORTING", fromId)
        from.command("CLUSTER", "SETSLOT", String(slot), "MIGRATING", toId)
        // what the old machine does not have, it says is at the new one
        yield* redis.send("SET", "{moves}b", "2")
        assert.strictEqual(to.command("CLUSTER", "COUNTKEYSINSLOT", String(slot)), "1")
        from.command("MIGRATE", "127.0.0.1", String(to.port), "{moves}a", "0", "5000")
        for (const node of [to, from]) node.command("CLUSTER", "SETSLOT", String(slot), "NODE", toId)
        assert.strictEqual(yield* redis.send("GET", "{moves}a"), "1")
        assert.strictEqual(yield* redis.send("GET", "{moves}b"), "2")
      }),
    30_000
  )

  it.live("knows the slot of a key as the server does", () =>
    Effect.gen(function* () {
      const [node] = yield* startCluster
      for (const key of [
        "",
        "a",
        "ada",
        "{a}b",
        "b{a}",
        "{}a",
        "a{",
        "{a",
        "a{}b{c}",
        "{{a}}",
        "{a}{b}",
        "ü",
        "日本",
        "x".repeat(300)
      ]) {
        if (key !== "") assert.strictEqual(String(slotOf(key)), node!.command("CLUSTER", "KEYSLOT", key), key)
      }
    })
  )
})

describe("the options of a cluster", () => {
  it("are refused where they contradict connections that never wait", () => {
    const refused = (options: object, parameter: string) =>
      assert.throws(
        () => RedisCluster.layer({ rootNodes: [{ url: "redis://redis" }], ...options }),
        new RegExp(`^RedisCluster: ${parameter.replaceAll(/[[\]]/g, "\\$&")} `)
      )
    refused({ rootNodes: [] }, "rootNodes")
    refused({ rootNodes: [{ disableOfflineQueue: true }] }, "rootNodes[0].disableOfflineQueue")
    refused({ defaults: { socket: { reconnectStrategy: 1 } } }, "defaults.socket.reconnectStrategy")
    refused({ silence: "1 milli" }, "silence")
    refused({ rootNodes: [{ url: "http://redis" }] }, "rootNodes[0]")
    refused({ rootNodes: [{ url: "no address" }] }, "rootNodes[0]")
    refused({ rootNodes: [{ socket: { reconnectStrategy: 1 } }] }, "rootNodes[0].socket.reconnectStrategy")
  })
})
