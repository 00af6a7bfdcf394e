/**
 * Not picked up by vitest: this fails. Where several limits are configured, the estimated wait on arrival is not always
 * a lower bound: a waiter in front may move to another limit's queue, and is overtaken. Smallest case: x, y, z refill
 * 2, 3, 4 a second, burst 4.
 *
 *     0 ms  {x:a y:a z:a} cost 2   runs
 *     0 ms  {x:b y:a z:b} cost 3   waits for y:a
 *     1 ms  {x:b y:b z:b} cost 3   runs
 *     1 ms  {x:a y:a z:a} cost 4   is told 1666 ms, behind the second call in y:a's queue
 *
 * At 333 ms the second call finds x:b empty and moves there; the last one, had it waited, would run after 999 ms.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { RateLimiter, Rejection } from "../../src/index.ts"
import { Stage } from "./harness.ts"

const bucket = (limit: number) => RateLimiter.tokenBucket({ limit, window: "1 second", burst: 4, maxWait: "1 day" })

describe("law 2: the estimated wait on arrival", () => {
  it("for several limits it is a lower bound", () => {
    const last = (maxWait: number) => {
      const stage = new Stage(
        { rateLimiter: RateLimiter.every({ x: bucket(2), y: bucket(3), z: bucket(4) }) },
        { key: { x: "a", y: "a", z: "a" } }
      )
      const { world } = stage
      world.fork(stage.call(Effect.void, { cost: 2 }))
      world.fork(stage.call(Effect.void, { cost: 3, key: { x: "b", y: "a", z: "b" } }))
      world.advance(1)
      world.fork(stage.call(Effect.void, { cost: 3, key: { x: "b", y: "b", z: "b" } }))
      world.settle()
      const exits: { at?: number; error?: unknown } = {}
      const call = Effect.matchEffect(stage.call(Effect.void, { cost: 4, maxWait }), {
        onFailure: (error) => Effect.sync(() => (exits.error = error)),
        onSuccess: () => Effect.sync(() => (exits.at = world.elapsed - 1))
      })
      world.fork(call)
      world.runOut()
      return exits
    }
    const { error } = last(1)
    assert.instanceOf(error, Rejection.RateLimitExceeded)
    assert.isAtLeast(last(80_000_000).at!, error.retryAfterMillis!)
  })
})
