// a failover to a server whose clock is behind: what the old master wrote is in the new one's future
import { Effect } from "effect"
import { RateLimiter } from "effect-resilience"
import { startRedis, pause } from "../servers.ts"
import { storeOn } from "../support.ts"
import { limiterOn, go, take } from "./common.ts"
go(Effect.gen(function* () {
  const server = yield* startRedis()
  const A = yield* storeOn(server)
  const ahead = 30_000
  const now = () => { const [s, us] = server.command("TIME").split("\n"); return Number(s) * 1000 + Math.floor(Number(us) / 1000) }
  const cases: any = {
    "token-bucket@2": [RateLimiter.tokenBucket({ limit: 100, window: "1 second", burst: 100 }), (t: number) => `0 ${t} 1000 ${t} 0`],
    "fixed-window@2": [RateLimiter.fixedWindow({ limit: 100, window: "1 second" }), undefined],
    "sliding-window@2": [RateLimiter.slidingWindow({ limit: 100, window: "1 second" }), undefined],
    "sliding-log@2": [RateLimiter.slidingLog({ limit: 100, window: "1 second" }), undefined]
  }
  for (const [id, [policy]] of Object.entries(cases) as any) {
    const l = yield* limiterOn(A, policy, id)
    yield* l.allow("ada")
    const key = server.command("KEYS", `*${id.replace("@", "?")}*ada`).split("\n")[0]!
    const value = server.command("GET", key)
    // every time in it 30 s later, as a master would have written it whose clock is 30 s ahead
    const later = value.replaceAll(/\b1\d{12}\b/g, (w: string) => String(Number(w) + ahead))
    server.command("SET", key, later, "PX", "100000")
    let passed = 0; const t0 = Date.now(); let asked = 0
    while (Date.now() - t0 < 3000) { asked++; if (yield* l.allow("ada")) passed++; yield* pause(3) }
    const p = yield* l.peek("ada")
    console.log(id, "limit 100/s; 3 s after the failover passed", passed, "of", asked, "(at most 300-400) | waitFor(1):", p.waitFor(1), "ms | value", value, "->", later)
  }
}))
