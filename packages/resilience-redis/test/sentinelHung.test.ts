/** A master that hangs instead of dying, and sentinels that are away. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Resilience } from "effect-resilience"
import { RedisSentinel, RedisStore } from "../src/index.ts"
import { missing, type Server, skipped, startRedis, startSentinel } from "./servers.ts"
import { eventually, isAllowed, perHour } from "./support.ts"

const callOn = Effect.fnUntraced(function* (sentinels: ReadonlyArray<Server>) {
  const redis = RedisSentinel.layer({
    name: "main",
    sentinelRootNodes: sentinels.map(({ port }) => ({ host: "127.0.0.1", port })),
    silence: "400 millis"
  })
  const store = yield* Layer.build(RedisStore.layer({ prefix: "hung" }).pipe(Layer.provide(redis)))
  const service = Resilience.makeFromStore("hung", {
    rateLimiter: perHour(1_000_000),
    store: { onError: "fail", deadline: "200 millis" }
  })
  const { resilient } = yield* Effect.provide(service, Layer.succeedContext(store))
  return resilient(Effect.void, "ada")
})

describe.skipIf(missing !== undefined)(`a store whose master hangs${skipped}`, () => {
  it.live(
    "decides by the replica that was put in its place, also when the old master goes on",
    () =>
      Effect.gen(function* () {
        const { master, replica, sentinel } = yield* startSentinel
        const call = isAllowed(yield* callOn([sentinel]))
        yield* eventually("connected", call)
        yield* master.suspend
        assert.isFalse(yield* call)
        for (let tries = 0; tries < 3; tries++) {
          // as long as the sentinel needs
          if (yield* Effect.isSuccess(eventually("the replica decides", call))) break
        }
        assert.match(replica.command("INFO", "replication"), /role:master/)
        const key = replica.command("KEYS", "hung:*")
        const used = () => replica.command("GET", key)
        yield* master.resume
        const before = used()
        for (let i = 0; i < 20; i++) assert.isTrue(yield* call)
        assert.notStrictEqual(used(), before, "they are not the old master's, which takes itself for one")
      }),
    40_000
  )

  it.live(
    "starts while all sentinels are away, and beside one that hangs",
    () =>
      Effect.gen(function* () {
        const { sentinel } = yield* startSentinel
        const hung = yield* startRedis()
        yield* hung.suspend
        yield* sentinel.kill
        const call = yield* callOn([hung, sentinel])
        const error = yield* Effect.flip(call)
        assert.strictEqual(error._tag === "StoreError" && error.reason, "unavailable")
        yield* sentinel.start
        yield* eventually("the master decides", isAllowed(call))
      }),
    30_000
  )
})

describe("the options of sentinels", () => {
  it("are refused where they contradict a connection that never waits", () => {
    const refused = (options: object, parameter: string) =>
      assert.throws(
        () => RedisSentinel.layer({ name: "main", sentinelRootNodes: [{ host: "s", port: 1 }], ...options }),
        new RegExp(`^RedisSentinel: ${parameter} `)
      )
    refused({ sentinelRootNodes: [] }, "sentinelRootNodes")
    refused({ nodeClientOptions: { disableOfflineQueue: true } }, "nodeClientOptions.disableOfflineQueue")
    refused({ sentinelClientOptions: { commandOptions: {} } }, "sentinelClientOptions.commandOptions")
    refused({ silence: NaN }, "silence")
  })
})
