/** A limiter of no limits is asked like any other: it once had no first limit to ask. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { RateLimiter, Resilience } from "../../src/index.ts"

describe("unlimited", () => {
  it.effect("lets everything through, by itself", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(RateLimiter.unlimited)
      assert.isTrue(yield* limiter.allow("a", { cost: 1_000 }))
      yield* limiter.acquire("a")
      assert.strictEqual(yield* limiter.execute(Effect.succeed("ran"), "a"), "ran")
      assert.strictEqual((yield* limiter.peek("a")).remaining, Infinity)
      yield* limiter.reset("a")
      yield* limiter.reset()
    })
  )

  it.effect("lets everything through, as a layer of its own under a pipeline", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Resilience.resilient(Effect.succeed("ran"), "a"), "ran")
    }).pipe(
      Effect.provide(
        Resilience.layerFrom([RateLimiter.RateLimiter]).pipe(Layer.provide(RateLimiter.layer(RateLimiter.unlimited)))
      )
    )
  )
})
