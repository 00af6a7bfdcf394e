/**
 * Effect's `Redis` service on clients of node-redis that `NodeRedis` has no layer for.
 *
 * A store sends commands and scripts. It neither subscribes nor reserves a connection, so these fail.
 */
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"

interface Client {
  readonly connect: () => Promise<unknown>
  readonly destroy: () => Promise<unknown> | void
  readonly on: (event: "error", listener: (cause: unknown) => void) => unknown
}

const failed = (cause: unknown) => new Redis.RedisError({ cause })

/** While a slot moves, some of a command's keys may be on one machine and some on another. It was not run. */
const isMoving = ({ cause }: Redis.RedisError): boolean => String(cause).includes("TRYAGAIN")

const patient = <A>(sent: Effect.Effect<A, Redis.RedisError>, left = 100): Effect.Effect<A, Redis.RedisError> =>
  Effect.catchIf(
    sent,
    (error) => left > 0 && isMoving(error),
    () => Effect.delay(patient(sent, left - 1), "20 millis")
  )

export const serviceOf = <C extends Client>(
  name: string,
  create: () => C,
  send: (client: C, command: ReadonlyArray<string>) => Promise<unknown>
): Effect.Effect<Redis.Redis["Service"], Redis.RedisError, Scope.Scope> =>
  Effect.gen(function* () {
    // `close` waits for what was sent, and a machine that is away never answers: nobody who could hear it is left by then
    const client = yield* Effect.acquireRelease(Effect.sync(create), (client) =>
      Effect.ignoreCause(Effect.promise(async () => client.destroy()))
    )
    // without a listener, a lost connection would end the process
    const log = Effect.runSyncWith(yield* Effect.context<never>())
    client.on("error", (cause) => log(Effect.logWarning(`${name} client error`, cause)))
    yield* Effect.tryPromise({ try: () => client.connect(), catch: failed })
    const isMissing = Effect.fail(failed(new Error(`${name} is for stores: it only sends commands`)))
    return yield* Redis.make({
      send: <A>(command: string, ...args: ReadonlyArray<string>) =>
        patient(Effect.tryPromise({ try: () => send(client, [command, ...args]) as Promise<A>, catch: failed })), // the caller knows the reply
      subscribe: () => isMissing,
      connect: isMissing
    })
  })
