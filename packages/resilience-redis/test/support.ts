/** What the tests of this package share. */
import { fork } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { NodeRedis } from "@effect/platform-node"
import { assert } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Redis from "effect/persistence/Redis"
import { CircuitBreaker, RateLimiter } from "effect-resilience"
import { Store } from "effect-resilience/Store"
import { RedisStore } from "../src/index.ts"
import { pause, type Server, startRedis } from "./servers.ts"

export const clientOf = ({ url }: Server) => Layer.orDie(NodeRedis.layer({ url }))

/** A store with a connection of its own, as another process has it. */
export const storeOn = (server: Server, options?: Partial<RedisStore.Options>) =>
  Effect.map(
    Layer.build(RedisStore.layer({ prefix: "test", ...options }).pipe(Layer.provide(clientOf(server)))),
    (context) => Layer.succeedContext(context)
  )

/** A connection that never waits at the start, waited for: until keys of all machines answer. */
export const connected = (redis: Layer.Layer<Redis.Redis>): Layer.Layer<Redis.Redis> =>
  Layer.effect(
    Redis.Redis,
    Effect.gen(function* () {
      const service = yield* Redis.Redis
      const keys = Array.from({ length: 60 }, (_, i) => `any ${i}`)
      yield* eventually("connected", Effect.isSuccess(Effect.forEach(keys, (key) => service.send("GET", key))))
      return service
    })
  ).pipe(Layer.provide(redis))

export const storeOf = (layer: Layer.Layer<Store>): Effect.Effect<Store["Service"]> => Effect.provide(Store, layer)

export const isAllowed = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<boolean> => Effect.isSuccess(effect)

/** Asks until it is so, for some seconds. */
export const eventually = <E, R>(what: string, check: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    for (let tries = 0; tries < 200; tries++) {
      if (yield* check) return
      yield* pause(25)
    }
    throw new Error(`not within 5 seconds: ${what}`)
  })

export const perHour = (limit: number) => RateLimiter.fixedWindow({ limit, window: "1000 hours" })

export const breakerOn = (store: Layer.Layer<Store>, policy: CircuitBreaker.Policy) =>
  Effect.provide(CircuitBreaker.CircuitBreaker, Layer.provide(CircuitBreaker.layerFromStore(policy), store))

/** In a process of its own, whose memory can be measured: 20,000 calls go into a half-open connection, and all of them fail. */
export const keepsNothing = (connection: "own" | "foreign") =>
  Effect.gen(function* () {
    const server = yield* startRedis()
    const child = fork(join(import.meta.dirname, "hungWorker.ts"), [String(server.port), connection], {
      execArgv: ["--conditions=effect-resilience-source", "--expose-gc", "--no-warnings"]
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => void child.kill("SIGKILL")))
    const [{ failed, perCall }] = (yield* Effect.promise(() => once(child, "message"))) as [
      { readonly failed: number; readonly perCall: number } // what that file sends
    ]
    assert.strictEqual(failed, 20_000)
    assert.isBelow(perCall, 100, "bytes for each call")
  })
