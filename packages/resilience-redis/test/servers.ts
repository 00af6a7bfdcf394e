/**
 * Real servers for tests, each on a free port of this machine and with a folder of its own. They end with the scope.
 *
 * Where a server is not installed, suites are skipped by name (`skipped`), and fail where `CI` is set.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Clock, Effect, Layer } from "effect"
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

/** Starts one. `config` are options of redis-server, such as `--appendonly yes`. */
export const startRedis = (config: ReadonlyArray<string> = []): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* freePort
    const folder = mkdtempSync(join(tmpdir(), "effect-resilience-redis-"))
    let child: ChildProcess | undefined
    const command = (...args: ReadonlyArray<string>): string => {
      const cli = binary!.replace("server", "cli")
      return spawnSync(cli, ["-p", String(port), ...args], { encoding: "utf8", timeout: 5_000 }).stdout.trim()
    }
    const start = Effect.gen(function* () {
      const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--logfile", "log"]
      child = spawn(binary!, [...args, ...config], { stdio: "ignore" })
      for (let tries = 0; tries < 200; tries++) {
        if (command("PING") === "PONG") return
        yield* pause(25)
      }
      throw new Error(`redis-server does not answer on ${port}\n${readFileSync(join(folder, "log"), "utf8")}`)
    })
    const signal = (name: NodeJS.Signals) => Effect.sync(() => void child?.kill(name))
    const kill = Effect.callback<void>((resume) => {
      const running = child
      child = undefined
      if (running === undefined || running.exitCode !== null) return resume(Effect.void)
      running.once("exit", () => resume(Effect.void))
      running.kill("SIGKILL")
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

/** Three masters, each with a third of the slots. */
export const startCluster: Effect.Effect<ReadonlyArray<Server>, never, Scope.Scope> = Effect.gen(function* () {
  const options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
  const nodes = yield* Effect.all([startRedis(options), startRedis(options), startRedis(options)])
  nodes.forEach((node, i) => {
    const first = Math.floor((16_384 * i) / 3)
    node.command("CLUSTER", "ADDSLOTSRANGE", String(first), String(Math.floor((16_384 * (i + 1)) / 3) - 1))
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

/** A layer that needs a server, for all tests of a file. */
export const withServer = <A, E, R>(layer: (server: Server) => Layer.Layer<A, E, R>): Layer.Layer<A, E, R> =>
  Layer.unwrap(Effect.map(startRedis(), layer))
