/** The laws of effect-resilience-testing, on a real Redis and on a real cluster of three. */
import { NodeRedis } from "@effect/platform-node"
import { describe, layer } from "@effect/vitest"
import { Effect, Layer, Random } from "effect"
import type { Redis } from "effect/persistence"
import * as StoreLaws from "effect-resilience-testing/StoreLaws"
import { RedisCluster, RedisStore } from "../src/index.ts"
import { missing, skipped, startCluster, startRedis } from "./servers.ts"
import { connected } from "./support.ts"

/** `LAWS_SEED` repeats a run. */
const seed = process.env["LAWS_SEED"] ?? Effect.runSync(Random.nextInt)

const single = Layer.unwrap(Effect.map(startRedis(), ({ url }) => NodeRedis.layer({ url })))
const cluster = Layer.unwrap(
  Effect.map(startCluster, (nodes) => connected(RedisCluster.layer({ rootNodes: nodes.map(({ url }) => ({ url })) })))
)

describe.skipIf(missing !== undefined)(`the laws of stores hold on Redis (LAWS_SEED=${seed})${skipped}`, () => {
  for (const [name, redis] of [
    ["a single server", single],
    ["a cluster", cluster]
  ] as const) {
    layer(redis, { excludeTestServices: true })(name, (it) => {
      // most of the time they wait for real milliseconds to pass
      const laws = StoreLaws.laws<Redis.Redis>({
        layer: RedisStore.layer({ prefix: "test" }),
        shared: true,
        seed,
        effort: 0.15
      })
      for (const { check, name } of laws) it.effect(name, () => check)
    })
  }
})
