/** What a user of Redis must be allowed to do, which is what the module says. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { CircuitBreaker, RateLimiter, Resilience } from "effect-resilience"
import { RedisCluster, RedisSentinel, RedisStore } from "../src/index.ts"
import { missing, pause, type Server, skipped, startCluster, startRedis, startSentinel } from "./servers.ts"
import { eventually, isAllowed, perHour, storeOf } from "./support.ts"

/** The line of the docs. */
const documented = /ACL SETUSER (\S+) on >secret (.*)/.exec(
  readFileSync(new URL("../src/RedisStore.ts", import.meta.url), "utf8")
)!
const [, user, rules] = documented as unknown as readonly [string, string, string] // it has two groups

/** What the guide adds for a cluster, and what a sentinel needs. */
const guide = readFileSync(new URL("../../../docs/guides/many-machines.md", import.meta.url), "utf8")
const onCluster = /ACL SETUSER shop (\+cluster.*)/.exec(guide)![1]!
const onSentinel = /ACL SETUSER shop on >secret (&\+switch-master.*)/.exec(guide)![1]!

const grant = (server: Server, all: string, without?: string) => {
  const granted = all.split(" ").filter((rule) => rule !== without)
  server.command("ACL", "SETUSER", user, "reset", "on", ">secret", ...granted)
}

const storeAs = (server: Server, without?: string) => {
  grant(server, rules, without)
  const url = server.url.replace("redis://", `redis://${user}:secret@`)
  const client = Layer.orDie(NodeRedis.layer({ url }))
  return Effect.map(Layer.build(Layer.provide(RedisStore.layer({ prefix: "shop" }), client)), (context) =>
    Layer.succeedContext(context)
  )
}

/** Uses all that a store does: limits of each kind, a circuit, what ends, what is looked at, reset and cleared. */
const all = Effect.fnUntraced(function* (layer: Effect.Success<ReturnType<typeof storeAs>>) {
  const policies = {
    bucket: RateLimiter.tokenBucket({ limit: 10, window: "1 hour" }),
    short: RateLimiter.fixedWindow({ limit: 10, window: "1 milli" }),
    log: RateLimiter.shared(RateLimiter.slidingLog({ limit: 10, window: "1 hour" }))
  }
  const { inspect, resilient } = yield* Effect.provide(
    Resilience.makeFromStore("app/Pay", {
      rateLimiter: RateLimiter.every(policies),
      circuitBreaker: CircuitBreaker.policy({
        tripPolicy: CircuitBreaker.consecutive(1),
        openDuration: "1 hour",
        idleTimeToLive: "1 milli"
      }),
      store: { onError: "fail" }
    }),
    layer
  )
  const ada = { bucket: "ada", short: "ada" }
  yield* resilient(Effect.void, ada)
  yield* Effect.ignore(resilient(Effect.fail("down"), ada))
  yield* Effect.exit(resilient(Effect.void, ada))
  yield* inspect(ada)
  const limiter = yield* Effect.provide(RateLimiter.makeFromStore(policies.bucket, "app/Mail"), layer)
  yield* limiter.allow("ada")
  yield* limiter.reset("ada")
  yield* limiter.reset()
  yield* storeOf(layer)
})

const refusals = (server: Server): ReadonlyArray<string> => {
  const log = server.command("ACL", "LOG").split("\n")
  return [...new Set(log.flatMap((line, i) => (line === "object" ? [log[i + 1]!] : [])))].sort()
}

/** Of node-redis itself, which goes on without. */
const isOfClient = (command: string): boolean => /^(client|hello)/.test(command)

describe.skipIf(missing !== undefined)(`the rights that the docs name${skipped}`, () => {
  it.live("are enough for all that a store does", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* all(yield* storeAs(server))
      assert.deepStrictEqual(
        refusals(server).filter((command) => !isOfClient(command)),
        []
      )
    })
  )

  it.live("are all needed", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      for (const rule of rules.split(" ").filter((rule) => rule.startsWith("+"))) {
        server.command("ACL", "LOG", "RESET")
        server.command("FLUSHALL")
        server.command("SCRIPT", "FLUSH")
        yield* Effect.exit(Effect.flatMap(storeAs(server, rule), all))
        assert.isTrue(
          refusals(server).some((command) => rule.slice(1).startsWith(command)),
          `${rule}: ${refusals(server)}`
        )
      }
    })
  )
})

const as = { username: user, password: "secret" }

/** Uses a cluster: finds its machines, loads scripts, and follows a slot that moves. Tells whether all of it was done. */
const useCluster = Effect.fnUntraced(function* (nodes: ReadonlyArray<Server>, without?: string) {
  for (const node of nodes) {
    node.command("ACL", "LOG", "RESET")
    node.command("FLUSHALL")
    node.command("SCRIPT", "FLUSH")
    grant(node, `${rules} ${onCluster}`, without)
  }
  const redis = RedisCluster.layer({ rootNodes: [{ url: nodes[0]!.url }], defaults: as })
  const context = yield* Layer.build(Layer.provide(RedisStore.layer({ prefix: "shop" }), redis))
  const { resilient } = yield* Effect.provide(
    Resilience.makeFromStore("app/Pay", {
      rateLimiter: perHour(1_000),
      store: { onError: "fail", deadline: "300 millis" }
    }),
    Layer.succeedContext(context)
  )
  const call = isAllowed(resilient(Effect.void, "ada"))
  let allowed = false
  for (let tries = 0; tries < 40 && !allowed; tries++) {
    allowed = yield* call
    if (!allowed) yield* pause(25)
  }
  if (!allowed) return false
  const keysOf = (node: Server) => node.command("KEYS", "*ada")
  const from = nodes.find((node) => keysOf(node) !== "")!
  const to = nodes.find((node) => node !== from)!
  const [key, slot] = [keysOf(from), from.command("CLUSTER", "KEYSLOT", keysOf(from))]
  const [one, other] = [from, to].map((node) => node.command("CLUSTER", "MYID"))
  to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", one!)
  from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", other!)
  from.command("MIGRATE", "127.0.0.1", String(to.port), key, "0", "5000")
  yield* call // it is asked there, and waits for the rest of the slot
  for (const node of [to, from]) node.command("CLUSTER", "SETSLOT", slot, "NODE", other!)
  yield* eventually("the other machine decides", call)
  return true
})

describe.skipIf(missing !== undefined)(`the rights that the docs name for a cluster${skipped}`, () => {
  it.live(
    "are enough for all that a store does there, and all needed",
    () =>
      Effect.gen(function* () {
        const nodes = yield* startCluster
        const refused = () => nodes.flatMap((node) => refusals(node)).filter((command) => !isOfClient(command))
        assert.isTrue(yield* Effect.scoped(useCluster(nodes)))
        assert.deepStrictEqual(refused(), [])
        const added = onCluster.split(" ")
        assert.lengthOf(added, 3)
        for (const rule of added) {
          yield* Effect.scoped(useCluster(nodes, rule))
          assert.include(refused(), rule.slice(1))
        }
      }),
    60_000
  )
})

describe.skipIf(missing !== undefined)(`the rights that the docs name for a sentinel${skipped}`, () => {
  it.live(
    "are enough to find the master, and all needed",
    () =>
      Effect.gen(function* () {
        const { master, sentinel } = yield* startSentinel
        grant(master, rules)
        const use = Effect.fnUntraced(function* (without?: string) {
          sentinel.command("ACL", "LOG", "RESET")
          grant(sentinel, onSentinel, without)
          const redis = RedisSentinel.layer({
            name: "main",
            sentinelRootNodes: [{ host: "127.0.0.1", port: sentinel.port }],
            nodeClientOptions: as,
            sentinelClientOptions: as
          })
          const context = yield* Layer.build(Layer.provide(RedisStore.layer({ prefix: "shop" }), redis))
          const { resilient } = yield* Effect.provide(
            Resilience.makeFromStore("app/Pay", { rateLimiter: perHour(1_000), store: { onError: "fail" } }),
            Layer.succeedContext(context)
          )
          const call = isAllowed(resilient(Effect.void, "ada"))
          for (let tries = 0; tries < 40; tries++) {
            if (yield* call) return true
            yield* pause(25)
          }
          return false
        })
        const refused = () => refusals(sentinel).filter((command) => !isOfClient(command))
        assert.isTrue(yield* Effect.scoped(use()))
        assert.deepStrictEqual(refused(), [])
        for (const rule of onSentinel.split(" ")) {
          yield* Effect.scoped(use(rule))
          assert.include(refused(), rule.slice(1))
        }
      }),
    60_000
  )
})
