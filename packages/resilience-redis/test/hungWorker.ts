/** A process whose calls go into a half-open connection. It says how many failed, and what is left of each, in bytes. */
import { NodeRedis } from "@effect/platform-node"
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
  const silence = "400 millis"
  const store = yield* Layer.build(
    process.argv[3] === "own"
      ? RedisStore.layerNode({ url: proxy.url, prefix: "own", silence })
      : RedisStore.layer({ prefix: "own", silence }).pipe(
          Layer.provide(Layer.orDie(NodeRedis.layer({ url: proxy.url })))
        )
  )
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
  const connected = yield* held
  yield* proxy.cut
  yield* proxy.deafen(true)
  // a client that is not ours keeps what it was sent until its silence was noticed: from then on, nothing is added
  const why = Effect.match(resilient(Effect.void, "first"), {
    onSuccess: () => "",
    onFailure: (error) => (error._tag === "StoreError" ? error.reason : "")
  })
  const noticed = eventually(
    "calls fail at once",
    Effect.map(why, (reason) => reason === "unavailable")
  )
  const before = process.argv[3] === "own" ? connected : yield* Effect.andThen(noticed, held)
  let failed = 0
  for (let i = 0; i < CALLS / 1_000; i++) {
    failed += (yield* batch(`${i}`, 1_000)).filter((isAllowed) => !isAllowed).length
    yield* pause(50) // the first ones go into the half-open connection, the others find none
  }
  const after = yield* held
  process.send!({ failed, perCall: (after - before) / CALLS }, () => process.exit(0)) // the foreign client closes in its own time
}).pipe(Effect.scoped, Effect.runPromise)
