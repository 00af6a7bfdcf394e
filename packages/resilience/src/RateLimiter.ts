/**
 * Rate limits: how many calls, or units of work, a key may spend in a span of time.
 *
 * A limit is a plain value. Provide it as a layer of its own, or as the `rateLimiter` of a `Resilience` service. By
 * default a call that finds no room is refused at once with `RateLimitExceeded`; with `maxWait` it waits in a bounded
 * queue, and holds nothing while it waits.
 *
 * **Which one**
 *
 * - `tokenBucket`: the default. A sustained rate with bursts. Any window sees at most `burst + limit`.
 * - `leakyBucket`: the same engine seen from the other side: work fills a bucket that drains at the limit.
 * - `fixedWindow`: quotas that renew at an edge ("1000 a day"). Two adjoining windows can be spent back to back.
 * - `slidingWindow`: at most `limit` in *any* window, in constant memory; may refuse a little early.
 * - `slidingLog`: exactly `limit` in any window, for limits up to 1,000.
 * - `every`: several of them at once, all or nothing.
 * - `fromKernel`: an algorithm of your own.
 *
 * **Even spacing** is `tokenBucket({ limit, window, burst: 1, maxWait, maxQueued })`: calls leave one by one, `window /
 * limit` apart, as from a leaky bucket used as a queue.
 *
 * **Example** (A limit of its own)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { RateLimiter } from "effect-resilience"
 *
 * class Search extends RateLimiter.Service<Search>()("app/Search", RateLimiter.tokenBucket({
 *   limit: 100,
 *   window: "1 minute",
 *   burst: 10
 * })) {}
 *
 * const program = Effect.gen(function*() {
 *   const limiter = yield* Search
 *   return (yield* limiter.allow("user:1")) ? "go" : "not now"
 * })
 *
 * Effect.runPromise(program.pipe(Effect.provide(Search.layer)))
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { LimitGate } from "./internal/LimitGate.ts"
import * as limiter from "./internal/limiterService.ts"
import type { ErrorOf, KeyOf, Policy } from "./Limit.ts"
import type { RateLimitExceeded } from "./Rejection.ts"
import type { Store } from "./Store.ts"

export {
  type DimensionsOf,
  every,
  by,
  shared,
  unlimited,
  type ErrorOf,
  type Every,
  type KeyOf,
  type Limit,
  type Policy,
  type Unlimited
} from "./Limit.ts"
export * from "./LimitKinds.ts"

/**
 * A key as a limiter sees it now. A snapshot: nothing is taken, and nothing held.
 *
 * @category models
 * @since 0.1.0
 */
export interface Peek {
  /** Units that could be taken at once. For `every`, of the tightest limit. */
  readonly remaining: number
  /** Milliseconds until the key is as good as new. */
  readonly resetAfterMillis: number
  /** Calls that wait in this process. */
  readonly queued: number
  /** Milliseconds until a call of this cost would pass, if nobody else came; `undefined` when it never can. */
  readonly waitFor: (cost: number) => number | undefined
  /** The same for each limit, by name. */
  readonly limits: { readonly [name: string]: Omit<Peek, "limits"> & { readonly used: number } }
}

/** @category models @since 0.1.0 */
export interface CostOptions {
  /** Units that the call takes: a whole number of at least 1. Default: 1. */
  readonly cost?: number | undefined
}

/** @category models @since 0.1.0 */
export interface AcquireOptions extends CostOptions {
  /** Instead of the policy's own. */
  readonly maxWait?: Duration.Input | undefined
}

/**
 * A rate limiter in use. All but `execute` may stand inside `Effect.tx`: they commit and roll back with it.
 *
 * @category models
 * @since 0.1.0
 */
export interface RateLimiterService<in Key, out Error = RateLimitExceeded> {
  /** Takes `cost` if there is room, and says whether there was. Never waits, never fails. */
  readonly allow: (key: Key, options?: CostOptions) => Effect.Effect<boolean>
  /** Takes `cost`, waiting up to `maxWait` for room. Inside `Effect.tx` it does not wait. */
  readonly acquire: (key: Key, options?: AcquireOptions) => Effect.Effect<void, Error>
  readonly peek: (key: Key) => Effect.Effect<Peek>
  /** Forgets one key, or all of them. Whoever waits asks again. */
  readonly reset: (key?: Key) => Effect.Effect<void>
  /** Runs an effect once it is let through. */
  readonly execute: {
    (key: Key, options?: AcquireOptions): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Error, R>
    <A, E, R>(self: Effect.Effect<A, E, R>, key: Key, options?: AcquireOptions): Effect.Effect<A, E | Error, R>
  }
  /** @internal */
  readonly gate: LimitGate
}

/**
 * The default rate limiter of an application. Where there are several, make named ones with `Service`.
 *
 * @category services
 * @since 0.1.0
 */
export class RateLimiter extends Context.Service<RateLimiter, RateLimiterService<limiter.Key>>()(
  "effect-resilience/RateLimiter"
) {}

/**
 * A limiter with a memory of its own.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <P extends Policy>(
  policy: P,
  id = "effect-resilience/RateLimiter"
): Effect.Effect<RateLimiterService<KeyOf<P>, ErrorOf<P>>> => limiter.make(id, policy.open)

/**
 * Provides the default limiter.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (policy: Policy): Layer.Layer<RateLimiter> =>
  Layer.effect(RateLimiter, limiter.make("effect-resilience/RateLimiter", policy.open))

/**
 * Provides the default limiter on a store that others share.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFromStore = (policy: Policy): Layer.Layer<RateLimiter, never, Store> =>
  Layer.effect(RateLimiter, limiter.makeFromStore("effect-resilience/RateLimiter", policy.open))

/**
 * The class of a named limiter.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceClass<Self, Id extends string, P extends Policy> extends Context.ServiceClass<
  Self,
  Id,
  RateLimiterService<KeyOf<P>, ErrorOf<P>>
> {
  readonly policy: P
  /** With a memory of its own. */
  readonly layer: Layer.Layer<Self>
  /** On a store that others share. */
  readonly layerFromStore: Layer.Layer<Self, never, Store>
}

/**
 * Makes a named limiter: a tag, a type and its layers in one declaration.
 *
 * @category constructors
 * @since 0.1.0
 */
export const Service =
  <Self>() =>
  <const Id extends string, P extends Policy>(id: Id, policy: P): ServiceClass<Self, Id, P> => {
    const tag = Context.Service<Self, RateLimiterService<KeyOf<P>, ErrorOf<P>>>()(id)
    const open = policy.open
    return Object.assign(tag, {
      policy,
      layer: Layer.effect(tag, limiter.make<KeyOf<P>, ErrorOf<P>>(id, open)),
      layerFromStore: Layer.effect(tag, limiter.makeFromStore<KeyOf<P>, ErrorOf<P>>(id, open))
    })
  }
