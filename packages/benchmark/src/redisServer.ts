/**
 * A Redis for the cases that need one: on a free port, with nothing on the disk, gone with this process.
 */
import { spawn, spawnSync } from "node:child_process"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { createClient } from "redis"
import type { Case } from "./model.ts"

const binary = ["redis-server", "valkey-server"].find((name) => spawnSync(name, ["--version"]).status === 0)

/** Without a server, the case is left out and says so. In CI that is an error. */
export const needsRedis = (one: Case): Case => ({
  ...one,
  run: async (effort) => {
    if (binary !== undefined) return one.run(effort)
    if (process.env["CI"] !== undefined) throw new Error("redis-server is not installed: apt-get install redis-server")
    console.error(`SKIPPED ${one.id}: redis-server is not installed`)
    return []
  }
})

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer()
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo // it listens on a port
      server.close(() => resolve(port))
    })
  })

export const connect = async (url: string) => {
  const client = createClient({ url })
  await client.connect()
  return client
}

export type Client = Awaited<ReturnType<typeof connect>>

export interface RedisServer {
  readonly url: string
  /** How many scripts ran, ever. */
  readonly scripts: () => Promise<number>
  readonly usedMemory: () => Promise<number>
}

export const startRedis = async (): Promise<RedisServer> => {
  const port = await freePort()
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
  const child = spawn(binary!, args, { stdio: "ignore" })
  process.once("exit", () => child.kill("SIGKILL"))
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
  const url = `redis://127.0.0.1:${port}`
  const isUp = async (): Promise<boolean> => {
    const client = createClient({ url, socket: { reconnectStrategy: false } })
    client.on("error", () => {})
    try {
      await client.connect()
      await client.close()
      return true
    } catch {
      return false
    }
  }
  for (let tries = 0; !(await isUp()); tries++) {
    if (tries === 200) throw new Error("redis-server does not answer")
    await sleep(25)
  }
  const admin = await connect(url)
  const number = async (section: string, pattern: RegExp): Promise<number> => {
    let sum = 0
    for (const [, found] of (await admin.info(section)).matchAll(pattern)) sum += Number(found)
    return sum
  }
  return {
    url,
    scripts: () => number("commandstats", /cmdstat_eval(?:sha)?:calls=(\d+)/g),
    usedMemory: () => number("memory", /^used_memory:(\d+)/gm)
  }
}
