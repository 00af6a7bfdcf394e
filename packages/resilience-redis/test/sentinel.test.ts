/** A master that dies, and a replica that Sentinel puts in its place. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Resilience } from "effect-resilience"
import { RedisSentinel, RedisStore } from "../src/index.ts"
import { missing, skipped, startSentinel } from "./servers.ts"
import { connected, eventually, isAllowed, perHour } from "./support.ts"

describe.skipIf(missing !== undefined)(`a store that Sentinel watches${skipped}`, () => {
  it.live("decides by the replica once the master is gone, and by itself in between", () =>
    Effect.gen(function* () {
      const { master, replica, sentinel } = yield* startSentinel
      const redis = RedisSentinel.layer({
        name: "main",
        sentinelRootNodes: [{ host: "127.0.0.1", port: sentinel.port }]
      })
      const context = yield* Layer.build(RedisStore.layer({ prefix: "test" }).pipe(Layer.provide(connected(redis))))
      const service = Resilience.makeFromStore("watched", {
        rateLimiter: perHour(50),
        store: { deadline: "200 millis" }
      })
      const { resilient } = yield* Effect.provide(service, Layer.succeedContext(context))
      const call = isAllowed(resilient(Effect.void, "ada"))
      for (let i = 0; i < 5; i++) assert.isTrue(yield* call)
      const used = Effect.sync(() =>
        Number(replica.command("GET", replica.command("KEYS", "*watched*")).split(" ").at(-1))
      )
      yield* eventually(
        "the replica knows",
        Effect.map(used, (used) => used === 5)
      )
      yield* master.kill
      assert.isTrue(yield* call, "nobody sees an error")
      yield* eventually(
        "the replica decides",
        Effect.andThen(
          call,
          Effect.map(used, (used) => used > 5)
        )
      )
      assert.match(replica.command("INFO", "replication"), /role:master/)
    })
  )
})
