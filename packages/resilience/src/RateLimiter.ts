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
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as limiter from "./rateLimiter/service.ts"
import type { RateLimiterService } from "./rateLimiter/service.ts"
import type { ErrorOf, KeyOf, Policy } from "./rateLimiter/Limit.ts"
import type { Store } from "./StoreModel.ts"

export {
  type Algorithm,
  type AnyLimit,
  type Control,
  type DimensionsOf,
  every,
  by,
  shared,
  unlimited,
  type ErrorOf,
  type Every,
  type KeyOf,
  type Limit,
  type LimitOptions,
  type Policy,
  type Unlimited
} from "./rateLimiter/Limit.ts"
export * from "./rateLimiter/kinds.ts"
export type { Peek } from "./rateLimiter/peek.ts"
export type { AcquireOptions, CostOptions, RateLimiterService } from "./rateLimiter/service.ts"

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
): Effect.Effect<RateLimiterService<KeyOf<P>, ErrorOf<P>>> => limiter.make(id, policy)

/**
 * A limiter whose keys live in the `Store` of the context, shared with all that use this `id` there.
 *
 * Dies where a service of this id with another policy is open on that store: they would share keys by mistake. Open means
 * until the scope closes.
 *
 * **Example** (A limit for all processes)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { RateLimiter, Store } from "effect-resilience"
 *
 * const program = Effect.gen(function* () {
 *   const limiter = yield* RateLimiter.makeFromStore(RateLimiter.tokenBucket({ limit: 100, window: "1 minute" }), "app/Mail")
 *   return yield* limiter.allow("user:1")
 * })
 *
 * program.pipe(Effect.scoped, Effect.provide(Store.layerMemory), Effect.runPromise)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeFromStore = <P extends Policy>(
  policy: P,
  id = "effect-resilience/RateLimiter"
): Effect.Effect<RateLimiterService<KeyOf<P>, ErrorOf<P>>, never, Store | Scope.Scope> =>
  limiter.makeFromStore(id, policy)

/**
 * Provides the default limiter.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (policy: Policy): Layer.Layer<RateLimiter> =>
  Layer.effect(RateLimiter, limiter.make("effect-resilience/RateLimiter", policy))

/**
 * Provides the default limiter on a store that others share.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFromStore = (policy: Policy): Layer.Layer<RateLimiter, never, Store> =>
  Layer.effect(RateLimiter, limiter.makeFromStore("effect-resilience/RateLimiter", policy))

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
    return Object.assign(tag, {
      policy,
      layer: Layer.effect(tag, limiter.make<KeyOf<P>, ErrorOf<P>>(id, policy)),
      layerFromStore: Layer.effect(tag, limiter.makeFromStore<KeyOf<P>, ErrorOf<P>>(id, policy))
    })
  }
