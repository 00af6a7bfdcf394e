/**
 * Single decisions: allowed, refused by a limit, refused by a circuit, and three limits in one.
 */
import * as Effect from "effect/Effect"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as RateLimiter from "effect-resilience/RateLimiter"
import { compare, FLOOR, OURS } from "../compare.ts"
import { awaited, inSyncFiber } from "../loops.ts"
import type { Case } from "../model.ts"
import { consumeOptions, makeServices } from "../peers/effectParts.ts"
import { makeFloorLimiter } from "../peers/floor.ts"
import { failures, key, limit, windowMillis } from "../peers/numbers.ts"
import { circuitBreaker, makePipeline, tokenBucket } from "../peers/ours.ts"
import { makeBreaker, makeLimiter, makeOpossum } from "../peers/promises.ts"

const yes = (allowed: boolean): boolean => allowed

const hour = 3_600_000
const once = { limit: 1, windowMillis: hour }
const fails: Effect.Effect<number, string> = Effect.fail("503")
const never: Effect.Effect<number> = Effect.sync(() => {
  throw new Error("a refused effect ran")
})

/** What a promise is rejected with. */
const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error
  )

const EFFECT_LIMITER = "Effect's RateLimiter.consume"
const EFFECT_BREAKER = "Effect's CircuitBreaker"

export const allow: Case = {
  id: "allow",
  run: async (effort) => {
    const limiter = Effect.runSync(RateLimiter.make(tokenBucket()))
    const floor = makeFloorLimiter({ limit, windowMillis })
    const effects = makeServices().limiter
    const promised = makeLimiter()
    const consumed = ({ remaining }: { readonly remaining: number }) => remaining > 0
    const bars = { [EFFECT_LIMITER]: 0.6 }
    const ourAllow = limiter.allow(key)
    const floorAllow = floor(key)
    const consume = effects.consume(consumeOptions(key))
    return [
      await compare(
        "`allow` on a warm key, prebuilt",
        effort,
        [
          inSyncFiber(OURS, () => ourAllow, yes),
          inSyncFiber(FLOOR, () => floorAllow, yes),
          inSyncFiber(EFFECT_LIMITER, () => consume, consumed)
        ],
        bars
      ),
      await compare(
        "`allow` on a warm key, built per call",
        effort,
        [
          inSyncFiber(OURS, () => limiter.allow(key), yes),
          inSyncFiber(FLOOR, () => floor(key), yes),
          inSyncFiber(EFFECT_LIMITER, () => effects.consume(consumeOptions(key)), consumed),
          awaited(
            "rate-limiter-flexible, awaited",
            () => promised.consume(key),
            (answer) => answer.remainingPoints > 0
          )
        ],
        bars
      )
    ]
  }
}

export const openCircuit: Case = {
  id: "open-circuit",
  run: async (effort) => {
    const breaker = Effect.runSync(CircuitBreaker.make(circuitBreaker(hour)))
    const effects = makeServices(hour).breaker
    const cockatiel = makeBreaker(hour)
    const opossum = makeOpossum(() => Promise.reject(new Error("503")), { resetTimeout: hour })
    const whole = makePipeline()
    for (let i = 0; i < failures; i++) {
      Effect.runSync(Effect.flip(breaker.execute(fails)))
      Effect.runSync(Effect.flip(effects.execute(fails, { key })))
      await rejection(cockatiel.execute(() => Promise.reject(new Error("503"))))
      await rejection(opossum.fire())
      await Effect.runPromise(Effect.flip(whole(Effect.die("503"), key)).pipe(Effect.sandbox, Effect.flip))
    }
    const refused = Effect.flip(breaker.execute(never))
    const refusedWhole = Effect.flip(whole(never, key))
    const refusedByEffect = Effect.flip(effects.execute(never, { key }))
    const isOpen = (error: { readonly _tag: string }) => error._tag === "CircuitOpen"
    return [
      await compare(
        "refused by an open circuit, as a value",
        effort,
        [
          inSyncFiber(OURS, () => refused, isOpen),
          inSyncFiber("effect-resilience, breaker + token bucket + retry", () => refusedWhole, isOpen),
          inSyncFiber(
            EFFECT_BREAKER,
            () => refusedByEffect,
            ({ reason }) => isOpen(reason)
          ),
          awaited(
            "cockatiel, awaited",
            () => rejection(cockatiel.execute(() => 1)),
            (error) => error instanceof Error && "isBrokenCircuitError" in error
          ),
          awaited(
            "opossum, awaited",
            () => rejection(opossum.fire()),
            (error) => error instanceof Error && "code" in error && error.code === "EOPENBREAKER"
          )
        ],
        { [EFFECT_BREAKER]: 0.1 }
      )
    ]
  }
}

export const limited: Case = {
  id: "limited",
  run: async (effort) => {
    const limiter = Effect.runSync(RateLimiter.make(tokenBucket(once)))
    const whole = makePipeline(once)
    const effects = makeServices().limiter
    const promised = makeLimiter(1)
    Effect.runSync(limiter.acquire(key))
    Effect.runSync(whole(Effect.void, key))
    Effect.runSync(effects.consume(consumeOptions(key, once)))
    await promised.consume(key)
    const isLimited = (error: { readonly _tag: string }) => error._tag === "RateLimitExceeded"
    const refused = Effect.flip(limiter.execute(never, key))
    const refusedWhole = Effect.flip(whole(never, key))
    const asked = limiter.allow(key)
    const refusedByEffect = Effect.flip(effects.consume(consumeOptions(key, once)))
    return [
      await compare(
        "refused by the limiter, as a value",
        effort,
        [
          inSyncFiber(OURS, () => refused, isLimited),
          inSyncFiber(
            "effect-resilience, `allow`",
            () => asked,
            (allowed) => !allowed
          ),
          inSyncFiber("effect-resilience, breaker + token bucket + retry", () => refusedWhole, isLimited),
          inSyncFiber(
            EFFECT_LIMITER,
            () => refusedByEffect,
            ({ reason }) => isLimited(reason)
          ),
          awaited(
            "rate-limiter-flexible, awaited",
            () => rejection(promised.consume(key)),
            (answer) => typeof answer === "object" && answer !== null && "msBeforeNext" in answer
          )
        ],
        { [EFFECT_LIMITER]: 0.15 }
      )
    ]
  }
}

export const every: Case = {
  id: "every",
  run: async (effort) => {
    const ONE = `${OURS}, one limit`
    const single = Effect.runSync(RateLimiter.make(tokenBucket()))
    const three = Effect.runSync(
      RateLimiter.make(
        RateLimiter.every({ user: tokenBucket(), tenant: tokenBucket(), global: RateLimiter.shared(tokenBucket()) })
      )
    )
    const allowOne = single.allow(key)
    const allowThree = three.allow({ user: key, tenant: "tenant:1" })
    return [
      await compare(
        "three limits with `every`",
        effort,
        [inSyncFiber(OURS, () => allowThree, yes), inSyncFiber(ONE, () => allowOne, yes)],
        { [ONE]: 1.5 }
      )
    ]
  }
}
