/** A store with a connection of its own: whatever the server does, no call waits for it, and nothing is kept. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Scope } from "effect"
import { Resilience } from "effect-resilience"
import type { Store } from "effect-resilience/Store"
import { RedisStore } from "../src/index.ts"
import { startProxy } from "./proxy.ts"
import { missing, pause, skipped, startRedis } from "./servers.ts"
import { eventually, isAllowed, keepsNothing, perHour } from "./support.ts"

/** Short, so that tests are. */
const silence = "700 millis"

const serviceOn = (store: Layer.Layer<Store>, deadline = 100) =>
  Effect.provide(
    Resilience.makeFromStore("own", { rateLimiter: perHour(1_000_000), store: { onError: "fail", deadline } }),
    store
  )

/** A call of a service on a store of its own, how it fails if it does, and the scope that the store ends with. */
const callOf = Effect.fnUntraced(function* (options: RedisStore.NodeOptions, deadline?: number) {
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  const context = yield* Layer.buildWithScope(RedisStore.layerNode(options), scope)
  const { resilient } = yield* serviceOn(Layer.succeedContext(context), deadline)
  const call = resilient(Effect.void, "ada")
  const why = Effect.match(call, {
    onSuccess: () => "ok",
    onFailure: (error) => ("reason" in error ? error.reason : "")
  })
  return { scope, call: isAllowed(call), why }
})

const failsAtOnce = (why: Effect.Effect<string>) => Effect.map(why, (reason) => reason === "unavailable")

describe.skipIf(missing !== undefined)(`a store with a connection of its own${skipped}`, () => {
  it.live("leaves a half-open connection, and makes one new one at a time", () =>
    Effect.gen(function* () {
      const proxy = yield* startProxy((yield* startRedis()).port)
      const { call, why } = yield* callOf({ url: proxy.url, prefix: "own", silence })
      yield* eventually("connected", call)
      yield* proxy.cut
      assert.strictEqual(yield* why, "deadline")
      yield* eventually("it answers again", call)
      assert.isAbove(proxy.made(), 1)
      assert.strictEqual(proxy.mostOpen(), 1)
    })
  )

  it.live("fails calls at once while the server hangs, tries one connection at a time, and comes back", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const proxy = yield* startProxy(server.port)
      const { call, why } = yield* callOf({ url: proxy.url, prefix: "own", silence }, 1_000)
      yield* eventually("connected", call)
      yield* server.suspend
      yield* eventually("the silent connection is left", failsAtOnce(why))
      yield* eventually(
        "some are tried",
        Effect.sync(() => proxy.made() > 2)
      )
      for (let i = 0; i < 50; i++) assert.strictEqual(yield* why, "unavailable", "and none is queued")
      yield* server.resume
      yield* eventually("it answers again", call)
      assert.strictEqual(proxy.mostOpen(), 1)
    })
  )

  it.live("stays with a server that answers late, but answers", () =>
    Effect.gen(function* () {
      const proxy = yield* startProxy((yield* startRedis()).port)
      const { call, why } = yield* callOf({ url: proxy.url, prefix: "own", silence: "1 second" }, 20_000)
      yield* eventually("connected", call)
      let answers = 0
      const traffic = Effect.andThen(
        pause(20),
        Effect.forkChild(
          Effect.andThen(
            why,
            Effect.sync(() => void answers++)
          )
        )
      )
      yield* Effect.forkScoped(Effect.forever(traffic))
      // so long is the way in the end that no answer is less than 1.4 seconds old
      for (let delay = 100; delay <= 700; delay += 100) {
        yield* proxy.delay(delay)
        yield* pause(300)
      }
      const before = answers
      yield* eventually(
        "answers go on",
        Effect.sync(() => answers > before + 50)
      )
      assert.strictEqual(proxy.made(), 1)
    })
  )

  it.live("leaves a master that has become a replica, behind the same address", () =>
    Effect.gen(function* () {
      const old = yield* startRedis(["--repl-diskless-sync-delay", "0"])
      const next = yield* startRedis(["--replicaof", "127.0.0.1", String(old.port)])
      const proxy = yield* startProxy(old.port)
      const { call } = yield* callOf({ url: proxy.url, prefix: "own" })
      yield* eventually("connected", call)
      next.command("REPLICAOF", "NO", "ONE")
      old.command("REPLICAOF", "127.0.0.1", String(next.port))
      assert.isFalse(yield* call)
      yield* proxy.turn(next.port)
      yield* eventually("the new master decides", call)
    })
  )

  it.live("starts while Redis is away, and asks it as soon as it is there", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      yield* server.kill
      const { call, why } = yield* callOf({ url: server.url, prefix: "own" })
      assert.strictEqual(yield* why, "unavailable")
      yield* server.start
      yield* eventually("it answers", call)
    })
  )

  it.live("closes while the server hangs, connected or in a handshake", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const connected = yield* callOf({ url: server.url, prefix: "own" })
      yield* eventually("connected", connected.call)
      yield* server.suspend
      const shaking = yield* callOf({ url: server.url, prefix: "own" })
      for (const { call, scope } of [connected, shaking]) {
        assert.isFalse(yield* call)
        const isClosed = Effect.as(Scope.close(scope, Exit.void), true)
        assert.isTrue(yield* Effect.raceFirst(isClosed, Effect.as(pause(5_000), false)))
        assert.isFalse(yield* call, "and afterwards nothing is sent")
      }
    })
  )

  it.live("keeps nothing of 20,000 calls into a half-open connection", () => keepsNothing("own"), 60_000)

  it.live("takes a wrong password for an outage, and says so once", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      server.command("CONFIG", "SET", "requirepass", "right")
      const proxy = yield* startProxy(server.port)
      const said: Array<string> = []
      const listening = Logger.layer([Logger.make(({ logLevel, message }) => void said.push(`${logLevel} ${message}`))])
      const { call, why } = yield* callOf({ url: proxy.url, password: "wrong", prefix: "own" }).pipe(
        Effect.provide(listening)
      )
      yield* eventually(
        "some attempts",
        Effect.andThen(
          failsAtOnce(why),
          Effect.sync(() => proxy.made() >= 5)
        )
      )
      assert.lengthOf(said, 1)
      assert.match(said[0]!, /^Warn RedisStore: the server is away.*WRONGPASS/)
      yield* server.kill
      yield* eventually(
        "another reason is said, too",
        Effect.sync(() => said.length === 2)
      )
      assert.isFalse(yield* call)
      yield* server.start // without a password now
      yield* eventually("it answers", call)
      assert.match(said.at(-1)!, /^Info .*answers again/)
    })
  )

  it.live("keeps its states in the database that it is told", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const { call } = yield* callOf({ url: server.url, database: 3, prefix: "own" })
      yield* eventually("connected", call)
      assert.notStrictEqual(server.command("-n", "3", "KEYS", "own:*"), "")
      assert.strictEqual(server.command("KEYS", "*"), "")
    })
  )
})

describe("the options of a connection", () => {
  const refused = (options: object, parameter: string) => {
    const make = () => RedisStore.layerNode({ prefix: "own", ...options })
    assert.throws(make, new RegExp(`^RedisStore: ${parameter} `))
  }

  it("are refused where they contradict a connection that never waits", () => {
    refused({ socket: { reconnectStrategy: 5 } }, "options.socket.reconnectStrategy")
    refused({ disableOfflineQueue: false }, "options.disableOfflineQueue")
    refused({ commandOptions: { timeout: 5 } }, "options.commandOptions")
    refused({ socket: { host: "redis", reconnectStrategy: false } }, "options.socket.reconnectStrategy")
    refused({ disableOfflineQueue: true }, "options.disableOfflineQueue")
  })

  it("are refused where they are no duration, and where node-redis refuses them, without a password", () => {
    for (const silence of [0, 9, -1, NaN, Infinity, "soon", {}]) refused({ silence }, "silence")
    refused({ url: "http://:secret@redis" }, "options are")
    assert.throws(
      () => RedisStore.layerNode({ prefix: "own", url: "http://:secret@redis" }),
      /^(?!.*secret).*valid Redis protocol/
    )
  })

  it("take a socket with what belongs to TLS, and to the connection", () => {
    RedisStore.layerNode({
      prefix: "own",
      silence: "10 millis",
      socket: { tls: true, host: "redis", servername: "redis", connectTimeout: 100 }
    })
  })
})
