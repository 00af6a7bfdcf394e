/**
 * What could not be cheaper: breaker, token bucket and retry fused by hand into one closure over a `Map`, for these
 * policies only. Correct under interruption, since all is taken inside the mask; it forgets no key, bounds no memory,
 * tells nobody anything, and knows no store, no wait and no transaction.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import { attempts, baseMillis, failures, openMillis } from "./numbers.ts"

export class Refused {
  readonly _tag: "open" | "limited"
  constructor(tag: "open" | "limited") {
    this._tag = tag
  }
}

const OPEN = Effect.fail(new Refused("open"))
const LIMITED = Effect.fail(new Refused("limited"))

/** The library's clock: the fiber's, monotonic, in whole milliseconds. */
const nowOf = (fiber: Fiber.Fiber<unknown, unknown>): number =>
  Number(fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe() / 1_000_000n)

interface Bucket {
  at: number
  debt: number
}

export interface Limit {
  readonly limit: number
  readonly windowMillis: number
}

/** The library's token bucket (GCRA in integers), over a mutable record. */
const makeBuckets = ({ limit, windowMillis }: Limit) => {
  const buckets = new Map<string, Bucket>()
  const capacity = limit * windowMillis
  return (key: string, now: number): boolean => {
    let bucket = buckets.get(key)
    if (bucket === undefined) buckets.set(key, (bucket = { at: now, debt: 0 }))
    const time = Math.max(now, bucket.at)
    const debt = Math.max(0, bucket.debt - (time - bucket.at) * limit) + windowMillis
    if (debt > capacity) return false
    bucket.at = time
    bucket.debt = debt
    return true
  }
}

/** The floor of `allow`. */
export const makeFloorLimiter = (limit: Limit): ((key: string) => Effect.Effect<boolean>) => {
  const take = makeBuckets(limit)
  return (key) => Effect.withFiber((fiber) => Effect.succeed(take(key, nowOf(fiber))))
}

/** The floor of the pipeline. */
export const makeFloor = (
  limit: Limit
): (<A, E, R>(self: Effect.Effect<A, E, R>, key: string) => Effect.Effect<A, E | Refused, R>) => {
  const take = makeBuckets(limit)
  let phase: "Closed" | "Open" | "HalfOpen" = "Closed"
  let generation = 0
  let inARow = 0
  let openUntil = 0
  let probing = false

  const move = (to: typeof phase, now: number) => {
    phase = to
    generation++
    inARow = 0
    probing = false
    openUntil = to === "Open" ? now + openMillis : 0
  }

  const report = (exit: Exit.Exit<unknown, unknown>, admitted: number, now: number): void => {
    if (admitted !== generation) return
    if (exit._tag === "Success") {
      if (phase === "HalfOpen") move("Closed", now)
      else inARow = 0
    } else if (Cause.hasInterruptsOnly(exit.cause)) {
      probing = false
    } else if (phase === "HalfOpen" || ++inARow >= failures) {
      move("Open", now)
    }
  }

  const again = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    cause: Cause.Cause<E>,
    n: number,
    admitted: number
  ): Effect.Effect<A, E, R> => {
    if (n >= attempts || phase !== "Closed" || admitted !== generation) return Effect.failCause(cause)
    if (cause.reasons.some((reason) => !Cause.isFailReason(reason))) return Effect.failCause(cause)
    return Effect.withFiber<A, E, R>((fiber) => {
      const delay = Math.floor(fiber.getRef(Random.Random).nextDoubleUnsafe() * baseMillis * 2 ** (n - 1))
      return Effect.flatMap(Effect.sleep(delay), () =>
        admitted === generation
          ? Effect.catchCause(self, (cause) => again(self, cause, n + 1, admitted))
          : Effect.failCause(cause)
      )
    })
  }

  return <A, E, R>(self: Effect.Effect<A, E, R>, key: string): Effect.Effect<A, E | Refused, R> =>
    Effect.uninterruptibleMask((restore): Effect.Effect<A, E | Refused, R> => {
      const fiber = Fiber.getCurrent()!
      const now = nowOf(fiber)
      if (phase !== "Closed") {
        if (phase === "Open" && now >= openUntil) move("HalfOpen", now)
        if (phase === "Open" || probing) return OPEN
      }
      if (!take(key, now)) return LIMITED
      if (phase === "HalfOpen") probing = true
      const admitted = generation
      return Effect.onExitPrimitive(
        restore(Effect.catchCause(self, (cause) => again(self, cause, 1, admitted))),
        (exit) => {
          report(exit, admitted, exit._tag === "Success" ? now : nowOf(fiber))
          return undefined
        },
        true // inside the mask there is nothing more to mask
      )
    })
}
