/**
 * The pipeline: limits, circuit breaker, bulkhead, retries and timeouts around an effect, in one defined order.
 *
 *     call     timeout (whole call, waits and backoff included)
 *              circuit breaker -> rate limiter -> bulkhead slot        one admission, all or nothing
 *              retry loop with backoff
 *     attempt  attemptTimeout -> the effect
 *     call     record the outcome, once, in the breaker
 *
 * **Gotchas**
 *
 * A layer value is one state: provide it once, where the application starts (`ManagedRuntime.make(ResilienceLive)`). A
 * layer that is provided anew for each request limits nothing.
 *
 * **Example** (A service for one upstream)
 *
 * ```ts
 * import { Effect, pipe } from "effect"
 * import { CircuitBreaker, RateLimiter, Resilience } from "effect-resilience"
 *
 * class Payments extends Resilience.Service<Payments>()("app/Payments", {
 *   rateLimiter: RateLimiter.tokenBucket({ limit: 10, window: "1 second" }),
 *   circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" })
 * }) {}
 *
 * const program = pipe(Effect.succeed("paid"), Payments.resilient("user:1"))
 *
 * Effect.runPromise(program.pipe(Effect.provide(Payments.layer)))
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { CallOptions as EngineOptions } from "./engine/Pipeline.ts"
import { closing } from "./engine/closing.ts"
import { leftOf } from "./engine/Deadline.ts"
import { isDataFirst } from "./engine/service.ts"
import type { Key } from "./internal/key.ts"
import * as openServices from "./internal/openServices.ts"
import { type AnyCallOptions, readOptions } from "./resilience/callOptions.ts"
import type { Resilient, ResilientDefault } from "./resilience/Resilient.ts"
import { compose, type Composed, composeServices, fromPolicies } from "./resilience/compose.ts"
import { memory } from "./internal/memoryStore.ts"
import type { Control, Inspection, KeyOf, Known, Policies, Raised, Required } from "./Policies.ts"
import type { PolicyService } from "./Policy.ts"
import type { StoreError } from "./Rejection.ts"
import { Store } from "./StoreModel.ts"
import { openStore } from "./internal/openStore.ts"

export type { Control, Inspection } from "./Policies.ts"
export type { AllPolicies, Resilient, ResilientDefault } from "./resilience/Resilient.ts"
export type {
  CallOptions,
  Classified,
  ClassifyOptions,
  EffectOptions,
  NarrowOptions,
  OnceErrorOf,
  OnceOptions,
  RetryOptions
} from "./resilience/callOptions.ts"

/**
 * A pipeline in use.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResilienceService<P> {
  readonly id: string
  readonly resilient: Resilient<P>
  /** What the policies know of a key now. */
  readonly inspect: (key: KeyOf<P>) => Effect.Effect<Inspection<P>, Extract<Raised<P>, StoreError>>
  /** What one does by hand: `control.circuitBreaker.isolate()`. */
  readonly control: Control<P>
}

/**
 * The default pipeline: what `layer` provides, and the top-level `resilient` uses. Its policies are not known to the
 * compiler, so its error is the union of all; where that matters, make a named service.
 *
 * @category services
 * @since 0.1.0
 */
export class Resilience extends Context.Service<Resilience, DefaultService>()("effect-resilience/Resilience") {}

/** @category models @since 0.1.0 */
export interface DefaultService {
  readonly id: string
  readonly resilient: ResilientDefault
  readonly inspect: (key: Key) => Effect.Effect<Inspection, StoreError>
  readonly control: Control
}

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

/**
 * The three forms of `resilient` over one function. Options are validated where they are given, before anything runs.
 * The engine is typed for every policy; which errors and keys are left of that is what `Policies` computes.
 */
const resilientWith = <F>(run: (self: AnyEffect, key: Key, options: EngineOptions) => AnyEffect): F =>
  dual(isDataFirst, (self: AnyEffect, key: Key, options?: AnyCallOptions) => run(self, key, readOptions(options))) as F

const serviceOf = <P>(composed: Composed): ResilienceService<P> => ({
  id: composed.pipeline.id,
  resilient: resilientWith((self, key, options) => composed.run(self, key, options)),
  inspect: composed.inspect as ResilienceService<P>["inspect"], // keys of P are keys, and each policy's type says what it has
  control: composed.control as ResilienceService<P>["control"] // as the policies' types say
})

interface AnyService {
  readonly resilient: (self: AnyEffect, key: Key, options?: AnyCallOptions) => AnyEffect
}

/** The service reads the options again, each time that the effect runs; here they are refused where they are given. */
const throughTag = <F>(tag: Effect.Effect<AnyService, never, unknown>): F =>
  dual(isDataFirst, (self: AnyEffect, key: Key, options?: AnyCallOptions) => {
    readOptions(options)
    return Effect.flatMap(tag, (service) => service.resilient(self, key, options))
  }) as F

/**
 * A pipeline with a memory of its own, without a tag.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const P extends Policies>(
  id: string,
  policies: P & Known<P>
): Effect.Effect<ResilienceService<P>, never, Required<P>> => inMemory(id, policies)

/** What the policies require is read from the context while they are opened. */
const inMemory = <P>(id: string, policies: Policies): Effect.Effect<ResilienceService<P>, never, Required<P>> => {
  const parts = fromPolicies(id, policies)
  return Effect.sync(() => serviceOf<P>(compose(parts, memory)))
}

/** The same, for a layer: it ends with the scope. */
const inLayer = <P>(
  id: string,
  policies: Policies
): Effect.Effect<ResilienceService<P>, never, Scope.Scope | Required<P>> => {
  const parts = fromPolicies(id, policies)
  const made = Effect.sync(() => compose(parts, memory))
  return Effect.flatMap(made, (composed) => Effect.as(closing(composed.pipeline.members), serviceOf<P>(composed)))
}

/**
 * A pipeline whose keyed state lives in the `Store` of the context.
 *
 * Dies where a service of this id with other policies is open on that store: they would share state by mistake. Open means
 * until the scope closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeFromStore = <const P extends Policies>(
  id: string,
  policies: P & Known<P>
): Effect.Effect<ResilienceService<P>, never, Store | Scope.Scope | Required<P>> => inStore(id, policies)

const inStore = <P>(
  id: string,
  policies: Policies
): Effect.Effect<ResilienceService<P>, never, Store | Scope.Scope | Required<P>> => {
  const parts = fromPolicies(id, policies)
  return Effect.flatMap(Store, (store) => {
    const composed = compose(parts, openStore(store, id, parts.store))
    const opened = openServices.open(store, "Resilience", id, composed.spaces)
    return Effect.as(Effect.andThen(opened, closing(composed.pipeline.members)), serviceOf<P>(composed))
  })
}

/**
 * What is left of the time of the attempt that this effect runs in, by the timeouts of the calls around it; `undefined` where
 * none has a timeout. Zero where the time is up and the effect could not be interrupted yet.
 *
 * When: to give a driver its own timeout, or to begin nothing that cannot end. A pipeline inside another one needs it not: its
 * waits and backoffs end by the deadline of the outer call.
 *
 * **Example** (A query with what is left)
 *
 * ```ts
 * import { Duration, Effect } from "effect"
 * import { Resilience } from "effect-resilience"
 *
 * const query = Effect.flatMap(Resilience.remaining, (left) =>
 *   Effect.succeed(`statement_timeout ${left === undefined ? 0 : Duration.toMillis(left)}`))
 *
 * const program = Effect.gen(function* () {
 *   const db = yield* Resilience.make("app/Db", { timeout: "2 seconds" })
 *   console.log(yield* db.resilient(query, "ada")) // statement_timeout 2000
 * })
 *
 * Effect.runPromise(program)
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const remaining: Effect.Effect<Duration.Duration | undefined> = Effect.withFiber((fiber) => {
  const left = leftOf(fiber)
  return Effect.succeed(left === Infinity ? undefined : Duration.millis(Math.max(0, left)))
})

const defaultId = "effect-resilience/Resilience"

/** The default tag's service is the same value, seen with the union of all errors. */
const asDefault = <P>(service: ResilienceService<P>): DefaultService => service as unknown as DefaultService

/**
 * Provides the default pipeline, with a memory of its own.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <const P extends Policies>(policies: P & Known<P>): Layer.Layer<Resilience, never, Required<P>> =>
  Layer.effect(Resilience, Effect.map(inLayer<P>(defaultId, policies), asDefault))

/**
 * Provides the default pipeline on a store that others share. It requires the `Store`, so a forgotten one is a compile
 * error.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFromStore = <const P extends Policies>(
  policies: P & Known<P>
): Layer.Layer<Resilience, never, Store | Required<P>> =>
  Layer.effect(Resilience, Effect.map(inStore<P>(defaultId, policies), asDefault))

// oxlint-disable-next-line typescript/no-explicit-any -- any tag: `PolicyTag` checks its service
type Tag = Context.Key<any, any>
type PolicyTag<T> =
  T extends Context.Key<infer _Id, infer Service> ? (Service extends PolicyService ? T : "not a policy service") : never

/**
 * Provides the default pipeline from policy services that are layers of their own, which a test can swap one by one.
 * At most one of each kind.
 *
 * **Example** (Three layers)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { CircuitBreaker, RateLimiter, Resilience, Retry } from "effect-resilience"
 *
 * const ResilienceLive = Resilience.layerFrom([RateLimiter.RateLimiter, CircuitBreaker.CircuitBreaker, Retry.Retry]).pipe(
 *   Layer.provide([
 *     RateLimiter.layer(RateLimiter.tokenBucket({ limit: 100, window: "1 minute" })),
 *     CircuitBreaker.layer(CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" })),
 *     Retry.layer(Retry.policy({ maxAttempts: 3 }))
 *   ])
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFrom = <const Tags extends ReadonlyArray<Tag>>(
  tags: Tags & { readonly [I in keyof Tags]: PolicyTag<Tags[I]> },
  options: Pick<Policies, "timeout" | "attemptTimeout" | "admission" | "classify"> = {}
): Layer.Layer<
  Resilience,
  never,
  { readonly [I in keyof Tags]: Tags[I] extends Context.Key<infer Id, infer _Service> ? Id : never }[number]
> =>
  Layer.effect(
    Resilience,
    Effect.map(
      // every tag is an Effect of its service; the tuple's type was checked by `PolicyTag`
      Effect.all(tags as ReadonlyArray<unknown> as ReadonlyArray<Effect.Effect<PolicyService>>),
      (services) => asDefault(serviceOf(composeServices(defaultId, services, options)))
    )
  )

/**
 * The class of a named service.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceClass<Self, Id extends string, P extends Policies> extends Context.ServiceClass<
  Self,
  Id,
  ResilienceService<P>
> {
  readonly policies: P
  /** With a memory of its own. */
  readonly layer: Layer.Layer<Self, never, Required<P>>
  /** On a store that others share. */
  readonly layerFromStore: Layer.Layer<Self, never, Store | Required<P>>
  readonly resilient: Resilient<P, Self>
  /** What the policies know of a key now. */
  readonly inspect: (key: KeyOf<P>) => Effect.Effect<Inspection<P>, Extract<Raised<P>, StoreError>, Self>
}

type IdOf<Self> = [Self] extends [never] ? "name the class: Resilience.Service<Payments>()" : string

/**
 * Makes a named service: a tag, a type, its layers and its `resilient` in one declaration. Its error type holds exactly
 * what its policies can raise.
 *
 * @category constructors
 * @since 0.1.0
 */
export const Service =
  <Self = never>() =>
  <const Id extends IdOf<Self>, const P extends Policies>(
    id: Id,
    policies: P & Known<P>
  ): ServiceClass<Self, Id, P> => {
    const tag = Context.Service<Self, ResilienceService<P>>()(id)
    return Object.assign(tag, {
      policies: policies as P, // `Known` is what P is, where it compiles
      layer: Layer.effect(tag, inLayer<P>(id, policies)),
      layerFromStore: Layer.effect(tag, inStore<P>(id, policies)),
      resilient: throughTag<Resilient<P, Self>>(tag as never), // the same service, seen by the engine
      inspect: (key: KeyOf<P>) => Effect.flatMap(tag, (service) => service.inspect(key))
    })
  }

/**
 * Runs an effect through the default pipeline, for a key: `pipe(fetchUser("123"), resilient("user:123"))`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const resilient: ResilientDefault<Resilience> = throughTag(Resilience as never) // the same service, seen by the engine
