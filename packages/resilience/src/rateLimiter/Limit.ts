/**
 * Limits as plain values, and what is made of several. All is exported from `RateLimiter`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Key } from "../internal/key.ts"
import { memory } from "../internal/memoryStore.ts"
import * as Policies from "../Policy.ts"
import type { RateLimitExceeded, StoreError } from "../Rejection.ts"
import { count, millis, such, waiting } from "../Validate.ts"
import { LimitGate, type LimitSpec } from "./LimitGate.ts"
import type { Peek } from "./peek.ts"

/** The algorithm of a limit. @category models @since 0.1.0 */
export type Algorithm = "TokenBucket" | "LeakyBucket" | "FixedWindow" | "SlidingWindow" | "SlidingLog" | "Kernel"

/** What one does by hand to a limiter. @category models @since 0.1.0 */
export interface Control {
  /** Forgets one key, or all of them, as `reset` of a limiter does. */
  readonly reset: (key?: Key) => Effect.Effect<void, StoreError>
}

/** What a limit may say, whatever its algorithm. @category models @since 0.1.0 */
export interface LimitOptions extends Waiting {
  readonly algorithm: Algorithm
  /** Units per `window`. */
  readonly limit: number
  readonly window: Duration.Input
  /** One state for all keys: `shared`. */
  readonly shared?: boolean | undefined
  /** The field of the key that it looks at when it stands in `every`: `by`. Default: that of its own name. */
  readonly dimension?: string | undefined
}

interface LimitPhantom<out Dimension> extends Policies.Phantom<
  RateLimitExceeded,
  unknown,
  never,
  Peek,
  Control,
  false
> {
  readonly field: () => Dimension
}

/**
 * One limit, as a policy: what a service, `every`, `shared` and `by` take. `Dimension` is the field of the key that it looks
 * at when it stands in `every`: `undefined` for the field that has its own name there, `never` for none (a shared limit).
 *
 * @category models
 * @since 0.1.0
 */
export interface AnyLimit<out Dimension extends string | undefined = string | undefined> extends Policies.Policy<
  RateLimitExceeded,
  unknown,
  never,
  Peek,
  Control
> {
  readonly [Policies.TypeId]: LimitPhantom<Dimension>
  readonly kind: "rateLimiter"
  readonly options: LimitOptions
  readonly open: (env: Policies.Env) => LimitGate
}

/** Where a limit is opened to be looked at. */
const nowhere: Policies.Env = { service: "", label: "limit", store: memory, longest: Policies.unbounded }

/**
 * One limit, with its numbers as they are after validation. They are read from its options.
 *
 * @category models
 * @since 0.1.0
 */
export class Limit<out Dimension extends string | undefined = undefined> implements AnyLimit<Dimension> {
  declare readonly [Policies.TypeId]: LimitPhantom<Dimension>
  declare readonly kind: "rateLimiter"
  declare readonly options: LimitOptions
  declare readonly open: (env: Policies.Env) => LimitGate

  /** @internal */
  constructor(limit: AnyLimit<Dimension>) {
    Object.assign(this, limit)
  }

  get _tag(): Algorithm {
    return this.options.algorithm
  }
  /** Units per `window`. */
  get limit(): number {
    return this.options.limit
  }
  /** Milliseconds. */
  get window(): number {
    return millis("RateLimiter", "window", this.options.window)
  }
  /** Units that can be taken at once after a rest. */
  get capacity(): number {
    return this.spec.capacity
  }
  /** Milliseconds a call may wait for room; 0 refuses at once. */
  get maxWait(): number {
    return this.spec.maxWait
  }
  /** How many calls may wait at the same time, for each key. */
  get maxQueued(): number {
    return this.spec.maxQueued
  }
  /** @internal */
  get spec(): LimitSpec {
    return specIn(this, nowhere)
  }
}

const specIn = (limit: AnyLimit, env: Policies.Env): LimitSpec => limit.open(env).members[0]!.spec // a limit opens into one

interface EveryPhantom<out Dimensions extends string> extends Policies.Phantom<
  RateLimitExceeded,
  unknown,
  Dimensions,
  Peek,
  Control,
  false
> {}

/**
 * Several limits, taken together or not at all. `Dimensions` are the fields of its key.
 *
 * @category models
 * @since 0.1.0
 */
export interface Every<out Dimensions extends string = string> extends Policies.Policy<
  RateLimitExceeded,
  unknown,
  Dimensions,
  Peek,
  Control
> {
  readonly [Policies.TypeId]: EveryPhantom<Dimensions>
  readonly kind: "rateLimiter"
  readonly options: { readonly limits: { readonly [name: string]: AnyLimit } }
  readonly open: (env: Policies.Env) => LimitGate
}

/**
 * No limit at all: nothing is asked and nothing kept. For tests, and for a default that configuration replaces.
 *
 * @category models
 * @since 0.1.0
 */
export interface Unlimited extends Policies.Policy {
  readonly kind: "rateLimiter"
  readonly options: {}
  readonly open: (env: Policies.Env) => ReadonlyArray<never>
}

/**
 * What a rate limiter can be made of.
 *
 * @category models
 * @since 0.1.0
 */
export type Policy = AnyLimit | Every | Unlimited

/**
 * The key that a policy asks for: a string, or for `every` a string for each of its dimensions.
 *
 * @category utility types
 * @since 0.1.0
 */
export type KeyOf<P> =
  P extends Policies.Policy<unknown, never, infer Dimensions, unknown, unknown, unknown>
    ? [Dimensions] extends [never]
      ? string
      : { readonly [D in Dimensions]: string }
    : string

/** What a policy can refuse with. @category utility types @since 0.1.0 */
export type ErrorOf<P> =
  P extends Policies.Policy<infer Error, never, string, unknown, unknown, unknown> ? Error : never

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

/** What an algorithm makes of the numbers of a limit. */
interface Numbers {
  readonly kernel: LimitSpec["kernel"]
  readonly policy: unknown
  readonly scale: LimitSpec["scale"]
  readonly capacity: number
  readonly pace: LimitSpec["pace"]
  readonly lease?: LimitSpec["lease"]
}

const specOf = (module: string, numbers: Numbers, options: LimitOptions): LimitSpec => {
  const { dimension, overflow = "evict", shared = false } = options
  const { capacity, kernel, lease, pace, policy, scale } = numbers
  such(module, "overflow", overflow, overflow === "evict" || overflow === "reject", '"evict" or "reject"')
  such(module, "shared", shared, typeof shared === "boolean", "true or false")
  const named = dimension === undefined || (typeof dimension === "string" && dimension !== "")
  such(module, "dimension", dimension, named, "the name of a dimension")
  return {
    name: "limit",
    kernel,
    policy,
    scale,
    capacity,
    pace,
    shared,
    dimension,
    lease,
    ...waiting(module, options),
    keys: {
      maxKeys: options.maxKeys === undefined ? undefined : count(module, "maxKeys", options.maxKeys),
      overflow,
      idleTimeToLive:
        options.idleTimeToLive === undefined ? Infinity : millis(module, "idleTimeToLive", options.idleTimeToLive)
    }
  }
}

/** @internal */
export const makeLimit = <Options extends Waiting>(
  module: string,
  algorithm: Algorithm,
  given: Options & { readonly limit: number; readonly window: Duration.Input },
  numbersOf: (options: Options) => Numbers
): Limit => {
  const limit = new Limit(
    Policies.make<AnyLimit<undefined>>({
      kind: "rateLimiter",
      options: { ...given, algorithm },
      open({ label, service, store }) {
        const { options } = this
        such(module, "algorithm", options.algorithm, options.algorithm === algorithm, `"${algorithm}" here`)
        // a copy that has lost what this algorithm needs is refused by name
        const numbers = numbersOf(options as LimitOptions & Options)
        return new LimitGate([specOf(module, numbers, options)], service, store, label)
      }
    })
  )
  void limit.spec // refuses here what makes no sense
  return limit
}

const isLimit = (u: unknown): u is AnyLimit => Policies.isPolicy(u, "rateLimiter") && "algorithm" in u.options

const limitOf = <L extends AnyLimit>(module: string, parameter: string, limit: L): L =>
  such(module, parameter, limit, isLimit(limit), "a limit")

const withOptions = <Dimension extends string | undefined>(
  module: string,
  limit: AnyLimit,
  options: Partial<LimitOptions>
): Limit<Dimension> => {
  const { [Policies.TypeId]: mark, kind, open } = limitOf(module, "limit", limit)
  return new Limit<Dimension>({
    [Policies.TypeId]: mark as LimitPhantom<Dimension>, // a phantom: its fields are in the type alone
    kind,
    options: Object.freeze({ ...limit.options, ...options }),
    open
  })
}

/**
 * One bucket for all keys.
 *
 * @category combinators
 * @since 0.1.0
 */
export const shared = (limit: AnyLimit): Limit<never> => withOptions("RateLimiter.shared", limit, { shared: true })

/**
 * The limit of a dimension that has another name than its own, so that two limits of `every` can look at one field.
 *
 * @category combinators
 * @since 0.1.0
 */
export const by = <const Dimension extends string>(
  dimension: Dimension,
  limit: AnyLimit<undefined>
): Limit<Dimension> => {
  const module = "RateLimiter.by"
  const is = typeof dimension === "string" && dimension !== ""
  return withOptions(module, limit, { dimension: such(module, "dimension", dimension, is, "the name of a dimension") })
}

/** The fields that the limits of `every` look at. @category utility types @since 0.1.0 */
export type DimensionsOf<Limits> = {
  [Name in keyof Limits & string]: Limits[Name] extends AnyLimit<infer Dimension>
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
export const every = <const Limits extends { readonly [name: string]: AnyLimit }>(
  limits: Limits
): Every<DimensionsOf<Limits>> => {
  const policy = Policies.make<Every<DimensionsOf<Limits>>>({
    kind: "rateLimiter",
    options: { limits: isRecord(limits) ? { ...limits } : limits },
    open(env) {
      return new LimitGate(specsOf(this.options.limits, env), env.service, env.store, env.label)
    }
  })
  specsOf(policy.options.limits, nowhere) // refuses here what makes no sense
  return policy
}

const isRecord = (u: unknown): boolean => typeof u === "object" && u !== null && !Array.isArray(u)

const specsOf = (limits: Every["options"]["limits"], env: Policies.Env): ReadonlyArray<LimitSpec> => {
  const module = "RateLimiter.every"
  const named = isRecord(limits) && Object.keys(limits).length > 0
  such(module, "limits", limits, named, "a record of at least one limit")
  return Object.entries(limits).map(([name, limit]) => {
    const spec = specIn(limitOf(module, `limits.${name}`, limit), env)
    return { ...spec, name, dimension: spec.shared ? undefined : (spec.dimension ?? name) }
  })
}

/**
 * No limit at all.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unlimited: Unlimited = Policies.make<Unlimited>({ kind: "rateLimiter", options: {}, open: () => [] })
