/**
 * Layers for tests of code that uses a pipeline: one that lets everything through, and one that refuses everything.
 *
 * Most tests need neither: the layers of production run in virtual time, and a policy can be made to refuse (see
 * docs/guides/testing.md). These are for tests that are not about policies, and for what is hard to bring about.
 *
 * **Example** (What users see while the circuit is open)
 *
 * ```ts
 * import { Effect, pipe } from "effect"
 * import { CircuitBreaker, Rejection, Resilience } from "effect-resilience"
 * import { TestResilience } from "effect-resilience-testing"
 *
 * class Payments extends Resilience.Service<Payments>()("app/Payments", {
 *   circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" })
 * }) {}
 *
 * const open = new Rejection.CircuitOpen({ key: "app/Payments", state: "Open", retryAfterMillis: 30_000 })
 * const program = pipe(Effect.succeed("paid"), Payments.resilient("user:1"), Effect.flip)
 *
 * Effect.runPromise(program.pipe(Effect.provide(TestResilience.layerReject(Payments, open))))
 * ```
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type { ErrorOf, KeyOf, Policies } from "effect-resilience/Policies"
import type { RetryExhausted } from "effect-resilience/Rejection"
import * as Resilience from "effect-resilience/Resilience"

/**
 * The class of a named service, or the default `Resilience` tag.
 *
 * @category models
 * @since 0.1.0
 */
// oxlint-disable-next-line typescript/no-explicit-any -- any tag that provides a pipeline; `policies` says of which policies
export type AnyService = Context.Key<any, { readonly resilient: unknown; readonly inspect: unknown }> & {
  readonly policies?: Policies
}

type IdOf<S> = S extends Context.Key<infer Id, infer _Service> ? Id : never

type PoliciesOf<S> = S extends { readonly policies: infer P } ? P : Resilience.AllPolicies

/** `string`, or a record where the service's policies say so. @category utility types @since 0.1.0 */
export type ServiceKey<S> = S extends { readonly policies: infer P }
  ? KeyOf<P>
  : Parameters<Resilience.DefaultService["inspect"]>[0]

/**
 * What the policies of a service can raise. A `RetryExhausted` holds no `errors`: those would be a call's own.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Raisable<S> =
  // through `infer`, a message shows the union and not this alias
  [Own<ErrorOf<PoliciesOf<S>, SomeError>>] extends [infer Errors]
    ? [Errors] extends [never]
      ? `${IdentifierOf<S>} has no policy that could refuse`
      : Errors
    : never

/** Retries wrap the errors of a call, so there must be one. */
interface SomeError {
  readonly _tag: "SomeError"
}
type Own<E> = E extends SomeError ? never : E extends RetryExhausted<unknown> ? RetryExhausted<never> : E
type IdentifierOf<S> = S extends { readonly key: infer Id extends string } ? Id : string

type AnyEffect = Effect.Effect<unknown, unknown, unknown>
type Bare = Resilience.ResilienceService<{}>

/** A pipeline without policies: options are validated and events emitted as in production. */
const bare = (service: AnyService): Effect.Effect<Bare> => Resilience.make(service.key, {})

/** The service's own types are those of more policies, which decide nothing here. */
const provide = <S extends AnyService>(service: S, made: Effect.Effect<Bare>): Layer.Layer<IdOf<S>> =>
  Layer.effect(service as Context.Key<IdOf<S>, unknown>, made)

/**
 * Provides a service whose `resilient` runs each effect as it is: no limit, no circuit, no wait, no retry, no timeout.
 *
 * Options are checked as ever, and keys by the compiler. `inspect` finds nothing configured.
 *
 * **Example** (A test that is not about policies)
 *
 * ```ts
 * import { Effect, pipe } from "effect"
 * import { Bulkhead, Resilience } from "effect-resilience"
 * import { TestResilience } from "effect-resilience-testing"
 *
 * class Mails extends Resilience.Service<Mails>()("app/Mails", { bulkhead: Bulkhead.policy({ maxConcurrent: 2 }) }) {}
 *
 * const program = pipe(Effect.succeed("sent"), Mails.resilient("ada"))
 *
 * Effect.runPromise(program.pipe(Effect.provide(TestResilience.layerPassthrough(Mails))))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerPassthrough = <S extends AnyService>(service: S): Layer.Layer<IdOf<S>> =>
  provide(service, bare(service))

/**
 * Provides a service whose `resilient` refuses each call with `rejection`, and never runs the effect.
 *
 * Only what the service's policies can raise compiles, so a test cannot ask for what production never sees. For the
 * default `Resilience` tag, whose policies the compiler does not know, that is everything.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerReject = <S extends AnyService>(
  service: S,
  rejection: Raisable<S> | ((key: ServiceKey<S>) => Raisable<S>)
): Layer.Layer<IdOf<S>> => {
  // no rejection is a function
  const refusal = (typeof rejection === "function" ? rejection : () => rejection) as (key: ServiceKey<S>) => Raisable<S>
  const refused = Effect.map(bare(service), (passthrough): Bare => {
    const resilient = (_self: AnyEffect, key: ServiceKey<S>, options?: Resilience.CallOptions) => {
      passthrough.resilient(Effect.void, "", options) // its options are refused where they are given
      return Effect.suspend(() => Effect.fail(refusal(key)))
    }
    return {
      ...passthrough,
      // every form of it, none of which succeeds
      resilient: dual((args) => Effect.isEffect(args[0]), resilient) as unknown as Bare["resilient"]
    }
  })
  return provide(service, refused)
}
