/** A master of a cluster that dies during traffic, and its replica, which the others put in its place. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { Resilience } from "effect-resilience"
import { RedisCluster, RedisStore } from "../src/index.ts"
import { clusterOptions, missing, pause, skipped, startCluster, startRedis } from "./servers.ts"
import { connected, eventually, perHour } from "./support.ts"

/** The second of three masters has a replica. */
const withReplica = Effect.gen(function* () {
  const nodes = yield* startCluster
  const replica = yield* startRedis(clusterOptions)
  replica.command("CLUSTER", "MEET", "127.0.0.1", String(nodes[0]!.port))
  const id = nodes[1]!.command("CLUSTER", "MYID")
  yield* eventually(
    "the replica is one",
    Effect.sync(() => replica.command("CLUSTER", "REPLICATE", id) === "OK")
  )
  yield* eventually(
    "all know of it, and it has a copy",
    Effect.sync(
      () =>
        nodes.every((node) => node.command("CLUSTER", "REPLICAS", id).includes(String(replica.port))) &&
        /master_link_status:up/.test(replica.command("INFO", "replication"))
    )
  )
  return { nodes, replica }
})

describe.skipIf(missing !== undefined)(`a store on a cluster that loses a master${skipped}`, () => {
  it.live(
    "has its calls decided meanwhile, without an error, and by the replica then",
    () =>
      Effect.gen(function* () {
        const { nodes, replica } = yield* withReplica
        const redis = RedisCluster.layer({ rootNodes: [{ url: nodes[0]!.url }, { url: nodes[2]!.url }] })
        const store = yield* Layer.build(RedisStore.layer({ prefix: "test" }).pipe(Layer.provide(connected(redis))))
        const { resilient } = yield* Effect.provide(
          Resilience.makeFromStore("fails over", { rateLimiter: perHour(1_000), store: { deadline: "200 millis" } }),
          Layer.succeedContext(store)
        )
        const users = Array.from({ length: 60 }, (_, i) => `user ${i}`)
        let errors = 0
        const traffic = Effect.forEach(
          users,
          (user) =>
            Effect.catch(resilient(Effect.void, user), () =>
              Effect.sync(() => {
                errors++
              })
            ),
          { concurrency: "unbounded", discard: true }
        )
        const keysOf = (node: typeof replica) => node.command("KEYS", "*fails*").split("\n")
        yield* traffic
        yield* traffic
        const keys = keysOf(nodes[1]!)
        assert.isAbove(keys.length, 5)
        const usedOn = (node: typeof replica) =>
          keys.slice(0, 3).map((key) => Number(node.command("GET", key).split(" ").at(-1)))
        assert.strictEqual(nodes[1]!.command("WAIT", "1", "5000"), "1", "the replica knows")
        const known = usedOn(nodes[1]!)
        yield* nodes[1]!.kill
        for (let round = 0; round < 60; round++) {
          yield* traffic
          if (/role:master/.test(replica.command("INFO", "replication"))) break
          yield* pause(100)
        }
        assert.match(replica.command("INFO", "replication"), /role:master/)
        const before = usedOn(replica)
        assert.isTrue(
          before.every((count, i) => count >= known[i]! && count > 0),
          `it has what its master had: ${before}, of ${known}`
        )
        yield* eventually(
          "the replica decides",
          Effect.andThen(
            traffic,
            Effect.sync(() => usedOn(replica).every((count, i) => count > before[i]!))
          )
        )
        assert.sameMembers(keysOf(replica), keys)
        assert.strictEqual(errors, 0)
      }),
    60_000
  )

  it.live("ends with its scope while a master is away, whatever was sent there", () =>
    Effect.gen(function* () {
      const nodes = yield* startCluster
      const scope = yield* Scope.make()
      const redis = RedisCluster.layer({ rootNodes: [{ url: nodes[0]!.url }] })
      const store = yield* Layer.buildWithScope(
        RedisStore.layer({ prefix: "test" }).pipe(Layer.provide(connected(redis))),
        scope
      )
      const { resilient } = yield* Effect.provide(
        Resilience.makeFromStore("ends", { rateLimiter: perHour(1_000), store: { deadline: "100 millis" } }),
        Layer.succeedContext(store)
      )
      const users = Array.from({ length: 60 }, (_, i) => `user ${i}`)
      const traffic = Effect.forEach(users, (user) => resilient(Effect.void, user), { concurrency: "unbounded" })
      yield* traffic
      yield* nodes[1]!.kill
      yield* traffic
      yield* Scope.close(scope, Exit.void)
    })
  )
})
