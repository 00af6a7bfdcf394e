/** A wire that can be made slow. */
import { connect, createServer, type Socket } from "node:net"
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import { pause } from "./servers.ts"

export interface Proxy {
  readonly port: number
  readonly url: string
  /** So long is whatever comes from now on on its way, in each direction. */
  readonly delay: (millis: number) => Effect.Effect<void>
}

const clock = Clock.Clock.defaultValue()

/** In front of a port of this machine. What goes in first comes out first. */
export const startProxy = (to: number): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    let delay = 0
    const sockets = new Set<Socket>()
    const carry = (from: Socket, into: Socket) => {
      sockets.add(from)
      let last = Promise.resolve()
      from.on("data", (chunk) => {
        const due = clock.currentTimeMillisUnsafe() + delay
        last = last.then(async () => {
          const left = due - clock.currentTimeMillisUnsafe()
          if (left > 0) await Effect.runPromise(pause(left))
          if (into.writable) into.write(chunk)
        })
      })
      from.on("error", () => from.destroy())
      from.on("close", () => {
        sockets.delete(from)
        into.destroy()
      })
    }
    const server = createServer((client) => {
      const upstream = connect(to, "127.0.0.1")
      for (const socket of [client, upstream]) socket.setNoDelay(true)
      carry(client, upstream)
      carry(upstream, client)
    })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets) socket.destroy()
      })
    )
    const port = yield* Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    })
    return { port, url: `redis://127.0.0.1:${port}`, delay: (millis) => Effect.sync(() => void (delay = millis)) }
  })
