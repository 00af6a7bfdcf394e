/**
 * Effect's own parts, chained as its documentation does: limiter, then breaker, then retry. The limiter stands before
 * the breaker, where its refusals need no `classify`: the cheaper way.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Limit } from "./floor.ts"
import {
  attempts,
  attemptTimeoutMillis,
  baseMillis,
  callTimeoutMillis,
  failures,
  limit,
  maxConcurrent,
  openMillis,
  windowMillis
} from "./numbers.ts"

/** The two services, on their memory stores. They live as long as the process. */
export const makeServices = (openDuration: number = openMillis) => {
  const limiter = RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))
  const breaker = CircuitBreaker.layer({ tripPolicy: CircuitBreaker.consecutive(failures), openDuration }).pipe(
    Layer.provide(CircuitBreaker.layerStoreMemory())
  )
  const context = Effect.runSync(Layer.buildWithScope(Layer.merge(limiter, breaker), Scope.makeUnsafe()))
  return {
    limiter: Context.get(context, RateLimiter.RateLimiter),
    breaker: Context.get(context, CircuitBreaker.CircuitBreaker)
  }
}

export const consumeOptions = (key: string, bucket: Limit = { limit, windowMillis }) =>
  ({
    algorithm: "token-bucket",
    onExceeded: "fail",
    window: bucket.windowMillis,
    limit: bucket.limit,
    key
  }) as const

const makeRetry = () => {
  const schedule = Schedule.jittered(Schedule.exponential(baseMillis))
  return <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.retry(self, { schedule, times: attempts - 1 })
}

/** Breaker, token bucket and retry. */
export const makePipeline = (bucket?: Limit) => {
  const { breaker, limiter } = makeServices()
  const retry = makeRetry()
  return <A, E, R>(self: Effect.Effect<A, E, R>, key: string) =>
    Effect.andThen(limiter.consume(consumeOptions(key, bucket)), breaker.execute(retry(self), { key: "circuit" }))
}

/** The same with a bulkhead and both timeouts. */
export const makeFullPipeline = () => {
  const { breaker, limiter } = makeServices()
  const retry = makeRetry()
  const slots = Semaphore.makeUnsafe(maxConcurrent)
  return <A, E, R>(self: Effect.Effect<A, E, R>, key: string) =>
    Effect.timeout(
      Effect.andThen(
        limiter.consume(consumeOptions(key)),
        breaker.execute(slots.withPermits(1)(retry(Effect.timeout(self, attemptTimeoutMillis))), { key: "circuit" })
      ),
      callTimeoutMillis
    )
}
