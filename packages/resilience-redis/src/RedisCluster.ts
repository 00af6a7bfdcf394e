/**
 * Redis Cluster as effect's `Redis` service, for `RedisStore`. It needs the package `redis` (node-redis).
 *
 * **Example** (A store on a cluster)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { RedisCluster, RedisStore } from "effect-resilience-redis"
 *
 * const StoreLive = RedisStore.layer({ prefix: "shop" }).pipe(
 *   Layer.provide(RedisCluster.layer({ rootNodes: [{ url: "redis://10.0.0.1:6379" }, { url: "redis://10.0.0.2:6379" }] }))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import { createCluster } from "redis"
import { serviceOf } from "./internal/client.ts"

/** The options of node-redis' `createCluster`. @category models @since 0.1.0 */
export type Options = Parameters<typeof createCluster>[0]

/** Where a command's first key is; `undefined` for a command of no key. */
const keyOf = (command: ReadonlyArray<string>): string | undefined => {
  const name = command[0]!.toUpperCase()
  if (name === "EVAL" || name === "EVALSHA") return command[2] === "0" ? undefined : command[3]
  return ["TIME", "PING", "SCRIPT", "INFO"].includes(name) ? undefined : command[1]
}

/**
 * Provides a `Redis` service that sends each command to the machine that has its key, waits for keys that move, and loads
 * scripts on every machine. `subscribe` and `reserve` fail.
 *
 * Fails with `RedisError` where no node answers at the start.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Redis.Redis, Redis.RedisError> =>
  Layer.effect(
    Redis.Redis,
    serviceOf(
      "RedisCluster",
      () => createCluster(options),
      async (cluster, command) => {
        const args = [...command]
        if (args[0] !== "SCRIPT") return cluster.sendCommand(keyOf(args), false, args)
        const loaded = await Promise.all(
          cluster.masters.map(async (master) => (await cluster.nodeClient(master)).sendCommand(args))
        )
        return loaded[0]
      }
    )
  )
