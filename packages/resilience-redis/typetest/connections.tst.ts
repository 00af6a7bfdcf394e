/** Options of node-redis that contradict a connection which never waits are not in the types. */
import { RedisSentinel, RedisStore } from "effect-resilience-redis"

const url = "redis://redis"

// error: Type 'false' is not assignable to type 'undefined'
export const reconnects = RedisStore.layerNode({ prefix: "own", url, socket: { reconnectStrategy: false } })

// error: Type 'true' is not assignable to type 'never'
export const queues = RedisStore.layerNode({ prefix: "own", url, disableOfflineQueue: true })

const sentinels = { name: "main", sentinelRootNodes: [{ host: "s", port: 1 }] }

// error: 'masterPoolSize' does not exist in type
export const pool = RedisSentinel.layer({ ...sentinels, masterPoolSize: 2 })
