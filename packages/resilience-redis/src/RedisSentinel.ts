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
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import { InvalidPolicyError } from "effect-resilience/Rejection"
import type { createSentinel } from "redis"
import { checked, clientOf, type NodeOptions, type Own, serviceOf } from "./internal/client.ts"
import { open } from "./internal/sentinel.ts"
import { silenceOf } from "./internal/silence.ts"

type All = Parameters<typeof createSentinel>[0]
type Client = Own<NonNullable<All["nodeClientOptions"]>>

/**
 * Of the options of node-redis' `createSentinel` those that a store has use for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Pick<All, "name" | "nodeAddressMap"> {
  /** All sentinels: the first that answers says which machine is the master. */
  readonly sentinelRootNodes: ReadonlyArray<All["sentinelRootNodes"][number]>
  /** What the connection to the master is made with: `username`, `password`, `socket.tls` and so on. */
  readonly nodeClientOptions?: Client | undefined
  /** What the connections to sentinels are made with. */
  readonly sentinelClientOptions?: Client | undefined
  /**
   * After this time in which the master has answered nothing, though something was asked, its connection is left, and the
   * sentinels are asked for the master until it answers. Default: 2 seconds; at least 10 ms. What it costs: see
   * `RedisStore.layerNode`.
   */
  readonly silence?: Duration.Input | undefined
}

const MODULE = "RedisSentinel"

const service = (options: Options): Effect.Effect<Redis.Redis["Service"], never, Scope.Scope> => {
  const { name, nodeAddressMap, sentinelRootNodes } = options
  const silence = silenceOf(MODULE, options.silence)
  if (sentinelRootNodes.length === 0) {
    const reason = "must name at least one sentinel"
    throw new InvalidPolicyError({ module: MODULE, parameter: "sentinelRootNodes", value: sentinelRootNodes, reason })
  }
  const clientAt = (field: "nodeClientOptions" | "sentinelClientOptions") => {
    const all = checked(MODULE, field, silence, options[field] as Own<NodeOptions> | undefined) // a part of those options
    return (host: string, port: number) => {
      const address = `${host}:${port}`
      const mapped = typeof nodeAddressMap === "function" ? nodeAddressMap(address) : nodeAddressMap?.[address]
      // a union by `tls`, which a spread loses
      const socket = { ...all.socket, host, port, ...mapped } as NonNullable<NodeOptions["socket"]>
      return clientOf({ ...all, socket }, silence)
    }
  }
  const settings = {
    name,
    silence,
    sentinels: sentinelRootNodes,
    sentinelAt: clientAt("sentinelClientOptions"),
    masterAt: clientAt("nodeClientOptions")
  }
  return Effect.flatMap(open(settings), (send) => serviceOf(MODULE, send))
}

/**
 * Provides a `Redis` service that sends every command to the master, whichever that is. `subscribe` and `reserve` fail.
 *
 * It never waits at the start, and never queues: while there is no master, or no sentinel that knows it, commands fail at
 * once.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Redis.Redis> => Layer.effect(Redis.Redis, service(options))
