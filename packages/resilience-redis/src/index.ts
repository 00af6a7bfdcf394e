/**
 * One limit for many machines: the store of effect-resilience on Redis.
 *
 * @since 0.1.0
 */
export * as RedisCluster from "./RedisCluster.ts"
export * as RedisSentinel from "./RedisSentinel.ts"
export * as RedisStore from "./RedisStore.ts"
