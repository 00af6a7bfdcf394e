/** Two processes, one Redis, one limit: what reaches the upstream is no more than one process alone may send. */
import { Deferred, Effect, Layer, pipe, type Scope } from "effect"
import { RateLimiter, Resilience } from "effect-resilience"
import { RedisStore } from "effect-resilience-redis"
import { fork, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo, Server } from "node:net"

const limit = 100
/** How many calls each process makes in each second. */
const plan: Readonly<Record<string, ReadonlyArray<number>>> = { A: [70, 80, 200, 200], B: [20, 120, 200, 0] }

// #region service
class Upstream extends Resilience.Service<Upstream>()("app/Upstream", {
  rateLimiter: RateLimiter.slidingLog({ limit, window: "1 second" }),
  store: { onError: "fail" } // rather no call than one too many
}) {}

const UpstreamLive = (redis: string) =>
  Upstream.layerFromStore.pipe(Layer.provide(RedisStore.layerNode({ url: redis, prefix: "shop" })))
// #endregion

/** One of the two processes. */
const work = Effect.fnUntraced(function* (name: string, upstream: string) {
  const call = pipe(
    Effect.promise(async () => (await fetch(`${upstream}/${name}`)).text()),
    Upstream.resilient("everybody"),
    Effect.ignore // here nobody minds what was refused
  )
  const starts = plan[name]!.flatMap((calls, second) =>
    Array.from({ length: calls }, (_, i) => 1000 * (second + (i + 0.5) / calls))
  )
  // until the store is connected, it refuses at once; these are not counted
  yield* Effect.void.pipe(Upstream.resilient("everybody"), Effect.eventually)
  yield* Effect.promise(() => {
    process.send?.("ready")
    return once(process, "message")
  })
  yield* Effect.forEach(starts, (millis) => Effect.delay(call, millis), { concurrency: "unbounded", discard: true })
})

const program = ["redis-server", "valkey-server"].find((name) => spawnSync(name, ["--version"]).status === 0)

/** A child that does not survive this process's work. */
const child = <A extends { readonly kill: (signal: "SIGKILL") => unknown }>(start: () => A) =>
  Effect.acquireRelease(Effect.sync(start), (started) => Effect.sync(() => void started.kill("SIGKILL")))

const listen = (server: Server): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      await once(server.listen(0, "127.0.0.1"), "listening")
      return (server.address() as AddressInfo).port // it listens on a port
    }),
    () => Effect.sync(() => server.close())
  )

const startRedis = Effect.gen(function* () {
  const port = yield* Effect.scoped(listen(createServer())) // a free one
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
  const { stdout } = yield* child(() => spawn(program!, args, { stdio: ["ignore", "pipe", "inherit"] }))
  const ready = yield* Deferred.make<void>()
  stdout.on("data", (chunk) => /ready to accept/i.test(String(chunk)) && Deferred.doneUnsafe(ready, Effect.void))
  yield* Deferred.await(ready)
  return `redis://127.0.0.1:${port}`
})

const show = Effect.gen(function* () {
  const redis = yield* startRedis
  const names = Object.keys(plan)
  let began = Infinity
  /** How many calls of each process came, by the second. */
  const seen: Array<Array<number>> = []
  const upstream = createServer(({ url }: IncomingMessage, response: ServerResponse) => {
    response.end("ok")
    if (began === Infinity) return
    const counts = (seen[Math.floor((performance.now() - began) / 1000)] ??= names.map(() => 0))
    counts[names.indexOf(url!.slice(1))]! += 1
  })
  const port = yield* listen(upstream)
  const workers = yield* Effect.forEach(names, (name) =>
    child(() => fork(import.meta.filename, [name, redis, `http://127.0.0.1:${port}`]))
  )
  yield* Effect.promise(() => Promise.all(workers.map((worker) => once(worker, "message"))))
  began = performance.now()
  for (const worker of workers) worker.send("go")
  const codes = yield* Effect.promise(() => Promise.all(workers.map((worker) => once(worker, "exit"))))
  if (codes.some(([code]) => code !== 0))
    return yield* Effect.die(new Error(`a process ended with ${codes.join(", ")}`))

  console.log("second   A passed  of    B passed  of    sum   limit")
  let total = 0
  for (let second = 0; second < seen.length; second++) {
    const [a = 0, b = 0] = seen[second] ?? []
    const cells = [second + 1, a, plan["A"]![second] ?? 0, b, plan["B"]![second] ?? 0, a + b, limit]
    console.log(cells.map((cell, i) => String(cell).padStart([6, 11, 4, 12, 4, 7, 8][i]!)).join(""))
    total += a + b
  }
  const most = limit * Math.ceil((performance.now() - began) / 1000)
  if (total > most) return yield* Effect.die(new Error(`${total} calls went through, where ${most} may`))
})

const [name, redis, upstream] = process.argv.slice(2)
if (name !== undefined && redis !== undefined && upstream !== undefined) {
  process.once("disconnect", () => process.exit(1)) // nobody is left to work for
  await work(name, upstream).pipe(Effect.provide(UpstreamLive(redis)), Effect.runPromise)
  process.exit(0)
} else if (program === undefined) {
  console.log("SKIPPED: redis-server is not installed (apt-get install redis-server)")
  process.exitCode = process.env["CI"] === undefined ? 0 : 1
} else {
  await show.pipe(Effect.scoped, Effect.timeout("20 seconds"), Effect.runPromise)
}
