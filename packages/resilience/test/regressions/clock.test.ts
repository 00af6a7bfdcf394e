/** Nanoseconds since 1970 are more than a double can count: read as one, one millisecond in eight came out too early. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter } from "../../src/index.ts"

it.effect("on a clock that shows this century, a refused call passes exactly when it was told to come again", () =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 1, window: "1001 millis" }))
    const late: Array<string> = []
    yield* TestClock.setTime(1_728_000_000_000)
    for (let key = 0; key < 100; key++) {
      yield* TestClock.adjust(1)
      yield* limiter.allow(`${key}`)
      const wait = (yield* limiter.peek(`${key}`)).waitFor(1)!
      yield* TestClock.adjust(wait)
      if (wait !== 1_001 || !(yield* limiter.allow(`${key}`))) late.push(`${key} after ${wait}`)
    }
    assert.deepStrictEqual(late, [])
  })
)
