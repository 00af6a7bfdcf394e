import { Effect, Exit, Layer, Scope } from "effect"
import { RateLimiter, Resilience } from "effect-resilience"
import { RedisStore } from "./src/index.ts"
import { startRedis, pause } from "./test/servers.ts"
import { connect, createServer } from "node:net"
const tagOf = (e: any) => (e._tag === "Success" ? "ok" : (e.cause.reasons[0]?.error?._tag ?? e.cause.reasons[0]?._tag))
const proxy = async (to: number) => {
  let all: any[] = []
  let conns = 0
  const server = createServer((c) => {
    conns++
    const u = connect(to, "127.0.0.1")
    const p = { c, u, dead: false }
    all.push(p)
    c.on("data", (d) => {
      if (!p.dead) u.write(d)
    })
    u.on("data", (d) => {
      if (!p.dead) c.write(d)
    })
    c.on("error", () => {})
    u.on("error", () => {})
    c.on("close", () => u.destroy())
    u.on("close", () => {
      if (!p.dead) c.destroy()
    })
  })
  await new Promise<void>((r) => server.listen(0, "127.0.0.1", () => r()))
  return {
    port: (server.address() as any).port,
    cut: () => {
      for (const p of all) p.dead = true
      all = []
    },
    conns: () => conns
  }
}
const main = Effect.gen(function* () {
  const r = yield* startRedis([])
  const p: any = yield* Effect.promise(() => proxy(r.port))
  const scope = yield* Scope.make()
  const ctx: any = yield* Layer.buildWithScope(
    RedisStore.layerNode({ url: `redis://127.0.0.1:${p.port}`, prefix: "s", silence: 600 }),
    scope
  )
  const s: any = yield* Effect.provide(
    Resilience.makeFromStore("h", {
      rateLimiter: RateLimiter.tokenBucket({ limit: 1_000_000, window: "1 second" }),
      store: { onError: "fail", deadline: "200 millis" }
    } as any) as any,
    Layer.succeedContext(ctx) as any
  )
  const call = () => Effect.exit(s.resilient(Effect.succeed(1), "k")) as any
  yield* call()
  yield* pause(100)
  const before = tagOf(yield* call())
  const test = function* (what: string, doIt: () => void, undo?: () => void) {
    doIt()
    const t0 = Date.now()
    let back = -1
    const seen: any = {}
    while (Date.now() - t0 < 5000) {
      if (undo && Date.now() - t0 > 2000) {
        undo()
        undo = undefined
      }
      const t = tagOf(yield* call())
      seen[t] = (seen[t] ?? 0) + 1
      if (t === "ok" && Date.now() - t0 > 50 && !undo) {
        back = Date.now() - t0
        break
      }
      yield* pause(25)
    }
    console.log(
      what.padEnd(26),
      "before",
      before,
      "| back after",
      back < 0 ? "NOT in 5 s" : back + " ms",
      JSON.stringify(seen),
      "connections",
      p.conns()
    )
  }
  yield* test("half-open", () => p.cut()) as any
  yield* test(
    "server stopped for 2 s",
    () => Effect.runSync(r.suspend),
    () => Effect.runSync(r.resume)
  ) as any
  r.command("REPLICAOF", "127.0.0.1", "1")
  console.log("  READONLY:", tagOf(yield* call()), tagOf(yield* call()))
  r.command("REPLICAOF", "NO", "ONE")
  yield* test("promoted again", () => {}) as any
  p.cut()
  for (let i = 0; i < 20; i++) yield* call()
  const t0 = Date.now()
  const closed = yield* Effect.raceFirst(
    Effect.as(Scope.close(scope, Exit.void), true),
    Effect.as(pause(2000), false)
  ) as any
  console.log("closing while half-open:", closed ? Date.now() - t0 + " ms" : "hangs (2 s)")
  // lazy start
  const free = 29731
  const t2 = Date.now()
  const ctx2: any = yield* Layer.build(RedisStore.layerNode({ prefix: "l", url: `redis://127.0.0.1:${free}` })) as any
  console.log("own: layer built while nobody listens, after", Date.now() - t2, "ms")
  const s2: any = yield* Effect.provide(
    Resilience.makeFromStore("h", {
      rateLimiter: RateLimiter.tokenBucket({ limit: 10, window: "1 second" }),
      store: { onError: "fail", deadline: "200 millis" }
    } as any) as any,
    Layer.succeedContext(ctx2) as any
  )
  console.log("  a call:", tagOf(yield* Effect.exit(s2.resilient(Effect.succeed(1), "k")) as any))
  const { spawn } = yield* Effect.promise(() => import("node:child_process"))
  const child = spawn("redis-server", ["--port", String(free), "--save", "", "--appendonly", "no"], { stdio: "ignore" })
  const t1 = Date.now()
  let back = -1
  while (Date.now() - t1 < 6000) {
    if (tagOf(yield* Effect.exit(s2.resilient(Effect.succeed(1), "k")) as any) === "ok") {
      back = Date.now() - t1
      break
    }
    yield* pause(50)
  }
  console.log("  server started; first ok after", back, "ms")
  child.kill("SIGTERM")
})
await Effect.runPromise(Effect.scoped(main as any) as any).then(
  () => process.exit(0),
  (e) => {
    console.error(e)
    process.exit(1)
  }
)
