/**
 * Limits as plain values, and what is made of several. All is exported from `RateLimiter`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { LimitGate, type LimitSpec } from "./LimitGate.ts"
import type { OpenLimits } from "./service.ts"
import { count, millis, such, waiting } from "../Validate.ts"
import { InvalidPolicyError, type RateLimitExceeded } from "../Rejection.ts"

const TypeId = "~effect-resilience/RateLimiter"

/**
 * One limit. `Dimension` is the field of the key that it looks at when it stands in `every`: `undefined` for the field
 * that has its own name there, `never` for none (a shared limit).
 *
 * @category models
 * @since 0.1.0
 */
export interface Limit<out Dimension extends string | undefined = undefined> {
  readonly [TypeId]: { readonly _Dimension: (_: never) => Dimension }
  readonly _tag: "TokenBucket" | "LeakyBucket" | "FixedWindow" | "SlidingWindow" | "SlidingLog" | "Kernel"
  /** Units per `window`. */
  readonly limit: number
  /** Milliseconds. */
  readonly window: number
  /** Units that can be taken at once after a rest. */
  readonly capacity: number
  /** Milliseconds a call may wait for room; 0 refuses at once. */
  readonly maxWait: number
  /** How many calls may wait at the same time, for each key. */
  readonly maxQueued: number
  /** @internal */
  readonly spec: LimitSpec
  /** @internal */
  readonly open: OpenLimits
}

/**
 * Several limits, taken together or not at all. `Dimensions` are the fields of its key.
 *
 * @category models
 * @since 0.1.0
 */
export interface Every<out Dimensions extends string = string> {
  readonly [TypeId]: { readonly _Dimensions: (_: never) => Dimensions }
  readonly _tag: "Every"
  readonly limits: { readonly [name: string]: Limit<string | undefined> }
  /** @internal */
  readonly open: OpenLimits
}

/**
 * No limit at all: nothing is asked and nothing kept. For tests, and for a default that configuration replaces.
 *
 * @category models
 * @since 0.1.0
 */
export interface Unlimited {
  readonly [TypeId]: {}
  readonly _tag: "Unlimited"
  /** @internal */
  readonly open: OpenLimits
}

/**
 * What a rate limiter can be made of.
 *
 * @category models
 * @since 0.1.0
 */
export type Policy = Limit<string | undefined> | Every | Unlimited

/**
 * The key that a policy asks for: a string, or for `every` a string for each of its dimensions.
 *
 * @category utility types
 * @since 0.1.0
 */
export type KeyOf<P> =
  P extends Every<infer Dimensions>
    ? [Dimensions] extends [never]
      ? string
      : { readonly [D in Dimensions]: string }
    : string

/** What a policy can refuse with. @category utility types @since 0.1.0 */
export type ErrorOf<P> = P extends Unlimited ? never : RateLimitExceeded

/** What every limit may say beside its numbers. @category models @since 0.1.0 */
export interface Waiting {
  /** How long a call may wait for room. Default: 0, it is refused at once. `Infinity`: until there is room. */
  readonly maxWait?: Duration.Input | undefined
  /** How many calls of one key may wait at the same time. Default: 1,000, `Infinity`: no bound. Needs a `maxWait`. */
  readonly maxQueued?: number | undefined
  /** How many keys may be remembered. Default: all that are not yet as good as new; those are forgotten by themselves. */
  readonly maxKeys?: number | undefined
  /** What a new key above `maxKeys` meets. `"evict"` (default) forgets the key that would be repaid first, `"reject"` refuses the new one. */
  readonly overflow?: "evict" | "reject" | undefined
  /** When to forget a key whose state never ends by itself. A limit's always does, so this changes nothing there. */
  readonly idleTimeToLive?: Duration.Input | undefined
}

/** @internal */
export const specOf = (
  module: string,
  kernel: LimitSpec["kernel"],
  policy: unknown,
  scale: LimitSpec["scale"],
  capacity: number,
  options: Waiting
): LimitSpec => {
  const { overflow = "evict" } = options
  if (overflow !== "evict" && overflow !== "reject") {
    throw new InvalidPolicyError({
      module,
      parameter: "overflow",
      value: overflow,
      reason: 'must be "evict" or "reject"'
    })
  }
  return {
    name: "limit",
    kernel,
    policy,
    scale,
    capacity,
    shared: false,
    dimension: undefined,
    lease: undefined,
    ...waiting(module, options),
    keys: {
      maxKeys: options.maxKeys === undefined ? undefined : count(module, "maxKeys", options.maxKeys),
      overflow,
      idleTimeToLive:
        options.idleTimeToLive === undefined ? Infinity : millis(module, "idleTimeToLive", options.idleTimeToLive)
    }
  }
}

const opens =
  (specs: ReadonlyArray<LimitSpec>): OpenLimits =>
  ({ service, store }) =>
    new LimitGate(specs, service, store)
const respecified = (spec: LimitSpec) => ({ spec, open: opens([spec]) })

/** @internal */
export const makeLimit = (
  _tag: Limit["_tag"],
  limit: number,
  window: number,
  capacity: number,
  spec: LimitSpec
): Limit => ({
  [TypeId]: { _Dimension: (_: never) => undefined },
  _tag,
  limit,
  window,
  capacity,
  maxWait: spec.maxWait,
  maxQueued: spec.maxQueued,
  ...respecified(spec)
})

const limitOf = <L extends Limit<string | undefined>>(module: string, parameter: string, limit: L): L =>
  such(module, parameter, limit, typeof limit === "object" && limit !== null && "spec" in limit, "a limit")

/**
 * One bucket for all keys.
 *
 * @category combinators
 * @since 0.1.0
 */
export const shared = (limit: Limit<string | undefined>): Limit<never> => ({
  ...limitOf("RateLimiter.shared", "limit", limit),
  [TypeId]: { _Dimension: (_: never) => undefined as never }, // a phantom: nobody calls it
  ...respecified({ ...limit.spec, shared: true })
})

/**
 * The limit of a dimension that has another name than its own, so that two limits of `every` can look at one field.
 *
 * @category combinators
 * @since 0.1.0
 */
export const by = <const Dimension extends string>(dimension: Dimension, limit: Limit): Limit<Dimension> => ({
  ...limitOf("RateLimiter.by", "limit", limit),
  [TypeId]: { _Dimension: (_: never) => dimension },
  ...respecified({
    ...limit.spec,
    dimension: such(
      "RateLimiter.by",
      "dimension",
      dimension,
      typeof dimension === "string" && dimension !== "",
      "the name of a dimension"
    )
  })
})

/** The fields that the limits of `every` look at. @category utility types @since 0.1.0 */
export type DimensionsOf<Limits> = {
  [Name in keyof Limits & string]: Limits[Name] extends Limit<infer Dimension>
    ? [Dimension] extends [never]
      ? never
      : [Dimension] extends [string]
        ? Dimension
        : Name
    : never
}[keyof Limits & string]

/**
 * Several limits, all or nothing: a call that one of them refuses takes from none. The refusal names every one that
 * refused, and the longest `retryAfter`.
 *
 * The key becomes a record with a string for each limit that is not shared.
 *
 * **Example** (A user, a tenant and everybody)
 *
 * ```ts
 * import { RateLimiter } from "effect-resilience"
 *
 * const limits = RateLimiter.every({
 *   user: RateLimiter.tokenBucket({ limit: 10, window: "1 second" }),
 *   tenant: RateLimiter.slidingWindow({ limit: 1_000, window: "1 minute" }),
 *   global: RateLimiter.shared(RateLimiter.tokenBucket({ limit: 500, window: "1 second" }))
 * })
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const every = <const Limits extends { readonly [name: string]: Limit<string | undefined> }>(
  limits: Limits
): Every<DimensionsOf<Limits>> => {
  const module = "RateLimiter.every"
  const named =
    typeof limits === "object" && limits !== null && !Array.isArray(limits) && Object.keys(limits).length > 0
  such(module, "limits", limits, named, "a record of at least one limit")
  for (const [name, limit] of Object.entries(limits)) limitOf(module, `limits.${name}`, limit)
  return {
    [TypeId]: { _Dimensions: (_: never) => undefined as never }, // a phantom: nobody calls it
    _tag: "Every",
    limits,
    open: opens(
      Object.entries(limits).map(([name, { spec }]) => ({
        ...spec,
        name,
        dimension: spec.shared ? undefined : (spec.dimension ?? name)
      }))
    )
  }
}

/**
 * No limit at all.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unlimited: Unlimited = { [TypeId]: {}, _tag: "Unlimited", open: opens([]) }
