/** The client of `NodeRedis.layer`: nothing is queued in it, and it may be watched. */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, References } from "effect"
import * as Redis from "effect/persistence/Redis"
import { Resilience } from "effect-resilience"
import { RedisStore } from "../src/index.ts"
import { startProxy } from "./proxy.ts"
import { missing, pause, skipped, startRedis } from "./servers.ts"
import { eventually, isAllowed, keepsNothing, perHour } from "./support.ts"

const silence = "700 millis"

/** Ends with `destroy`, since `close` waits for a server that hangs. */
const clientOf = (options: Parameters<typeof NodeRedis.layer>[0]) => {
  const client = Layer.orDie(NodeRedis.layer(options))
  const ended = Layer.effectDiscard(
    Effect.gen(function* () {
      const { client } = yield* NodeRedis.NodeRedis
      yield* Effect.addFinalizer(() => Effect.sync(() => client.destroy()))
    })
  )
  return Layer.provideMerge(ended, client)
}

const serviceOn = Effect.fnUntraced(function* (
  redis: Layer.Layer<Redis.Redis>,
  options?: Partial<RedisStore.Options>,
  store?: { readonly onError?: "local" | "fail"; readonly deadline?: "200 millis" }
) {
  const context = yield* Layer.build(RedisStore.layer({ prefix: "foreign", ...options }).pipe(Layer.provide(redis)))
  return yield* Effect.provide(
    Resilience.makeFromStore("foreign", {
      rateLimiter: perHour(1_000_000),
      store: { onError: "fail", deadline: "100 millis", ...store }
    }),
    Layer.succeedContext(context)
  )
})

describe.skipIf(missing !== undefined)(`a store on the client of NodeRedis${skipped}`, () => {
  it.live("charges no call that was decided while the server was away", () =>
    Effect.gen(function* () {
      const server = yield* startRedis(["--appendonly", "yes", "--appendfsync", "always"])
      // by default, this client queues what is sent while it is not connected
      const context = yield* Layer.build(clientOf({ url: server.url }))
      const { client } = Context.get(context, NodeRedis.NodeRedis)
      const { resilient } = yield* serviceOn(
        Layer.succeedContext(context),
        {},
        { onError: "local", deadline: "200 millis" }
      )
      const call = resilient(Effect.void, "ada")
      const key = () => server.command("KEYS", "*ada")
      // epoch, times, policy, and the state of a fixed window: its start, and what was used
      const used = () => Number(server.command("GET", key()).split(" ")[4])
      for (let i = 0; i < 5; i++) yield* call
      assert.strictEqual(used(), 5)
      yield* server.kill
      // what it has not yet written by then is run later, and given back
      yield* eventually(
        "the client has noticed",
        Effect.sync(() => !client.isReady)
      )
      yield* pause(300)
      // of more than a thousand, not all would be given back when their answers come late
      yield* Effect.forEach(Array.from({ length: 3_000 }), () => call, { concurrency: "unbounded" })
      yield* server.start
      const other = resilient(Effect.void, "bob")
      yield* eventually(
        "it is asked again",
        Effect.andThen(
          other,
          Effect.sync(() => server.command("KEYS", "*bob") !== "")
        )
      )
      // on a busy machine, a call's time is over before it is sent: what is sent of it then is given back
      yield* eventually(
        "used is what was used before",
        Effect.sync(() => used() === 5)
      )
    })
  )

  it.live("sends nothing more to one that hangs, and does again when it answers", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const proxy = yield* startProxy(server.port)
      const { resilient } = yield* serviceOn(clientOf({ url: proxy.url }), { silence })
      const call = resilient(Effect.void, "ada")
      yield* eventually("connected", isAllowed(call))
      yield* server.suspend
      yield* eventually(
        "it fails at once",
        Effect.match(call, {
          onSuccess: () => false,
          onFailure: (error) => error._tag === "StoreError" && error.reason === "unavailable"
        })
      )
      yield* server.resume
      yield* eventually("it answers again", isAllowed(call))
      assert.strictEqual(proxy.made(), 1)
    })
  )

  it.live("keeps nothing of 20,000 calls into one that is half-open", () => keepsNothing("foreign"), 60_000)

  it.live("leaves it where it is half-open, if it is to be watched", () =>
    Effect.gen(function* () {
      const proxy = yield* startProxy((yield* startRedis()).port)
      const { resilient } = yield* serviceOn(clientOf({ url: proxy.url }), { foreign: "watch", silence })
      const call = isAllowed(resilient(Effect.void, "ada"))
      yield* eventually("connected", call)
      yield* proxy.cut
      assert.isFalse(yield* call)
      yield* eventually("it answers again", call)
      assert.isAbove(proxy.made(), 1)
    })
  )

  it.live("leaves it in a handshake that hangs, one attempt at a time", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const proxy = yield* startProxy(server.port)
      const { resilient } = yield* serviceOn(clientOf({ url: proxy.url }), { foreign: "watch", silence })
      const call = isAllowed(resilient(Effect.void, "ada"))
      yield* eventually("connected", call)
      yield* server.suspend
      yield* eventually(
        "some are tried",
        Effect.map(call, () => proxy.made() > 2)
      )
      yield* server.resume
      yield* eventually("it answers again", call)
      assert.strictEqual(proxy.mostOpen(), 1)
    })
  )

  it.live("connects it again where it was closed for good, or its master has become a replica", () =>
    Effect.gen(function* () {
      const old = yield* startRedis(["--repl-diskless-sync-delay", "0"])
      const next = yield* startRedis(["--replicaof", "127.0.0.1", String(old.port)])
      const proxy = yield* startProxy(old.port)
      // a quiet time as long as that ends the client for ever, as NodeRedis makes it
      const redis = clientOf({ url: proxy.url, socket: { socketTimeout: 300 } })
      const { resilient } = yield* serviceOn(redis, { foreign: "watch", silence })
      const call = isAllowed(resilient(Effect.void, "ada"))
      yield* eventually("connected", call)
      yield* eventually(
        "it was closed, and connected again",
        Effect.sync(() => proxy.made() > 1)
      )
      yield* eventually("it answers again", call)
      next.command("REPLICAOF", "NO", "ONE")
      old.command("REPLICAOF", "127.0.0.1", String(next.port))
      assert.isFalse(yield* call)
      yield* proxy.turn(next.port)
      yield* eventually("the new master decides", call)
    })
  )

  it.live("hears the answers whose calls have left, and that there are none", () =>
    Effect.gen(function* () {
      const proxy = yield* startProxy((yield* startRedis()).port)
      const service = yield* serviceOn(clientOf({ url: proxy.url }), { silence })
      const why = Effect.match(service.inspect("ada"), {
        onSuccess: () => "ok",
        onFailure: (error) => error.reason
      })
      yield* eventually("connected", isAllowed(service.resilient(Effect.void, "ada")))
      yield* proxy.delay(60) // there and back longer than the deadline of a question
      for (let i = 0; i < 20; i++) assert.strictEqual(yield* why, "deadline")
      yield* proxy.cut
      yield* eventually(
        "it is silent",
        Effect.map(why, (reason) => reason === "unavailable")
      )
    })
  )

  it.live("says where there is no client that it could look at, and asks whatever Redis there is", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const said: Array<string> = []
      const listening = Logger.layer([Logger.make(({ logLevel, message }) => void said.push(`${logLevel} ${message}`))])
      const { redis } = yield* Effect.map(Layer.build(clientOf({ url: server.url })), (context) => ({
        redis: Layer.effect(Redis.Redis, Effect.provide(Redis.Redis, Layer.succeedContext(context)))
      }))
      const build = (options?: Partial<RedisStore.Options>) =>
        serviceOn(redis, options).pipe(
          Effect.provide(listening),
          Effect.provideService(References.MinimumLogLevel, "Debug")
        )
      const { resilient } = yield* build()
      yield* resilient(Effect.void, "ada")
      assert.lengthOf(said, 1)
      assert.match(said[0]!, /^Debug RedisStore: no client of NodeRedis/)
      yield* build({ foreign: "watch" })
      assert.lengthOf(said, 2)
      assert.match(said[1]!, /^Warn RedisStore: no client of NodeRedis/)
    })
  )
})

describe("the options of a store on the client of NodeRedis", () => {
  it("are refused where they say nothing", () => {
    const refused = (options: object, message: RegExp) =>
      assert.throws(() => RedisStore.make({ prefix: "foreign", ...options }), message)
    refused({ foreign: "leave" }, /^RedisStore: foreign must be "watch"/)
    refused({ silence: 0 }, /^RedisStore: silence must be at least 10 milliseconds/)
  })
})
