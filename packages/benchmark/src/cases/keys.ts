/**
 * A million keys that are all in use, asked for in random order.
 */
import * as Effect from "effect/Effect"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { compare, EFFECT, FLOOR, OURS } from "../compare.ts"
import { around, makeKeys } from "../keys.ts"
import { inSyncFiber } from "../loops.ts"
import type { Case } from "../model.ts"
import * as effectParts from "../peers/effectParts.ts"
import { makeFloor, makeFloorLimiter } from "../peers/floor.ts"
import * as ours from "../peers/ours.ts"
import { seeded, shuffle } from "../random.ts"
import { type Contestant, thorough } from "../sample.ts"

/** A token is away for 86 s, so no key is forgotten meanwhile; and no key is asked for a thousand times. */
const bucket = { limit: 1_000, windowMillis: 86_400_000 }

const sync = Effect.sync(() => 1)

export const manyKeys: Case = {
  id: "many-keys",
  run: async () => {
    const count = 1_000_000 // also in a short run: with fewer, other caches are measured
    const keys = shuffle(makeKeys(count), seeded(1))
    const said = `${count.toLocaleString("en-US")} live keys, random order`

    const overAll = <A>(name: string, call: (key: string) => Effect.Effect<A, unknown>, right: (a: A) => boolean) => {
      const next = around(keys)
      return inSyncFiber(name, () => call(next()), right)
    }
    const filled = (contestants: ReadonlyArray<Contestant>) => {
      for (const { batch } of contestants) void batch(count) // synchronous
      return contestants
    }

    const one = (a: number) => a === 1
    const pipeline = ours.makePipeline(bucket)
    const floor = makeFloor(bucket)
    const parts = effectParts.makePipeline(bucket)
    const pipelines = filled([
      overAll(OURS, (key) => pipeline(sync, key), one),
      overAll(FLOOR, (key) => floor(sync, key), one),
      overAll(EFFECT, (key) => parts(sync, key), one)
    ])
    const first = await compare(`breaker + token bucket + retry, ${said}`, thorough, pipelines, { [FLOOR]: 1.3 })

    const yes = (allowed: boolean) => allowed
    const limiter = Effect.runSync(RateLimiter.make(ours.tokenBucket(bucket)))
    const floorLimiter = makeFloorLimiter(bucket)
    const effects = effectParts.makeServices().limiter
    const limiters = filled([
      overAll(OURS, (key) => limiter.allow(key), yes),
      overAll(FLOOR, (key) => floorLimiter(key), yes),
      overAll(
        "Effect's RateLimiter.consume",
        (key) => effects.consume(effectParts.consumeOptions(key, bucket)),
        ({ remaining }) => remaining > 0
      )
    ])
    return [first, await compare(`\`allow\`, ${said}`, thorough, limiters, { [FLOOR]: 1.3 })]
  }
}
