/**
 * The machines of a Redis Cluster, each with a connection of its own: one that is away takes its keys with it and nothing
 * else.
 */
import { createHash } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Redis from "effect/persistence/Redis"
import * as Scope from "effect/Scope"
import { type Client, failed } from "./client.ts"
import { type Connection, once, open as connect } from "./connection.ts"
import { FIRST, Outage } from "./outage.ts"
import { slotOf } from "./slots.ts"

export interface Settings {
  readonly name: string
  /** Milliseconds. */
  readonly silence: number
  /** Those that are asked where the machines are, while none of these is connected. */
  readonly roots: ReadonlyArray<{ readonly host: string; readonly client: () => Client }>
  readonly clientAt: (host: string, port: number) => Client
}

type Asked = Effect.Effect<unknown, Redis.RedisError>

interface Node extends Connection {
  readonly host: string
  readonly address: string
  readonly close: Effect.Effect<void>
}

/** A range of slots, and the master that has them. */
interface Range {
  readonly from: number
  readonly to: number
  readonly host: string
  readonly port: number
}

/** So often a command is sent again that was not run, since its keys are on their way to another machine. */
const MOVES = 100
const MOVE = "20 millis"

/** Where a command's first key is; `undefined` for a command of no key. */
const keyOf = (command: ReadonlyArray<string>): string | undefined => {
  const name = command[0]!.toUpperCase()
  if (name === "EVAL" || name === "EVALSHA") return command[2] === "0" ? undefined : command[3]
  return ["TIME", "PING", "SCRIPT", "INFO"].includes(name) ? undefined : command[1]
}

/** What `CLUSTER SLOTS` answers. A machine that does not know its own name leaves it out: it is the one that was asked. */
const rangesOf = (reply: unknown, asked: string): ReadonlyArray<Range> => {
  const rows = reply as ReadonlyArray<[number, number, [string | null, number, ...Array<unknown>]]> // as Redis documents it
  if (rows.length === 0) throw new Error(`${asked} is of no cluster that has slots`)
  return rows.map(([from, to, [host, port]]) => {
    const isNamed = host !== null && host !== "" && host !== "?"
    return { from: Number(from), to: Number(to), host: isNamed ? host : asked, port: Number(port) }
  })
}

/** Where a machine says that the slot is: `MOVED 3999 10.0.0.2:6381`. */
const movedTo = (message: string, asked: string): readonly [slot: number, host: string, port: number] => {
  const [, slot, address] = message.split(" ")
  const colon = address!.lastIndexOf(":")
  return [Number(slot), address!.slice(0, colon) || asked, Number(address!.slice(colon + 1))]
}

class Cluster {
  private readonly settings: Settings
  private readonly scope: Scope.Scope
  private readonly outage: Outage
  private readonly runSync: <A>(effect: Effect.Effect<A>) => A
  private readonly nodes = new Map<string, Node>()
  private readonly slots: Array<Node | undefined> = []
  /** By their hash. */
  private readonly scripts = new Map<string, string>()
  /** Open: the machines are to be asked where the slots are. */
  private readonly isStale = Latch.makeUnsafe(true)
  private turn = 0

  constructor(settings: Settings, context: Context.Context<Scope.Scope>) {
    this.settings = settings
    this.scope = Context.get(context, Scope.Scope)
    this.outage = new Outage(settings.name, Effect.runForkWith(context))
    this.runSync = Effect.runSyncWith(context)
  }

  private readonly away = Effect.suspend(() => {
    const { name } = this.settings
    return Effect.fail(failed(new Error(`${name} has no connection to the machine that this command needs`)))
  })

  /** Those that are connected, another one first each time. */
  private ready(): ReadonlyArray<Node> {
    const ready = [...this.nodes.values()].filter((node) => node.isReady())
    const first = ready.length === 0 ? 0 : this.turn++ % ready.length
    return [...ready.slice(first), ...ready.slice(0, first)]
  }

  /** The connection to that machine, made if there is none. It belongs to the layer, whatever fiber asks first. */
  private nodeAt(host: string, port: number): Node {
    const { clientAt, name, silence } = this.settings
    const address = `${host}:${port}`
    const known = this.nodes.get(address)
    if (known !== undefined) return known
    const scope = Scope.forkUnsafe(this.scope)
    const connection = connect({
      name: `${name}, ${address},`,
      silence,
      client: Effect.try({ try: () => clientAt(host, port), catch: (cause) => cause }),
      lost: () => this.isStale.openUnsafe()
    })
    const close = Effect.suspend(() => {
      this.nodes.delete(address)
      return Scope.close(scope, Exit.void)
    })
    const node = { ...this.runSync(Scope.provide(connection, scope)), host, address, close }
    this.nodes.set(address, node)
    return node
  }

  send(command: ReadonlyArray<string>): Asked {
    return Effect.suspend(() => {
      if (command[0] === "SCRIPT") return this.known(command[2]!)
      const key = keyOf(command)
      return this.ask(command, key === undefined ? undefined : slotOf(key), MOVES)
    })
  }

  /** A script is sent to a machine where this finds it missing, so loading it is to know its hash. */
  private known(script: string): Asked {
    return Effect.sync(() => {
      const hash = createHash("sha1").update(script).digest("hex")
      this.scripts.set(hash, script)
      return hash
    })
  }

  private ask(command: ReadonlyArray<string>, slot: number | undefined, left: number): Asked {
    return Effect.suspend(() => {
      const node = slot === undefined ? this.ready()[0] : this.slots[slot]
      if (node === undefined) return this.away
      return Effect.catch(node.send(command), (error) => this.redirected(error, command, slot, node, left))
    })
  }

  private redirected(
    error: Redis.RedisError,
    command: ReadonlyArray<string>,
    slot: number | undefined,
    from: Node,
    left: number
  ): Asked {
    const message = error.cause instanceof Error ? error.cause.message : ""
    const again = Effect.suspend(() => this.ask(command, slot, left - 1))
    const later = Effect.delay(again, MOVE)
    if (left === 0) return Effect.fail(error)
    // while a slot moves, some of a command's keys may be on one machine and some on another
    if (message.startsWith("TRYAGAIN")) return later
    if (message.startsWith("MOVED")) {
      const [moved, host, port] = movedTo(message, from.host)
      this.isStale.openUnsafe()
      const to = this.nodes.get(`${host}:${port}`)
      if (to?.isReady() !== true) return later
      this.slots[moved] = to
      return again
    }
    if (message.startsWith("ASK ")) {
      const [, host, port] = movedTo(message, from.host)
      const to = this.nodeAt(host, port)
      if (!to.isReady()) return later
      return Effect.catch(to.send(command, ["ASKING"]), (error) => this.redirected(error, command, slot, to, left - 1))
    }
    if (message.startsWith("NOSCRIPT")) {
      const script = this.scripts.get(command[1]!)
      return script === undefined ? Effect.fail(error) : this.ask(["EVAL", script, ...command.slice(2)], slot, left - 1)
    }
    return Effect.fail(error)
  }

  /** Where the slots are, as the first machine says that answers. */
  private readonly look: Effect.Effect<ReadonlyArray<Range>, unknown> = Effect.suspend(() => {
    const { roots, silence } = this.settings
    const command = ["CLUSTER", "SLOTS"]
    const first = this.turn % roots.length
    const ways = [
      ...this.ready().map((node) => ({ host: node.host, reply: node.send(command) })),
      ...[...roots.slice(first), ...roots.slice(0, first)].map(({ client, host }) => ({
        host,
        reply: Effect.flatMap(Effect.try({ try: client, catch: (cause): unknown => cause }), (client) =>
          once(client, silence, command)
        )
      }))
    ].map(({ host, reply }) =>
      Effect.flatMap(reply as Effect.Effect<unknown, unknown>, (reply) =>
        Effect.try({ try: () => rangesOf(reply, host), catch: (cause) => cause })
      )
    )
    this.turn++
    return Effect.firstSuccessOf(ways)
  })

  /** Connects what is new, sends commands the new way, and closes what is of no use. */
  private follow(ranges: ReadonlyArray<Range>): Effect.Effect<boolean> {
    return Effect.gen({ self: this }, function* () {
      const owners = ranges.map((range) => [range, this.nodeAt(range.host, range.port)] as const)
      // a machine that is ready keeps its slots until the one that has them now was tried: it says MOVED meanwhile
      const assign = (always: boolean) => {
        for (const [{ from, to }, node] of owners) {
          for (let slot = from; slot <= to; slot++) {
            if (always || node.isReady() || this.slots[slot]?.isReady() !== true) this.slots[slot] = node
          }
        }
      }
      assign(false)
      const used = new Set(owners.map(([, node]) => node))
      yield* Effect.forEach(used, ({ tried }) => tried, { concurrency: "unbounded", discard: true })
      assign(true)
      for (const node of this.nodes.values()) if (!used.has(node)) yield* node.close
      return [...used].every((node) => node.isReady())
    })
  }

  /** Asks where the slots are when that has changed, and as long as a machine that has some is away. */
  readonly run: Effect.Effect<never> = Effect.forever(
    Effect.gen({ self: this }, function* () {
      yield* this.isStale.await
      this.isStale.closeUnsafe()
      const isWhole = yield* Effect.flatMap(this.look, (ranges) => this.follow(ranges))
      if (!isWhole) return yield* Effect.fail(undefined) // the machine that is away has said so itself
      this.outage.isOver()
      yield* Effect.sleep(FIRST) // while slots move, many commands find it stale
    }).pipe(
      Effect.catch((cause: unknown) => {
        this.isStale.openUnsafe()
        return this.outage.pause(cause)
      })
    )
  )
}

/** Sends commands to the machine that has their key. */
export const open = (
  settings: Settings
): Effect.Effect<(command: ReadonlyArray<string>) => Asked, never, Scope.Scope> =>
  Effect.gen(function* () {
    const cluster = new Cluster(settings, yield* Effect.context<Scope.Scope>())
    yield* Effect.forkScoped(cluster.run)
    return (command) => cluster.send(command)
  })
