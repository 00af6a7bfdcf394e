/**
 * A PostgreSQL of the tests' own: a cluster in a temporary folder, on a free port of 127.0.0.1, gone with the tests.
 */
import { PgClient } from "@effect/sql-pg"
import { type Duration, Effect, Layer, Redacted } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chownSync, globSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"

/** The folder with PostgreSQL's programs: in the path, or where Debian has them (the newest version). */
const folders = [
  ...(process.env["PATH"] ?? "").split(delimiter),
  ...globSync("/usr/lib/postgresql/*/bin").toSorted().toReversed()
]
const bin = folders.find((folder) =>
  ["initdb", "postgres", "psql"].every((name) => globSync(join(folder, name)).length > 0)
)

/** Why the tests that need a server cannot run; `undefined` if they can. With CI set, a missing server is a failure. */
export const missing: string | undefined =
  bin === undefined && process.env["CI"] === undefined
    ? "no initdb, postgres and psql in PATH or /usr/lib/postgresql"
    : undefined

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** PostgreSQL refuses to run as root. */
const asPostgres = (): { readonly uid?: number; readonly gid?: number } => {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

const within = (patience: Duration.Input, event: Promise<void>, message: () => string): Promise<void> =>
  Effect.runPromise(
    Effect.promise(() => event).pipe(
      Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.die(new Error(message())) })
    )
  )

export class Postgres {
  readonly port: number
  private readonly folder: string
  private readonly user = asPostgres()
  private process: ChildProcess | undefined
  private output = ""
  private readonly onExit = () => void this.process?.kill("SIGKILL")

  private constructor(folder: string, port: number) {
    this.folder = folder
    this.port = port
  }

  static async start(): Promise<Postgres> {
    if (bin === undefined) throw new Error("PostgreSQL is not installed: no initdb, postgres and psql were found")
    const folder = mkdtempSync(join(tmpdir(), "effect-resilience-postgres-"))
    const server = new Postgres(folder, await freePort())
    const { gid, uid } = server.user
    if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid)
    mkdirSync(join(folder, "run"))
    if (uid !== undefined && gid !== undefined) chownSync(join(folder, "run"), uid, gid)
    const options = ["--pgdata", server.data, "--username", "tests", "--auth", "trust", "--no-sync", "--encoding=UTF8"]
    execFileSync(join(bin, "initdb"), [...options, "--locale=C"], { ...server.user, cwd: folder, stdio: "pipe" })
    process.once("exit", server.onExit)
    await server.up()
    return server
  }

  private get data(): string {
    return join(this.folder, "data")
  }

  get url(): string {
    return `postgres://tests@127.0.0.1:${this.port}/postgres`
  }

  /** Resolves when it takes connections. */
  async up(): Promise<void> {
    const settings = [`port=${this.port}`, "listen_addresses=127.0.0.1", "max_connections=200", "fsync=off"]
    const more = [`unix_socket_directories=${join(this.folder, "run")}`, "deadlock_timeout=100ms", "log_lock_waits=off"]
    const args = ["-D", this.data, ...[...settings, ...more].flatMap((setting) => ["-c", setting])]
    const child = spawn(join(bin!, "postgres"), args, {
      ...this.user,
      cwd: this.folder,
      stdio: ["ignore", "ignore", "pipe"]
    })
    this.process = child
    const ready = new Promise<void>((resolve, reject) => {
      child.once("exit", (code) => reject(new Error(`postgres ended with ${code}:\n${this.output}`)))
      child.stderr?.on("data", (chunk: Buffer) => {
        this.output = (this.output + chunk.toString()).slice(-20_000)
        if (chunk.includes("ready to accept connections")) resolve()
      })
    })
    await within("30 seconds", ready, () => `postgres was not ready in 30 s:\n${this.output}`)
  }

  /** What the server logged lately. */
  get log(): string {
    return this.output
  }

  /** All at once, as a machine that loses power: the server and every process of it. */
  async kill(): Promise<void> {
    const child = this.process
    this.process = undefined
    if (child?.pid === undefined || child.exitCode !== null) return
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    child.kill("SIGQUIT") // PostgreSQL's immediate shutdown: no goodbye, recovery at the next start
    await within("10 seconds", gone, () => "postgres did not end").catch(() => child.kill("SIGKILL"))
  }

  /** Runs a statement on a connection of its own, before anything else happens in this process. */
  now(statement: string): void {
    execFileSync(join(bin!, "psql"), ["--quiet", "--dbname", this.url, "--command", statement], { stdio: "pipe" })
  }

  /** Stops answering without closing anything, and goes on. */
  pause(paused: boolean): void {
    const signal = paused ? "SIGSTOP" : "SIGCONT"
    const pid = this.process!.pid!
    const backends = execFileSync("ps", ["-o", "pid=", "--ppid", String(pid)], { encoding: "utf8" })
    for (const one of [String(pid), ...backends.trim().split(/\s+/)]) process.kill(Number(one), signal)
  }

  async stop(): Promise<void> {
    await this.kill()
    process.off("exit", this.onExit)
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** A client of its own pool. */
export const clientOf = (url: string, maxConnections = 10) =>
  PgClient.layer({ url: Redacted.make(url), maxConnections, connectTimeout: "2 seconds" }).pipe(Layer.orDie)
