/** The programs that the docs show beside a Redis. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { RateLimiter, Resilience } from "effect-resilience"
import { RedisStore } from "../src/index.ts"
import { missing, skipped, startRedis } from "./servers.ts"

// #region outage
class Search extends Resilience.Service<Search>()("app/Search", {
  rateLimiter: RateLimiter.tokenBucket({ limit: 100, window: "1 hour" }),
  store: { onError: "fail", deadline: "100 millis" }
}) {}

const SearchLive = (url: string) =>
  Search.layerFromStore.pipe(Layer.provide(RedisStore.layerNode({ url, prefix: "shop", silence: "5 seconds" })))
// #endregion

// #region start
const ready = Search.inspect("any").pipe(Effect.retry({ times: 100, schedule: Schedule.spaced("20 millis") }))
// #endregion

describe.skipIf(missing !== undefined)(`what the docs show${skipped}`, () => {
  it.live("a script waits until the store answers, and its first call is decided there", () =>
    Effect.gen(function* () {
      const { url } = yield* startRedis()
      yield* Effect.gen(function* () {
        yield* ready
        yield* Search.resilient(Effect.void, "ada")
        assert.strictEqual((yield* Search.inspect("ada")).rateLimiter?.remaining, 99)
      }).pipe(Effect.provide(SearchLive(url)))
    })
  )
})
