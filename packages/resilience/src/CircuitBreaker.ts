/**
 * A circuit breaker: stop calling what is failing, and find out gently when it works again.
 *
 * - `Closed`: calls pass, and their outcomes are counted. When the trip policy says so, the circuit opens.
 * - `Open`: calls are refused with `CircuitOpen`, for `openDuration`.
 * - `HalfOpen`: a few probes pass. `required` successes close the circuit; when they can no longer be reached, it opens again.
 * - `Isolated`: somebody closed the door by hand. Nothing passes until `close` or `reset`.
 *
 * No timer moves a circuit: what is due by time happens when somebody asks. A permit carries the circuit's generation,
 * so a late result decides nothing; a probe that hangs counts as failed when its lease ends, so it wedges nothing.
 *
 * **Example** (Five failures in a row)
 *
 * ```ts
 * import { Backoff, CircuitBreaker } from "effect-resilience"
 *
 * const policy = CircuitBreaker.policy({
 *   tripPolicy: CircuitBreaker.consecutive(5),
 *   openDuration: Backoff.exponential({ base: "5 seconds", cap: "2 minutes", jitter: "equal" })
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Option from "effect/Option"
import * as Backoff from "./Backoff.ts"
import * as circuit from "./circuitBreaker/service.ts"
import type { Control } from "./circuitBreaker/control.ts"
import type { Inspection } from "./circuitBreaker/inspection.ts"
import type { CircuitBreakerService } from "./circuitBreaker/service.ts"
import { scoped } from "./engine/service.ts"
import { CircuitGate, type CircuitSpec } from "./circuitBreaker/CircuitGate.ts"
import { callback, count, millis, refuse, such } from "./Validate.ts"
import * as Policies from "./Policy.ts"
import type { CircuitOpen } from "./Rejection.ts"
import type { Store } from "./StoreModel.ts"
import { breaker } from "./kernel/Breaker.ts"
import { type TripPolicy, tripsOf } from "./circuitBreaker/Trip.ts"

export * from "./circuitBreaker/Trip.ts"
export type { Control } from "./circuitBreaker/control.ts"
export type { Inspection } from "./circuitBreaker/inspection.ts"
export type { CircuitBreakerService, ExecuteOptions } from "./circuitBreaker/service.ts"

/**
 * A circuit breaker, as a policy. `By` is the dimension that has a circuit each; `never` for one circuit in all.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy<out By extends string = string> extends Policies.Policy<
  CircuitOpen,
  unknown,
  Exclude<By, "key">,
  Inspection,
  Control
> {
  readonly [Policies.TypeId]: CircuitPhantom<By>
  readonly kind: "circuitBreaker"
  readonly options: Options & { readonly by?: string | undefined }
  readonly open: (env: Policies.Env) => CircuitGate
}

interface CircuitPhantom<out By extends string> extends Policies.Phantom<
  CircuitOpen,
  unknown,
  Exclude<By, "key">,
  Inspection,
  Control,
  false
> {
  readonly by: () => By
}

/** The dimensions that a policy's circuits are kept by. @category utility types @since 0.1.0 */
export type ByOf<P> = P extends Policy<infer By> ? By : never

/** @category models @since 0.1.0 */
export interface Options {
  readonly tripPolicy: TripPolicy
  /** How long an opening lasts; with a `Backoff`, the n-th opening in a row lasts its n-th delay. */
  readonly openDuration: Duration.Input | Backoff.Backoff
  /** The longest opening, also when a failure's `retryAfter` asks for more. Default: "5 minutes", or the open time if longer. */
  readonly maxOpenDuration?: Duration.Input | undefined
  readonly probes?:
    | {
        /** Calls that pass while half-open. Default: 1, or `required`. */
        readonly permitted?: number | undefined
        /** Successes that close the circuit; one that is slow by a `slowCallRate` has failed. Default: `permitted`. */
        readonly required?: number | undefined
        /** How long a probe may take before it counts as failed. Default: the service's timeout, or the open time, at least a minute. */
        readonly lease?: Duration.Input | undefined
      }
    | undefined
  /**
   * Reads from the error of a failed or `throttled` call how long the dependency asks to be left alone: the opening that it
   * brings, or has brought, lasts that long, up to `maxOpenDuration`. Default: the retry policy's, if there is one.
   */
  readonly retryAfter?: ((error: unknown) => Option.Option<Duration.Input>) | undefined
  /** How many circuits may be remembered, where there is one for each key. Default: 100,000. */
  readonly maxKeys?: number | undefined
  /** When to forget a circuit that nobody asks and that no time would close. Default: never. */
  readonly idleTimeToLive?: Duration.Input | undefined
}

const openings = (module: string, openDuration: Options["openDuration"]) => {
  if (!Backoff.isBackoff(openDuration)) {
    const open = millis(module, "openDuration", openDuration)
    return { low: [open], high: [open], growth: 0, longest: open }
  }
  const low: Array<number> = []
  const high: Array<number> = []
  const growth = openDuration._tag === "Decorrelated" ? 3 : 0
  for (let n = 1; n <= 64; n++) {
    const [shortest, longest] = Backoff.range(openDuration, n)
    if (n > 1 && shortest === low[n - 2] && longest === high[n - 2]) break
    low.push(Math.max(1, shortest))
    high.push(Math.max(1, longest))
  }
  return { low, high, growth, longest: Math.max(...high) }
}

/**
 * A circuit breaker. By default one circuit for the service; `by: "key"` keeps one for each key, and the name of a
 * dimension one for each value of it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const policy: {
  <const By extends string>(options: Options & { readonly by: By }): Policy<By>
  (options: Options): Policy<never>
} = (options: Policy["options"]): Policy<never> => {
  specOf(options) // refuses here what makes no sense
  const { probes } = options
  return Policies.make<Policy<never>>({
    kind: "circuitBreaker",
    options: probes === undefined ? options : { ...options, probes: Object.freeze({ ...probes }) },
    open({ label, longest, service, store }) {
      const spec = specOf(this.options)
      if (store.sync === undefined && spec.own.length > 0) {
        const ids = spec.own.map(({ id }) => id).join(", ")
        refuse("CircuitBreaker.policy", "tripPolicy", ids, "has no script on a remote store: it runs in memory only")
      }
      return new CircuitGate(circuit.leased(spec, longest), service, store, label)
    }
  })
}

const specOf = (options: Policy["options"]): CircuitSpec => {
  const module = "CircuitBreaker.policy"
  const open = openings(module, options.openDuration)
  const { probes = {} } = options
  const retryAfter = callback(module, "retryAfter", options.retryAfter)
  const wanted = probes.required === undefined ? undefined : count(module, "probes.required", probes.required, 1, 1_000)
  const permitted = count(module, "probes.permitted", probes.permitted ?? wanted ?? 1, 1, 1_000)
  const required = count(module, "probes.required", wanted ?? permitted, 1, permitted)
  const lease = probes.lease === undefined ? 0 : millis(module, "probes.lease", probes.lease)
  const cap =
    options.maxOpenDuration === undefined
      ? Math.max(open.longest, 300_000)
      : millis(module, "maxOpenDuration", options.maxOpenDuration)
  if (cap < open.longest) {
    refuse(module, "maxOpenDuration", options.maxOpenDuration, "is shorter than the openDuration")
  }
  const { by } = options
  such(module, "by", by, by === undefined || (typeof by === "string" && by !== ""), '"key" or the name of a dimension')
  if (by === undefined && options.maxKeys !== undefined) {
    refuse(module, "maxKeys", options.maxKeys, "does nothing without by: there is one circuit")
  }
  const { own, trips } = tripsOf(module, "tripPolicy", options.tripPolicy)
  return {
    own: own?.trips ?? [],
    kernel: own?.kernelOf(own.trips) ?? breaker,
    policy: {
      trips,
      openLow: open.low,
      openHigh: open.high,
      openGrowth: open.growth,
      openCap: cap,
      permitted,
      required,
      lease
    },
    by,
    keys: {
      maxKeys: by === undefined ? undefined : count(module, "maxKeys", options.maxKeys ?? 100_000),
      overflow: "evict",
      idleTimeToLive:
        options.idleTimeToLive === undefined ? Infinity : millis(module, "idleTimeToLive", options.idleTimeToLive)
    },
    hintOf:
      retryAfter === undefined
        ? undefined
        : (error) => {
            const hint = retryAfter(error)
            return hint._tag === "None" ? undefined : Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(hint.value)))
          }
  }
}

/**
 * The default circuit breaker of an application. Where there are several, make named ones with `Service`.
 *
 * @category services
 * @since 0.1.0
 */
export class CircuitBreaker extends Context.Service<CircuitBreaker, CircuitBreakerService>()(
  "effect-resilience/CircuitBreaker"
) {}

/**
 * A breaker with a memory of its own.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (policy: Policy, id = "effect-resilience/CircuitBreaker"): Effect.Effect<CircuitBreakerService> =>
  circuit.make(id, policy)

/**
 * A breaker whose circuits live in the `Store` of the context, shared with all that use this `id` there.
 *
 * Dies where a service of this id with another policy is open on that store: they would share circuits by mistake. Open
 * means until the scope closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeFromStore = (
  policy: Policy,
  id = "effect-resilience/CircuitBreaker"
): Effect.Effect<CircuitBreakerService, never, Store | Scope.Scope> => circuit.makeFromStore(id, policy)

/**
 * Provides the default breaker.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (policy: Policy): Layer.Layer<CircuitBreaker> => Layer.effect(CircuitBreaker, scoped(make(policy)))

/**
 * Provides the default breaker on a store that others share.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFromStore = (policy: Policy): Layer.Layer<CircuitBreaker, never, Store> =>
  Layer.effect(CircuitBreaker, circuit.makeFromStore("effect-resilience/CircuitBreaker", policy))

/** @category models @since 0.1.0 */
export interface ServiceClass<Self, Id extends string> extends Context.ServiceClass<Self, Id, CircuitBreakerService> {
  readonly policy: Policy
  /** With a memory of its own. */
  readonly layer: Layer.Layer<Self>
  /** On a store that others share. */
  readonly layerFromStore: Layer.Layer<Self, never, Store>
}

/**
 * Makes a named breaker: a tag, a type and its layers in one declaration.
 *
 * @category constructors
 * @since 0.1.0
 */
export const Service =
  <Self>() =>
  <const Id extends string>(id: Id, policy: Policy): ServiceClass<Self, Id> => {
    const tag = Context.Service<Self, CircuitBreakerService>()(id)
    return Object.assign(tag, {
      policy,
      layer: Layer.effect(tag, scoped(circuit.make(id, policy))),
      layerFromStore: Layer.effect(tag, circuit.makeFromStore(id, policy))
    })
  }
