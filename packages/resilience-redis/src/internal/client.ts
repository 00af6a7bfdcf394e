/**
 * Clients of node-redis, as the connections of this package need them, and effect's `Redis` service on a connection.
 */
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import { InvalidPolicyError } from "effect-resilience/Rejection"
import { createClient } from "redis"

/** What is used of a client. */
export interface Client {
  readonly isOpen: boolean
  readonly isReady: boolean
  readonly connect: () => Promise<unknown>
  readonly destroy: () => unknown
  readonly sendCommand: (command: ReadonlyArray<string>) => Promise<unknown>
  readonly on: (event: string, listener: (cause?: unknown) => void) => unknown
  readonly off: (event: string, listener: (cause?: unknown) => void) => unknown
}

/** The options of node-redis' `createClient`. */
export type NodeOptions = NonNullable<Parameters<typeof createClient>[0]>

/** Options of node-redis that would make a connection wait, queue or read replies in another way. */
export interface Refused {
  readonly disableOfflineQueue?: never
  readonly commandOptions?: never
}

type OwnSocket<Socket> = Socket extends object
  ? Omit<Socket, "reconnectStrategy"> & { readonly reconnectStrategy?: never }
  : Socket

/** The options of a client without those that a connection of this package decides itself. */
export type Own<Options extends { readonly socket?: unknown }> = Omit<Options, keyof Refused | "socket"> &
  Refused & { readonly socket?: OwnSocket<NonNullable<Options["socket"]>> | undefined }

/** Refuses what the types refuse, for callers without types, and what node-redis refuses. */
export const checked = (
  module: string,
  field: string,
  silence: number,
  options: Own<NodeOptions> = {}
): NodeOptions => {
  const given: Record<string, unknown> = {
    disableOfflineQueue: options.disableOfflineQueue,
    commandOptions: options.commandOptions,
    "socket.reconnectStrategy": options.socket?.reconnectStrategy
  }
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    const reason = "cannot be set: this layer connects again by itself, never queues, and reads replies its own way"
    throw new InvalidPolicyError({ module, parameter: `${field}.${name}`, value, reason })
  }
  const node = options as NodeOptions // what is refused is absent
  try {
    clientOf(node, silence).destroy() // it was never connected: this only reads the options
  } catch (cause) {
    const reason = `are refused by node-redis: ${cause instanceof Error ? cause.message : String(cause)}`
    // only their names: a value may hold a password
    throw new InvalidPolicyError({ module, parameter: field, value: Object.keys(options), reason })
  }
  return node
}

/**
 * A client that is not connected yet. It never queues and never connects again by itself. The client's own deadline of a
 * command is off: a command is sent at once, and ends with the connection.
 */
export const clientOf = (options: NodeOptions, silence: number): Client =>
  createClient({
    ...options,
    disableOfflineQueue: true,
    commandOptions: { timeout: 0 },
    socket: {
      ...options.socket,
      connectTimeout: Math.min(silence, options.socket?.connectTimeout ?? silence),
      reconnectStrategy: false
    } as NonNullable<NodeOptions["socket"]> // a union by `tls`, which a spread loses
  })

/** The server said it: its errors begin with a code in capitals, those of the client do not. */
export const isAnswer = (cause: unknown): boolean => cause instanceof Error && /^[A-Z]+ /.test(cause.message)

/** The server answers and is of no use: another one is the master, or its data is not there yet. */
export const isUseless = (cause: unknown): boolean =>
  // Redis 6.2 puts the error of a script's command into its own: "ERR Error running script ...: -READONLY You ..."
  cause instanceof Error && /^(?:READONLY|LOADING|MASTERDOWN) |-(?:READONLY|LOADING|MASTERDOWN) /.test(cause.message)

export const failed = (cause: unknown): Redis.RedisError => new Redis.RedisError({ cause })

const own = new WeakSet<Redis.Redis["Service"]>()

/** The service is of this package: it never sends while it is not connected. */
export const isOwn = (redis: Redis.Redis["Service"]): boolean => own.has(redis)

/** A store sends commands and scripts. It neither subscribes nor reserves a connection, so these fail. */
export const serviceOf = (
  name: string,
  send: (command: ReadonlyArray<string>) => Effect.Effect<unknown, Redis.RedisError>
): Effect.Effect<Redis.Redis["Service"], never, Scope.Scope> => {
  const isMissing = Effect.fail(failed(new Error(`${name} is for stores: it only sends commands`)))
  return Effect.map(
    Redis.make({
      send: <A>(command: string, ...args: ReadonlyArray<string>) =>
        send([command, ...args]) as Effect.Effect<A, Redis.RedisError>, // the caller knows the reply
      subscribe: () => isMissing,
      connect: isMissing
    }),
    (redis) => {
      own.add(redis)
      return redis
    }
  )
}
