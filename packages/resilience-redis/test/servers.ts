/**
 * Real servers for tests, each on a free port of this machine and with a folder of its own. They end with the scope.
 *
 * Where a server is not installed, suites are skipped by name (`skipped`), and fail where `CI` is set.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Clock, Effect } from "effect"
import type { Scope } from "effect"

const has = (program: string): boolean => spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0
const binary = ["redis-server", "valkey-server"].find(has)

/** Why no server can be started here, if so. In CI that is an error. */
export const missing: string | undefined = (() => {
  if (binary !== undefined) return undefined
  if (process.env["CI"] !== undefined) throw new Error("redis-server is not installed: apt-get install redis-server")
  return "redis-server is not installed"
})()

/** Ends the name of a suite that needs a server: it says why it is skipped. */
export const skipped: string = missing === undefined ? "" : ` (SKIPPED: ${missing})`

const clock = Clock.Clock.defaultValue()
/** On the clock of this machine, also under a test clock. */
export const pause = (millis: number): Effect.Effect<void> => clock.sleep(millis as never)

const freePort: Effect.Effect<number> = Effect.callback((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    // a cluster's bus listens 10,000 above
    server.close(() => resume(port > 20_000 && port < 55_000 ? Effect.succeed(port) : freePort))
  })
})

export interface Server {
  readonly port: number
  readonly url: string
  /** What redis-cli answers. */
  readonly command: (...args: ReadonlyArray<string>) => string
  /** As the machine would lose power. */
  readonly kill: Effect.Effect<void>
  /** On the same port, with what it had written to its disk. */
  readonly start: Effect.Effect<void>
  /** It hangs, and its connections with it. */
  readonly suspend: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

const running = new Set<ChildProcess>()
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")))

/** Starts one. `config` are options of redis-server, such as `--appendonly yes`; `file` is one that it reads, and writes. */
export const startRedis = (
  config: ReadonlyArray<string> = [],
  file?: string
): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* freePort
    const folder = mkdtempSync(join(tmpdir(), "effect-resilience-redis-"))
    const path = join(folder, "redis.conf")
    if (file !== undefined) writeFileSync(path, file)
    let child: ChildProcess | undefined
    const command = (...args: ReadonlyArray<string>): string => {
      const cli = binary!.replace("server", "cli")
      return spawnSync(cli, ["-p", String(port), ...args], { encoding: "utf8", timeout: 5_000 }).stdout.trim()
    }
    const start = Effect.gen(function* () {
      const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--logfile", "log"]
      child = spawn(binary!, [...(file === undefined ? [] : [path]), ...args, ...config], { stdio: "ignore" })
      running.add(child)
      for (let tries = 0; tries < 200; tries++) {
        if (command("PING") === "PONG") return
        yield* pause(25)
      }
      throw new Error(`redis-server does not answer on ${port}\n${readFileSync(join(folder, "log"), "utf8")}`)
    })
    const signal = (name: NodeJS.Signals) => Effect.sync(() => void child?.kill(name))
    const kill = Effect.gen(function* () {
      const killed = child
      child = undefined
      if (killed === undefined) return
      running.delete(killed)
      killed.kill("SIGKILL")
      killed.unref()
      // Node sometimes loses the end of a child beside so many of redis-cli: it has ended when it does not answer
      while (command("PING") === "PONG") yield* pause(5)
    })
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        kill,
        Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
      )
    )
    yield* start
    return {
      port,
      url: `redis://127.0.0.1:${port}`,
      command,
      kill,
      start,
      suspend: signal("SIGSTOP"),
      resume: signal("SIGCONT")
    }
  })

export const clusterOptions = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]

/** Three masters, each with a third of the slots. */
export const startCluster: Effect.Effect<ReadonlyArray<Server>, never, Scope.Scope> = Effect.gen(function* () {
  const one = startRedis(clusterOptions)
  const nodes = yield* Effect.all([one, one, one])
  nodes.forEach((node, i) => {
    const slots = Array.from({ length: 16_384 }, (_, slot) => slot).filter(
      (slot) => Math.floor((3 * slot) / 16_384) === i
    )
    node.command("CLUSTER", "ADDSLOTS", ...slots.map(String)) // Redis 6.2 knows no ranges
    node.command("CLUSTER", "SET-CONFIG-EPOCH", String(i + 1))
    if (i > 0) node.command("CLUSTER", "MEET", "127.0.0.1", String(nodes[0].port))
  })
  for (let tries = 0; tries < 400; tries++) {
    if (nodes.every((node) => /cluster_state:ok[^]*cluster_known_nodes:3/.test(node.command("CLUSTER", "INFO"))))
      return nodes
    yield* pause(25)
  }
  throw new Error(`no cluster: ${nodes[0].command("CLUSTER", "NODES")}`)
})

/** A master, a replica of it, and a sentinel that puts the one in the place of the other. */
export const startSentinel = Effect.gen(function* () {
  const master = yield* startRedis(["--repl-diskless-sync-delay", "0"])
  const replica = yield* startRedis(["--replicaof", "127.0.0.1", String(master.port)])
  const sentinel = yield* startRedis(
    ["--sentinel"],
    `sentinel monitor main 127.0.0.1 ${master.port} 1
sentinel down-after-milliseconds main 500
sentinel failover-timeout main 2000
`
  )
  for (let tries = 0; tries < 400; tries++) {
    const isCopied = /master_link_status:up/.test(replica.command("INFO", "replication"))
    if (isCopied && sentinel.command("SENTINEL", "REPLICAS", "main").includes(String(replica.port))) {
      return { master, replica, sentinel }
    }
    yield* pause(25)
  }
  throw new Error(`no sentinel: ${sentinel.command("INFO", "sentinel")}`)
})
