/**
 * The state of limits and circuits in Redis, so that all processes of a service decide as one.
 *
 * A whole admission, whatever limits and circuit it asks, is one script: one trip, on the server's clock, all or nothing.
 * The script runs the very algorithms of effect-resilience, compiled to Lua.
 *
 * Redis 6.2 or newer, Valkey, behind Sentinel or as a Cluster. `layerNode` has a connection of its own, which is what to use
 * for one server. `layer` stands on effect's own `Redis` service: `RedisCluster.layer` and `RedisSentinel.layer` of this
 * package, or `NodeRedis.layer` of `@effect/platform-node` where the client is to be shared.
 *
 * **Example** (One limit for all processes)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { RateLimiter, Resilience } from "effect-resilience"
 * import { RedisStore } from "effect-resilience-redis"
 *
 * class Payments extends Resilience.Service<Payments>()("app/Payments", {
 *   rateLimiter: RateLimiter.tokenBucket({ limit: 100, window: "1 second" })
 * }) {}
 *
 * const PaymentsLive = Payments.layerFromStore.pipe(
 *   Layer.provide(RedisStore.layerNode({ url: "redis://127.0.0.1:6379", prefix: "shop" }))
 * )
 * ```
 *
 * **A server that hangs**
 *
 * A server may stop without closing its connections, a connection may be half-open, a master may have become a replica. A
 * client of node-redis waits then, for minutes or for ever. The connections of this package (`layerNode`, `RedisCluster`,
 * `RedisSentinel`) do not: they leave what has answered nothing for `silence`, and make another one. They never wait at the
 * start and never queue: while there is no connection, a question fails at once, and `store.onError` decides.
 *
 * **Keys**
 *
 *     shop:2:{key/417}:app/Payments/limit:token-bucket@2:ada
 *     prefix layout tag      space            algorithm      key
 *
 * All but plain characters are written in hex, and a name of more than 1,000 characters is hashed, so no two policies,
 * algorithms or keys meet. Redis Cluster chooses a slot by what stands in braces. Where each call of a service takes one key
 * (one limit, or limits and a circuit that all look at the same part of it), that is one of 1,024 numbers made of the key,
 * and the service is spread over the cluster. Else it is the service's name (`{service/app/Payments}`), and the service is on
 * one machine: what a call takes at once must be in one place.
 *
 * **Values**
 *
 * A key holds a state for each policy that asked it lately, up to four: during a rolling deployment, the old and the new
 * policy of one service each decide on their own. A policy that has no state there begins with what the last one owed when
 * it wrote: the units used, as far as it can hold them, or a circuit's phase. Another algorithm has another key, and begins
 * anew. `reset`, `isolate` and `close` leave nothing of other policies.
 *
 * A value that this package did not write, or that was damaged, is `StoreError({ reason: "damaged" })` for the calls of its
 * key, and `onError` is asked about it as about an outage: with the default no call fails, nothing is logged, and each process
 * limits that key for itself. All other keys are served. No call writes over it; `reset(key)` of a limiter does, and `reset`,
 * `isolate` and `close` of a circuit do. `reset` without a key leaves it as it is.
 *
 * Every state goes by itself when it may be forgotten. An open circuit and one that counts calls have no end, so they
 * stay, unless `idleTimeToLive` is set. `clear` (`reset` without a key) begins a new epoch, noted in one small key for
 * each tag, which stays; what is of an older epoch counts as absent. `maxKeys` and `overflow` mean nothing here: bound the
 * memory of the server, with `maxmemory-policy volatile-ttl`, which forgets first what is nearest to fresh. An `allkeys-*`
 * policy may evict anything that was not used lately: a limit, which then begins anew; an open circuit, which is closed
 * then; the note of a cleared space, and what was cleared counts again until it ends.
 *
 * **Rights**
 *
 * All that a store sends, for a prefix `shop`:
 *
 *     ACL SETUSER shop on >secret ~shop:* +evalsha +script|load +time +mget +get +set +unlink +type +info
 *
 * Without `info` the store cannot find out that the server stands alone, and asks for one key in one trip (see `sharded`).
 *
 * On a Cluster the user needs `+cluster|slots +eval +asking` as well, on every machine. A user of the sentinels needs
 * `&+switch-master +sentinel|get-master-addr-by-name +subscribe`.
 *
 * **Leases**
 *
 * Where a `RateLimiter.tokenBucket` has a `lease`, this store takes its tokens ahead and answers most calls without a trip.
 * It is asked by itself, before what else a call takes, so it does not hold the others in one place of a cluster. What a
 * process did not spend goes back at the end of each lease, and when the scope of the store closes.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import { InvalidPolicyError } from "effect-resilience/Rejection"
import { Store } from "effect-resilience/Store"
import { checked, clientOf, type NodeOptions as ClientOptions, type Own, serviceOf } from "./internal/client.ts"
import type { Compiled } from "./internal/compiled.ts"
import { open } from "./internal/connection.ts"
import { guarded } from "./internal/foreign.ts"
import * as redisStore from "./internal/redisStore.ts"
import { silenceOf } from "./internal/silence.ts"

export type { Compiled, Field, Shape } from "./internal/compiled.ts"

/**
 * Where states are kept, and which other algorithms Redis knows.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * What all keys begin with: the name of the application. Processes with the same prefix share their limits and circuits.
   * There is no default: two applications on one Redis would share theirs.
   */
  readonly prefix: string
  /**
   * Kernels of your own that Redis is to run, too. A kernel that is not among them works as well, in two trips: its state
   * is read, it is asked in this process, and what it leaves is written if no other call was faster. Redis keeps the states
   * of the two in different words: a kernel that begins or ceases to be among them needs a new id.
   */
  readonly kernels?: ReadonlyArray<Compiled> | undefined
  /**
   * Whether keys are spread over several servers. One server is asked for any keys in one trip, several only for those that
   * are on one. Default: the server is asked (`INFO`). Behind a proxy that makes several servers look like one, say `true`.
   */
  readonly sharded?: boolean | undefined
  /**
   * What becomes of a client that `NodeRedis.layer` of `@effect/platform-node` owns. The store sends nothing to it while it is
   * not connected, and nothing more when it has answered nothing for `silence`, until it answers. With "watch", the store
   * closes that client then and connects it again, also where the server says READONLY, LOADING or MASTERDOWN, or where the
   * client was closed for good. **All users of that client feel it**: what they have sent fails. Default: the client is left
   * as it is, however long it is silent.
   *
   * Without effect for `layerNode`, `RedisCluster` and `RedisSentinel`, which own their connections.
   */
  readonly foreign?: "watch" | undefined
  /** The silence of a client that another owns: see `foreign`, and `NodeOptions`. Default: 2 seconds; at least 10 ms. */
  readonly silence?: Duration.Input | undefined
}

/**
 * The options of node-redis' `createClient`, and of the store.
 *
 * `socket.reconnectStrategy`, `disableOfflineQueue` and `commandOptions` cannot be set: the layer decides them.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeOptions extends Own<ClientOptions>, Omit<Options, "foreign" | "silence"> {
  /**
   * After this time in which the server has answered nothing, though something was asked, the connection is left and a new
   * one is tried. Any answer begins the time anew, so a server that is slow is not left. Default: 2 seconds; at least 10 ms.
   *
   * A server that pauses for longer (a script or `KEYS` over millions of keys, a fork of a large memory, a stopped virtual
   * machine) is left, too, though it would have come back: each process makes new connections until one is answered, and
   * decides by `store.onError` meanwhile, also after the pause until its next attempt, a second at most. Set it above the
   * longest pause of your server that is no outage to you. A long one costs little: calls are held by `store.deadline`, not
   * by this.
   */
  readonly silence?: Duration.Input | undefined
}

/**
 * A store on a `Redis` service.
 *
 * It fails with `StoreError` where Redis does, and sets no bound to how long that takes. Services bound it themselves, by
 * `store.deadline`. While the client of `NodeRedis.layer` is not connected, it fails at once, for that client would run later
 * what it queues, and so it does while that client is silent: see `foreign`. The client is found in the context by its key, and
 * taken for the one behind `Redis`. Where there is none, the store sends in any case, and a debug line says so.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<Store["Service"], never, Redis.Redis | Scope.Scope> => {
  const { foreign, kernels = [], prefix, sharded, silence } = options ?? ({} as Partial<Options>) // no type keeps JavaScript from leaving it out
  if (typeof prefix !== "string" || prefix === "") {
    throw new InvalidPolicyError({
      module: "RedisStore",
      parameter: "prefix",
      value: prefix,
      reason: "must be a string that is not empty: what the keys of this application begin with"
    })
  }
  if (sharded !== undefined && typeof sharded !== "boolean") {
    throw new InvalidPolicyError({
      module: "RedisStore",
      parameter: "sharded",
      value: sharded,
      reason: "must be true or false"
    })
  }
  if (foreign !== undefined && foreign !== "watch") {
    throw new InvalidPolicyError({
      module: "RedisStore",
      parameter: "foreign",
      value: foreign,
      reason: 'must be "watch" or absent'
    })
  }
  const watch = { silence: silenceOf("RedisStore", silence), isWatched: foreign === "watch" }
  const known = new Set<string>()
  for (const { id } of kernels) {
    if (known.has(id)) {
      throw new InvalidPolicyError({
        module: "RedisStore",
        parameter: "kernels",
        value: id,
        reason: "has two of one id"
      })
    }
    known.add(id)
  }
  return Effect.gen(function* () {
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const clock = yield* Clock.Clock
    const { close, store } = redisStore.make(yield* guarded(yield* Redis.Redis, watch), {
      prefix,
      kernels,
      sharded,
      clock,
      fork
    })
    yield* Effect.addFinalizer(() => close)
    return store
  })
}

/**
 * Provides a store on a `Redis` service. For one server, `layerNode` is what to use.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Store, never, Redis.Redis> => Layer.effect(Store, make(options))

/**
 * Provides a store in one Redis, with a connection of its own: what to use where nothing else needs that connection.
 *
 * It never waits, neither at the start nor while Redis is away, and queues nothing: while it is not connected, a question
 * fails at once, and `store.onError` decides. So the calls of the first milliseconds are decided by `store.onError`, too.
 *
 * A connection is left when it is lost, when it has answered nothing for `silence` (half-open, or the server hangs), or when
 * the server says READONLY, LOADING or MASTERDOWN (behind one address another machine has become the master). Then one new
 * connection at a time is tried, by chance after 25 to 50 ms and later after up to a second, until it answers. What was sent
 * and not answered fails then, and nothing is kept of it. A wrong password is such an outage as well. Each reason is logged
 * once in an outage, as a warning.
 *
 * The layer closes at once, whatever the server does; only leased tokens are given back first, within a second at most.
 *
 * **Example** (A store with a connection of its own)
 *
 * ```ts
 * import { RedisStore } from "effect-resilience-redis"
 *
 * const StoreLive = RedisStore.layerNode({ url: "redis://127.0.0.1:6379", prefix: "shop" })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNode = (options: NodeOptions): Layer.Layer<Store> => {
  const { kernels, prefix, sharded, silence: given, ...rest } = options
  const silence = silenceOf("RedisStore", given)
  const node = checked("RedisStore", "options", silence, rest)
  const connection = Effect.flatMap(
    open({ name: "RedisStore: the server", silence, client: Effect.sync(() => clientOf(node, silence)) }),
    ({ send }) => serviceOf("RedisStore.layerNode", send)
  )
  return layer({ prefix, kernels, sharded }).pipe(Layer.provide(Layer.effect(Redis.Redis, connection)))
}
