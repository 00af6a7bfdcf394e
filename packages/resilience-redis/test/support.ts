/** What the tests of this package share. */
import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { CircuitBreaker, RateLimiter } from "effect-resilience"
import { Store } from "effect-resilience/Store"
import { RedisStore } from "../src/index.ts"
import { pause, type Server } from "./servers.ts"

export const clientOf = ({ url }: Server) => Layer.orDie(NodeRedis.layer({ url }))

/** A store with a connection of its own, as another process has it. */
export const storeOn = (server: Server, options?: Partial<RedisStore.Options>) =>
  Effect.map(
    Layer.build(RedisStore.layer({ prefix: "test", ...options }).pipe(Layer.provide(clientOf(server)))),
    (context) => Layer.succeedContext(context)
  )

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
