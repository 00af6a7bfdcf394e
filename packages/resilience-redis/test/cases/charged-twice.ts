import { Effect, Layer } from "effect"
import { RateLimiter } from "effect-resilience"
import { RedisStore } from "../../src/index.ts"
import { startRedis, pause } from "../servers.ts"
import { serviceOn, go } from "./common.ts"
go(Effect.gen(function* () {
  for (const calls of [800, 3000]) {
    const server = yield* startRedis(["--appendonly", "yes", "--appendfsync", "always"])
    const store = Layer.succeedContext(yield* Layer.build(RedisStore.layerNode({ prefix: "resilience", url: server.url })))
    const s = yield* serviceOn(store, { rateLimiter: RateLimiter.fixedWindow({ limit: 10_000, window: "1000 hours" }), store: { onError: "local", deadline: "200 millis" } }, "svc" + calls)
    const used = () => Number((server.command("GET", server.command("KEYS", "*svc*ada").split("\n")[0]!).split(" ").at(-1)) || 0)
    yield* pause(500); for (let i = 0; i < 5; i++) yield* s.resilient(Effect.void, "ada") as any
    console.log(calls, "calls in an outage | used before:", used())
    yield* server.kill
    yield* pause(300)
    const out = yield* Effect.forEach(Array.from({ length: calls }), () => Effect.map(Effect.exit(s.resilient(Effect.void, "ada") as any), (e: any) => e._tag), { concurrency: "unbounded" })
    console.log("  decided locally:", out.filter((x) => x === "Success").length)
    yield* server.start
    yield* pause(3000)
    console.log("  used 3 s after the server is back (5 would be right):", used())
  }
}))
