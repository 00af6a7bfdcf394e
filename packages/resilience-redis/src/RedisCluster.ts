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
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import { InvalidPolicyError } from "effect-resilience/Rejection"
import type { createCluster } from "redis"
import { checked, clientOf, type NodeOptions, type Own, serviceOf } from "./internal/client.ts"
import { open } from "./internal/cluster.ts"
import { silenceOf } from "./internal/silence.ts"

type All = Parameters<typeof createCluster>[0]
type Client = Own<All["rootNodes"][number]>

/**
 * Of the options of node-redis' `createCluster` those that a store has use for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Pick<All, "nodeAddressMap"> {
  /** Machines of the cluster that are asked where the others are. One is enough, while it answers. */
  readonly rootNodes: ReadonlyArray<Client>
  /** What every connection is made with: `username`, `password`, `socket.tls` and so on. */
  readonly defaults?: Client | undefined
  /**
   * After this time in which a machine has answered nothing, though something was asked, its connection is left, and a new
   * one is tried until it answers. Default: 2 seconds; at least 10 ms. What it costs: see `RedisStore.layerNode`.
   */
  readonly silence?: Duration.Input | undefined
}

const MODULE = "RedisCluster"

/** What a machine is called that does not say its own name: as it was called by the user. */
const hostOf = ({ socket, url }: NodeOptions): string =>
  url !== undefined
    ? new URL(url).hostname
    : String((socket !== undefined && "host" in socket && socket.host) || "localhost")

/** Two of node-redis' socket options as one. */
const joined = (one: NodeOptions["socket"], other: object | undefined): NonNullable<NodeOptions["socket"]> =>
  ({ ...one, ...other }) as NonNullable<NodeOptions["socket"]> // a union by `tls`, which a spread loses

const service = (options: Options): Effect.Effect<Redis.Redis["Service"], never, Scope.Scope> => {
  const { nodeAddressMap } = options
  const silence = silenceOf(MODULE, options.silence)
  const defaults = checked(MODULE, "defaults", silence, options.defaults as Own<NodeOptions> | undefined) // a part of those options
  if (options.rootNodes.length === 0) {
    const reason = "must name at least one machine"
    throw new InvalidPolicyError({ module: MODULE, parameter: "rootNodes", value: options.rootNodes, reason })
  }
  const roots = options.rootNodes.map((given, i) => {
    const root = checked(MODULE, `rootNodes[${i}]`, silence, given as Own<NodeOptions>) // a part of those options
    const all = { ...defaults, ...root, socket: joined(defaults.socket, root.socket) }
    return { host: hostOf(root), client: () => clientOf(all, silence) }
  })
  const addressOf = (host: string, port: number) => {
    const address = `${host}:${port}`
    const mapped = typeof nodeAddressMap === "function" ? nodeAddressMap(address) : nodeAddressMap?.[address]
    return mapped ?? { host, port }
  }
  return Effect.flatMap(
    open({
      name: MODULE,
      silence,
      roots,
      clientAt: (host, port) =>
        clientOf({ ...defaults, socket: joined(defaults.socket, addressOf(host, port)) }, silence)
    }),
    (send) => serviceOf(MODULE, send)
  )
}

/**
 * Provides a `Redis` service that sends each command to the machine that has its key. `subscribe` and `reserve` fail.
 *
 * It never waits at the start, and never queues: until it knows where the keys are, and while the machine of a key is away,
 * commands fail at once. Keys of the other machines are not touched by that. A slot that moves is waited for, 2 seconds at
 * most.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Redis.Redis> => Layer.effect(Redis.Redis, service(options))
