/** A server that goes away and comes back. */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { Resilience } from "effect-resilience"
import * as StoreLaws from "effect-resilience-testing/StoreLaws"
import { RedisStore } from "../src/index.ts"
import { startProxy } from "./proxy.ts"
import { missing, skipped, startRedis } from "./servers.ts"
import { eventually, isAllowed, perHour, storeOn } from "./support.ts"

/** A store whose server was there when it was made. */
const gone = Layer.unwrap(
  Effect.gen(function* () {
    const server = yield* startRedis()
    const redis = yield* Layer.build(NodeRedis.layer({ url: server.url, disableOfflineQueue: true }))
    yield* server.kill
    return RedisStore.layer({ prefix: "test" }).pipe(Layer.provide(Layer.succeedContext(redis)))
  })
)

describe.skipIf(missing !== undefined)(`a store whose Redis goes away${skipped}`, () => {
  // the only law that this option adds
  const law = StoreLaws.laws({
    layer: RedisStore.layer({ prefix: "test" }).pipe(Layer.provide(gone)) as never,
    unreachable: gone
  }).at(-1)!
  it.live(law.name, () => law.check)

  it.live("decides in this process meanwhile, and by what the server kept once that is back", () =>
    Effect.gen(function* () {
      const server = yield* startRedis(["--appendonly", "yes", "--appendfsync", "always"])
      const { resilient } = yield* Effect.provide(
        Resilience.makeFromStore("survives", { rateLimiter: perHour(3), store: { deadline: "200 millis" } }),
        yield* storeOn(server)
      )
      const call = isAllowed(resilient(Effect.void, "ada"))
      assert.isTrue(yield* call)
      assert.isTrue(yield* call)
      yield* server.kill
      // the limit of three holds here, too, by a memory of its own
      assert.deepStrictEqual([yield* call, yield* call, yield* call, yield* call], [true, true, true, false])
      yield* server.start
      const used = Effect.sync(() => server.command("GET", server.command("KEYS", "*survives*")).split(" ").at(-1))
      assert.strictEqual(yield* used, "2", "what the server kept")
      yield* eventually(
        "calls reach the server again",
        Effect.andThen(
          call,
          Effect.map(used, (used) => used === "3")
        )
      )
      yield* eventually(
        "and are refused by it",
        Effect.map(call, (allowed) => !allowed)
      )
    })
  )

  it.live("is not held by a server that hangs", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const { resilient } = yield* Effect.provide(
        Resilience.makeFromStore("hangs", {
          rateLimiter: perHour(99),
          store: { deadline: "100 millis", onError: "fail" }
        }),
        yield* storeOn(server)
      )
      const call = resilient(Effect.void, "ada")
      yield* eventually("it is connected, on a machine that is busy", isAllowed(call))
      yield* server.suspend
      const [took, error] = yield* Effect.timed(Effect.flip(call))
      yield* server.resume
      assert.strictEqual(error._tag, "StoreError")
      assert.isBelow(Duration.toMillis(took), 5_000)
      yield* eventually("it answers again", isAllowed(call))
    })
  )

  it.live("gets back what a late answer took, for a call that nobody waits for any more", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const proxy = yield* startProxy(server.port)
      const { resilient } = yield* Effect.provide(
        Resilience.makeFromStore("late", {
          rateLimiter: perHour(2),
          store: { deadline: "80 millis", onError: "fail" }
        }),
        yield* storeOn({ ...server, url: proxy.url })
      )
      const call = resilient(Effect.void, "ada", { cost: 2 })
      const used = Effect.sync(() => server.command("GET", server.command("KEYS", "*late*")).split(" ").at(-1))
      yield* proxy.delay(100)
      assert.strictEqual((yield* Effect.flip(call))._tag, "StoreError")
      yield* eventually(
        "it arrived",
        Effect.map(used, (used) => used === "2")
      )
      yield* eventually(
        "and went back",
        Effect.map(used, (used) => used !== "2")
      )
      yield* proxy.delay(0)
      yield* eventually("there is room for it", isAllowed(call))
    })
  )
})
