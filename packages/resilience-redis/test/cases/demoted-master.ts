// a failover behind one address: old connections stay at the old master, which is a replica now
import { Effect, Layer } from "effect"
import { createServer, connect } from "node:net"
import { RateLimiter } from "effect-resilience"
import { RedisStore } from "../../src/index.ts"
import { startRedis, pause } from "../servers.ts"
import { serviceOn, go } from "./common.ts"
go(Effect.gen(function* () {
  const m = yield* startRedis(["--repl-diskless-sync-delay", "0"]); const r = yield* startRedis(["--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", String(m.port)])
  while (!/master_link_status:up/.test(r.command("INFO", "replication"))) yield* pause(50)
  let target = m.port
  const proxy = createServer((c) => { const u = connect(target, "127.0.0.1"); c.pipe(u); u.pipe(c); c.on("error", () => u.destroy()); u.on("error", () => c.destroy()) })
  const port = yield* Effect.callback<number>((resume) => void proxy.listen(0, "127.0.0.1", () => resume(Effect.succeed((proxy.address() as any).port))))
  const store = Layer.succeedContext(yield* Layer.build(RedisStore.layerNode({ prefix: "resilience", url: `redis://127.0.0.1:${port}` })))
  const s = yield* serviceOn(store, { rateLimiter: RateLimiter.fixedWindow({ limit: 1000, window: "1 hour" }), store: { onError: "fail" } }, "svc")
  const call = Effect.map(Effect.exit(s.resilient(Effect.succeed("ok"), "ada") as any), (e: any) => (e._tag === "Success" ? "ok" : String(e.cause.reasons?.[0]?.error?._tag ?? e.cause) + ": " + String(e.cause.reasons?.[0]?.error?.cause?.cause ?? "").slice(0, 80)))
  yield* pause(500); console.log("before:", yield* call)
  r.command("REPLICAOF", "NO", "ONE"); m.command("REPLICAOF", "127.0.0.1", String(r.port)); target = r.port
  for (const t of [0, 1, 3, 6, 12]) { yield* pause(t === 0 ? 300 : t * 1000 - 0); console.log(`after +${t}s:`, yield* call) }
  console.log("new connections go to the new master; clients on the old one:", m.command("CLIENT", "LIST").split("\n").filter((x) => !/cmd=client/.test(x)).length)
  const keys = m.command("PTTL", "x"); void keys
}))
