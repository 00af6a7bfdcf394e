/**
 * One connection to one Redis, made anew when it is lost or of no use.
 *
 * It never waits and never queues: while it is not ready, a command fails at once. One attempt is made at a time; its
 * handshake is the probe of a server that is away.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import { type Client, failed, isAnswer, isUseless } from "./client.ts"
import { Outage } from "./outage.ts"
import { Silence } from "./silence.ts"

export interface Settings {
  /** What the connection is called in logs and errors. */
  readonly name: string
  /** Milliseconds. */
  readonly silence: number
  /** The client of the next attempt, not connected yet. A failure is a failed attempt. */
  readonly client: Effect.Effect<Client, unknown>
  /** The connection was lost, or an attempt failed. */
  readonly lost?: () => void
}

export interface Connection {
  readonly isReady: () => boolean
  /** With `before`, a command that goes directly in front of this one. */
  readonly send: (
    command: ReadonlyArray<string>,
    before?: ReadonlyArray<string>
  ) => Effect.Effect<unknown, Redis.RedisError>
  /** Drops the present client, if any: the next one is made at once. */
  readonly leave: (cause: unknown) => void
  /** Ends when the first attempt has ended, either way. */
  readonly tried: Effect.Effect<void>
}

/** Whether a client is lost or left, and why. */
export class Loss {
  readonly lost = Deferred.makeUnsafe<never, unknown>()
  /** What is asked from then on fails with. */
  away: Effect.Effect<never, Redis.RedisError> | undefined

  leave(cause: unknown): void {
    this.away ??= Effect.fail(failed(cause))
    Deferred.doneUnsafe(this.lost, Effect.fail(cause))
  }
}

/** Shakes hands, within `silence`. The client ends with the scope. */
export const connected = (client: Client, silence: number, loss: Loss): Effect.Effect<void, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    let isLeft = false
    yield* Effect.addFinalizer(() =>
      Effect.ignoreCause(
        Effect.sync(() => {
          isLeft = true
          client.destroy()
        })
      )
    )
    client.on("error", (cause) => loss.leave(cause))
    client.on("end", () => loss.leave(new Error("the connection was closed")))
    // `destroy` does not reach a socket that is still connecting: it is closed when it is connected
    client.on("connect", () => isLeft && client.destroy())
    yield* Effect.tryPromise({ try: () => client.connect(), catch: (cause) => cause }).pipe(
      Effect.raceFirst(Deferred.await(loss.lost)),
      within(silence)
    )
  })

/** Fails when it takes longer. */
export const within = (silence: number) =>
  Effect.timeoutOrElse({
    duration: silence,
    orElse: () => Effect.fail(new Error(`no answer within ${silence} ms`) as unknown)
  })

/** Sends one command on a connection of its own. */
export const once = (
  client: Client,
  silence: number,
  command: ReadonlyArray<string>
): Effect.Effect<unknown, unknown> =>
  Effect.suspend(() => connected(client, silence, new Loss())).pipe(
    Effect.andThen(Effect.tryPromise({ try: () => client.sendCommand(command), catch: (cause) => cause })),
    within(silence),
    Effect.scoped
  )

/** One client, from its handshake until it is lost or left. */
class Link extends Loss {
  readonly silence = new Silence()
  readonly client: Client
  private readonly answered: () => void

  constructor(client: Client, answered: () => void) {
    super()
    this.client = client
    this.answered = answered
  }

  async send(command: ReadonlyArray<string>): Promise<unknown> {
    this.silence.began()
    let isHeard = false
    try {
      const reply = await this.client.sendCommand(command)
      isHeard = true
      this.answered()
      return reply
    } catch (cause) {
      isHeard = isAnswer(cause)
      if (isUseless(cause)) this.leave(cause)
      else if (isHeard) this.answered()
      throw cause
    } finally {
      this.silence.ended(isHeard)
    }
  }
}

export const open = ({ client, lost, name, silence }: Settings): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.gen(function* () {
    const outage = new Outage(name, Effect.runForkWith(yield* Effect.context<never>()))
    const tried = Deferred.makeUnsafe<void>()
    let link: Link | undefined
    let away: Effect.Effect<never, Redis.RedisError> = Effect.fail(failed(new Error(`${name} is not connected yet`)))

    const life = Effect.gen(function* () {
      const mine = new Link(yield* client, () => outage.isOver())
      yield* connected(mine.client, silence, mine)
      link = mine
      Deferred.doneUnsafe(tried, Effect.void)
      const silent = Effect.andThen(
        mine.silence.lasts(silence),
        Effect.fail(new Error(`no answer to anything within ${silence} ms`))
      )
      return yield* Effect.raceFirst(Deferred.await(mine.lost), silent)
    }).pipe(
      Effect.scoped,
      Effect.catch((cause: unknown) => {
        link = undefined
        away = Effect.fail(failed(cause))
        Deferred.doneUnsafe(tried, Effect.void)
        lost?.()
        return outage.pause(cause)
      })
    )
    yield* Effect.forkScoped(Effect.forever(life))

    return {
      isReady: () => link !== undefined && link.away === undefined,
      send: (command, before) =>
        Effect.suspend(() => {
          const mine = link
          if (mine === undefined) return away
          if (mine.away !== undefined) return mine.away
          return Effect.tryPromise({
            try: () => {
              // both are written in this order and nothing between them: the client's queue is first in, first out
              if (before !== undefined) mine.send(before).catch(() => {})
              return mine.send(command)
            },
            catch: failed
          })
        }),
      leave: (cause) => link?.leave(cause),
      tried: Deferred.await(tried)
    }
  })
