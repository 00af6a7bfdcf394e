/**
 * A Redis that Sentinel watches, as effect's `Redis` service, for `RedisStore`. It needs the package `redis` (node-redis).
 *
 * What the old master had not yet told its replica is lost in a failover: as much as that may be admitted once more.
 *
 * **Example** (A store that survives its master)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { RedisSentinel, RedisStore } from "effect-resilience-redis"
 *
 * const StoreLive = RedisStore.layer({ prefix: "shop" }).pipe(
 *   Layer.provide(RedisSentinel.layer({ name: "main", sentinelRootNodes: [{ host: "10.0.0.1", port: 26379 }] }))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import { createSentinel } from "redis"
import { serviceOf } from "./internal/client.ts"

/** The options of node-redis' `createSentinel`. @category models @since 0.1.0 */
export type Options = Parameters<typeof createSentinel>[0]

/**
 * Provides a `Redis` service that sends every command to the master, whichever that is. `subscribe` and `reserve` fail.
 *
 * Fails with `RedisError` where no sentinel answers at the start.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Redis.Redis, Redis.RedisError> =>
  Layer.effect(
    Redis.Redis,
    serviceOf(
      "RedisSentinel",
      () => createSentinel(options),
      (sentinel, command) => sentinel.sendCommand(false, [...command])
    )
  )
