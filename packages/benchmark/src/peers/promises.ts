/**
 * The peers of the promise world.
 */
import CircuitBreaker from "opossum"
import {
  bulkhead,
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  timeout,
  TimeoutStrategy,
  wrap
} from "cockatiel"
import pRetry from "p-retry"
import { RateLimiterMemory } from "rate-limiter-flexible"
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

export const makeLimiter = (points: number = limit) => new RateLimiterMemory({ points, duration: windowMillis / 1_000 })

const makeRetry = () =>
  retry(handleAll, { maxAttempts: attempts - 1, backoff: new ExponentialBackoff({ initialDelay: baseMillis }) })

export const makeBreaker = (halfOpenAfter: number = openMillis) =>
  circuitBreaker(handleAll, { halfOpenAfter, breaker: new ConsecutiveBreaker(failures) })

/** Runs a function for a key. */
export type Pipeline = <A>(f: () => A | Promise<A>, key: string) => Promise<A>

/** cockatiel's breaker and retry behind rate-limiter-flexible. */
export const makeCockatiel = (): Pipeline => {
  const limiter = makeLimiter()
  const policy = wrap(makeRetry(), makeBreaker())
  return async (f, key) => {
    await limiter.consume(key)
    return policy.execute(f)
  }
}

/** The same with a bulkhead and both timeouts. Cooperative timeouts wait for the function, as Effect's do. */
export const makeFullCockatiel = (): Pipeline => {
  const limiter = makeLimiter()
  const cooperative = TimeoutStrategy.Cooperative
  const policy = wrap(
    timeout(callTimeoutMillis, cooperative),
    makeRetry(),
    makeBreaker(),
    bulkhead(maxConcurrent),
    timeout(attemptTimeoutMillis, cooperative)
  )
  return async (f, key) => {
    await limiter.consume(key)
    return policy.execute(f)
  }
}

const retried = <A>(f: () => A | Promise<A>): Promise<A> =>
  pRetry(f, { retries: attempts - 1, minTimeout: baseMillis, randomize: true })

/** One breaker of opossum's. It has no trip policy by failures in a row, so half of its window must fail. */
export const makeOpossum = (
  f: (...arguments_: ReadonlyArray<never>) => Promise<unknown>,
  options: CircuitBreaker.Options = {}
) =>
  new CircuitBreaker(f as (...arguments_: Array<unknown>) => Promise<unknown>, {
    timeout: false,
    resetTimeout: openMillis,
    errorThresholdPercentage: 50,
    volumeThreshold: failures,
    ...options
  })

/** opossum around p-retry, behind rate-limiter-flexible. */
export const makeOpossumPipeline = (options: CircuitBreaker.Options = {}): Pipeline => {
  const limiter = makeLimiter()
  const breaker = makeOpossum(retried as never, options)
  return async <A>(f: () => A | Promise<A>, key: string) => {
    await limiter.consume(key)
    return (await breaker.fire(f)) as A // what `f` returned
  }
}

/** The same with its timeout and its semaphore; opossum has no timeout of an attempt. */
export const makeFullOpossum = (): Pipeline =>
  makeOpossumPipeline({ timeout: callTimeoutMillis, capacity: maxConcurrent })
