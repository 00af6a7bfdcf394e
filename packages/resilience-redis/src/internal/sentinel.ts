/**
 * The connection to the master that the sentinels name.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Client } from "./client.ts"
import { connected, type Connection, Loss, once, open as connect } from "./connection.ts"
import { Outage } from "./outage.ts"

export interface Settings {
  /** What the sentinels call the master. */
  readonly name: string
  /** Milliseconds. */
  readonly silence: number
  readonly sentinels: ReadonlyArray<{ readonly host: string; readonly port: number }>
  readonly sentinelAt: (host: string, port: number) => Client
  readonly masterAt: (host: string, port: number) => Client
}

/** A client of node-redis hears messages, too. */
interface Listener extends Client {
  readonly subscribe: (channel: string, listener: (message: string) => void) => Promise<unknown>
}

export const open = ({
  masterAt,
  name,
  sentinelAt,
  sentinels,
  silence
}: Settings): Effect.Effect<Connection["send"], never, Scope.Scope> =>
  Effect.gen(function* () {
    /** The one that is asked first: it answered last. */
    let first = 0
    const made = (make: () => Client) => Effect.try({ try: make, catch: (cause) => cause as unknown })
    const askAt = (i: number) =>
      Effect.gen(function* () {
        const { host, port } = sentinels[i]!
        const client = yield* made(() => sentinelAt(host, port))
        const reply = yield* once(client, silence, ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name])
        first = i
        if (!Array.isArray(reply))
          return yield* Effect.fail<unknown>(new Error(`the sentinel at ${host}:${port} knows no ${name}`))
        return yield* made(() => masterAt(String(reply[0]), Number(reply[1])))
      })
    const order = () => sentinels.map((_, i) => (first + i) % sentinels.length)
    const master = yield* connect({
      name: `RedisSentinel, ${name},`,
      silence,
      client: Effect.suspend(() => Effect.firstSuccessOf(order().map(askAt)))
    })

    /** A master that is cut off from the others still answers: the sentinels say that it is none any more. */
    let heard = 0
    const listening = Effect.gen(function* () {
      const { host, port } = sentinels[heard++ % sentinels.length]!
      const client = (yield* made(() => sentinelAt(host, port))) as Listener // made by node-redis
      const loss = new Loss()
      yield* connected(client, silence, loss)
      const listen = (message: string) => {
        if (message.startsWith(`${name} `)) master.leave(new Error("another machine is the master"))
      }
      yield* Effect.tryPromise({
        try: () => client.subscribe("+switch-master", listen),
        catch: (cause): unknown => cause
      })
      outage.isOver()
      return yield* Deferred.await(loss.lost)
    }).pipe(Effect.scoped)
    const outage = new Outage(`the sentinel of ${name}`, Effect.runForkWith(yield* Effect.context<never>()))
    yield* Effect.forkScoped(Effect.forever(Effect.catch(listening, (cause: unknown) => outage.pause(cause))))
    return master.send
  })
