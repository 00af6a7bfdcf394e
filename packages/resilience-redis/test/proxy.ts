/** A wire that can be made slow, or cut without a word to either side. */
import { connect, createServer, type Socket } from "node:net"
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import { pause } from "./servers.ts"

export interface Proxy {
  readonly port: number
  readonly url: string
  /** So long is whatever comes from now on on its way, in each direction. */
  readonly delay: (millis: number) => Effect.Effect<void>
  /** The connections that there are become half-open: nothing goes through any more, and neither side hears of it. */
  readonly cut: Effect.Effect<void>
  /** Whether new connections are half-open from their beginning. */
  readonly deafen: (isDeaf: boolean) => Effect.Effect<void>
  /** New connections go to another port. */
  readonly turn: (to: number) => Effect.Effect<void>
  /** How many connections were made, and how many of them were open at the same time at most. */
  readonly made: () => number
  readonly mostOpen: () => number
}

const clock = Clock.Clock.defaultValue()

/** In front of a port of this machine. What goes in first comes out first. */
export const startProxy = (to: number): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    let delay = 0
    let port = to
    let isDeaf = false
    let made = 0
    let open = 0
    let mostOpen = 0
    const sockets = new Set<Socket>()
    const cut = new WeakSet<Socket>()
    const carry = (from: Socket, into: Socket) => {
      sockets.add(from)
      if (isDeaf) cut.add(from)
      let last = Promise.resolve()
      from.on("data", (chunk) => {
        const due = clock.currentTimeMillisUnsafe() + delay
        last = last.then(async () => {
          const left = due - clock.currentTimeMillisUnsafe()
          if (left > 0) await Effect.runPromise(pause(left))
          if (into.writable && !cut.has(from)) into.write(chunk)
        })
      })
      from.on("error", () => from.destroy())
      from.on("close", () => {
        sockets.delete(from)
        if (!cut.has(from)) into.destroy()
      })
    }
    const server = createServer((client) => {
      const upstream = connect(port, "127.0.0.1")
      made++
      mostOpen = Math.max(mostOpen, ++open)
      client.on("close", () => open--)
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
    const own = yield* Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    })
    return {
      port: own,
      url: `redis://127.0.0.1:${own}`,
      delay: (millis) => Effect.sync(() => void (delay = millis)),
      cut: Effect.sync(() => sockets.forEach((socket) => cut.add(socket))),
      deafen: (deaf) => Effect.sync(() => void (isDeaf = deaf)),
      turn: (to) => Effect.sync(() => void (port = to)),
      made: () => made,
      mostOpen: () => mostOpen
    }
  })
