/** A process whose calls go into a half-open connection. It says how many failed, and what is left of each, in bytes. */
import { Effect, Layer } from "effect"
import { RateLimiter, Resilience } from "effect-resilience"
import { RedisStore } from "../src/index.ts"
import { startProxy } from "./proxy.ts"
import { pause } from "./servers.ts"
import { eventually, isAllowed } from "./support.ts"

const held = Effect.gen(function* () {
  for (let i = 0; i < 4; i++) {
    globalThis.gc!()
    yield* pause(20)
  }
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
})

const CALLS = 20_000

await Effect.gen(function* () {
  const proxy = yield* startProxy(Number(process.argv[2]))
  const store = yield* Layer.build(RedisStore.layerNode({ url: proxy.url, prefix: "own", silence: "400 millis" }))
  const { resilient } = yield* Effect.provide(
    Resilience.makeFromStore("own", {
      rateLimiter: RateLimiter.tokenBucket({ limit: 1_000_000, window: "1 second" }),
      store: { onError: "fail", deadline: "200 millis" }
    }),
    Layer.succeedContext(store)
  )
  const batch = (name: string, calls: number) =>
    Effect.forEach(
      Array.from({ length: calls }, (_, i) => `${name} ${i}`),
      (user) => isAllowed(resilient(Effect.void, user)),
      { concurrency: "unbounded" }
    )
  yield* eventually(
    "connected",
    Effect.map(batch("first", 1), ([first]) => first!)
  )
  yield* batch("warm", 2_000)
  const before = yield* held
  yield* proxy.cut
  yield* proxy.deafen(true)
  let failed = 0
  for (let i = 0; i < CALLS / 1_000; i++) {
    failed += (yield* batch(`${i}`, 1_000)).filter((isAllowed) => !isAllowed).length
    yield* pause(50) // the first ones go into the half-open connection, the others find none
  }
  const after = yield* held
  process.send!({ failed, perCall: (after - before) / CALLS })
}).pipe(Effect.scoped, Effect.runPromise)
process.exit(0)
