/**
 * The `Redis` service of another package: its client is looked at before anything is sent, and may be watched.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Redis from "effect/persistence/Redis"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { type Client, failed, isAnswer, isOwn, isUseless, serviceOf } from "./client.ts"
import { PARTS, Silence } from "./silence.ts"

/** `NodeRedis` of `@effect/platform-node`, found by its key: this package does not need that one. */
class NodeRedis extends Context.Service<NodeRedis, { readonly client: Client }>()("@effect/platform-node/NodeRedis") {}

const causeOf = (cause: Cause.Cause<Redis.RedisError>): unknown => {
  const error = Cause.squash(cause)
  return error instanceof Redis.RedisError ? error.cause : error
}

const away = Effect.fail(failed(new Error("the client of NodeRedis is not connected")))
const silent = Effect.fail(failed(new Error("the client of NodeRedis answers nothing")))

/** Makes the client connect anew where it is silent, closed for good, or hangs in a handshake. */
const watching = (client: Client, silence: Silence, millis: number): Effect.Effect<never, never, Scope.Scope> =>
  Effect.gen(function* () {
    const changed = Latch.makeUnsafe(false)
    let isShaking = false
    let parts = 0
    const on = {
      connect: () => {
        isShaking = true
        parts = 0
      },
      ready: () => void (isShaking = false),
      error: () => {
        isShaking = false
        changed.openUnsafe()
      },
      end: () => {
        isShaking = false
        changed.openUnsafe()
      }
    }
    for (const [event, listener] of Object.entries(on)) client.on(event, listener)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const [event, listener] of Object.entries(on)) client.off(event, listener)
      })
    )
    let isSaid = false
    /** Says so for the first time of an outage. */
    const destroyed = (why: string) =>
      Effect.suspend(() => {
        client.destroy()
        if (isSaid) return Effect.void
        isSaid = true
        return Effect.logWarning(`RedisStore: the client of NodeRedis ${why}: it is closed and connected again`)
      })
    while (true) {
      const isSilent = yield* Effect.raceFirst(Effect.as(silence.lasts(millis), true), Effect.as(changed.await, false))
      changed.closeUnsafe()
      if (isSilent && client.isReady) yield* destroyed(`has answered nothing within ${millis} ms`)
      while (!client.isReady) {
        // in processes that lost one server, not all at the same time
        yield* Effect.sleep((millis / PARTS) * (0.75 + 0.5 * (yield* Random.next)))
        if (!client.isOpen) client.connect().catch(() => {})
        else if (isShaking && ++parts >= PARTS) yield* destroyed("hangs in its handshake")
      }
      isSaid = false
    }
  })

export interface Settings {
  /** Milliseconds. */
  readonly silence: number
  /** A client that is silent is left; else nothing more is sent to it until it answers. */
  readonly isWatched: boolean
}

/**
 * The service as a store sends through it: never while the client behind it is not connected, for what the client then queues
 * is run when no call waits for it any more, and never while it is silent, for the client keeps what is unanswered.
 */
export const guarded = (
  redis: Redis.Redis["Service"],
  { isWatched, silence: millis }: Settings
): Effect.Effect<Redis.Redis["Service"], never, Scope.Scope> =>
  Effect.gen(function* () {
    if (isOwn(redis)) return redis
    const found = yield* Effect.serviceOption(NodeRedis)
    if (found._tag === "None") {
      const text = "RedisStore: no client of NodeRedis is in the context, so whether it is connected is not looked at"
      yield* isWatched ? Effect.logWarning(text) : Effect.logDebug(text)
      return redis
    }
    const { client } = found.value
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const silence = new Silence()
    let isHeld = false
    const holding = Effect.andThen(
      silence.lasts(millis),
      Effect.suspend(() => {
        if (isHeld) return Effect.void
        isHeld = true
        const text = `has answered nothing within ${millis} ms: nothing more is sent to it until it does`
        return Effect.logWarning(`RedisStore: the client of NodeRedis ${text}`)
      })
    )
    yield* Effect.forkScoped(isWatched ? watching(client, silence, millis) : Effect.forever(holding))
    return yield* serviceOf("RedisStore", ([command, ...args]) =>
      Effect.suspend(() => {
        if (isHeld) return silent
        if (!client.isReady) return away
        return Effect.callback<unknown, Redis.RedisError>((resume) => {
          silence.began()
          // in a fiber of its own: a call that leaves does not end the command
          fork(redis.send(command!, ...args)).addObserver((exit) => {
            const cause = exit._tag === "Failure" ? causeOf(exit.cause) : undefined
            const isHeard = exit._tag === "Success" || isAnswer(cause)
            silence.ended(isHeard)
            if (isHeard || silence.isIdle) isHeld = false
            if (isWatched && isUseless(cause) && client.isReady) client.destroy()
            resume(exit)
          })
        })
      })
    )
  })
