/**
 * Law 2, the estimated wait on arrival, for several limits: the longest, over those that refuse, of the time at which all that
 * are queued there, and then the call, could have passed. Among calls of one key set, none of which overtakes another, that
 * is a lower bound. Else it may be too long: a queued call may move to the queue of another limit.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { RateLimiter, Rejection } from "../../src/index.ts"
import { arrive } from "./caller.ts"
import { clean, Stage } from "./harness.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const day = 86_400_000
const bucket = (limit: number) => RateLimiter.tokenBucket({ limit, window: "1 second", burst: 4, maxWait: day })
const keyOf = (bits: number) => ({ x: bits & 1 ? "a" : "b", y: bits & 2 ? "a" : "b", z: bits & 4 ? "a" : "b" })

interface Arrival {
  readonly after: number
  readonly cost: number
  readonly key: number
}

/** The last of these calls, which may wait so long, and what it was told or when it ran. */
const lastOf = (arrivals: ReadonlyArray<Arrival>, maxWait: number) => {
  const stage = new Stage(
    { rateLimiter: RateLimiter.every({ x: bucket(2), y: bucket(3), z: bucket(4) }) },
    { key: keyOf(7) }
  )
  let last = arrive(stage)
  arrivals.forEach(({ after, cost, key }, i) => {
    stage.world.advance(after)
    last = arrive(stage, { cost, key: keyOf(key), maxWait: i === arrivals.length - 1 ? maxWait : day })
  })
  const arrived = stage.world.elapsed
  const told = last.ended?.error
  stage.world.runOut()
  assert.deepStrictEqual(stage.debris(), clean)
  return { told, waited: last.ranAt === undefined ? undefined : last.ranAt - arrived }
}

const holds = (arrivals: ReadonlyArray<Arrival>) => {
  const { told } = lastOf(arrivals, 1)
  if (told === undefined) return // it ran, or was let wait
  assert.instanceOf(told, Rejection.RateLimitExceeded)
  assert.isAtLeast(lastOf(arrivals, day).waited!, told.retryAfterMillis!)
}

describe("law 2: the estimated wait on arrival", () => {
  it("counts all that are queued for a limit that refuses, also where a call will move to another queue", () => {
    const arrivals = [
      { after: 0, cost: 1, key: 7 },
      { after: 0, cost: 3, key: 2 }, // waits for y, then moves to x
      { after: 1, cost: 3, key: 0 },
      { after: 0, cost: 4, key: 7 }
    ]
    const { told } = lastOf(arrivals, 1)
    assert.instanceOf(told, Rejection.RateLimitExceeded)
    assert.strictEqual(told.retryAfterMillis, 1_666)
    assert.strictEqual(lastOf(arrivals, day).waited, 999)
  })

  it.effect.prop(
    "is a lower bound among calls of one key set",
    {
      arrivals: Arbitrary.array(Arbitrary.all({ after: int(0, 300), cost: int(1, 4), key: int(0, 0) }), {
        minLength: 3,
        maxLength: 40
      })
    },
    ({ arrivals }) => Effect.sync(() => holds(arrivals)),
    { arbitrary: { runs: 150 } }
  )
})
