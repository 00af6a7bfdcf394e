/**
 * The policies that a service composes, and what they do to the types of the effects it runs.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import type * as Bulkhead from "./Bulkhead.ts"
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import type { Outcome } from "./Outcome.ts"
import type { AnyPolicy, Policy, RequiredBy, TypeId } from "./Policy.ts"
import type * as RateLimiter from "./RateLimiter.ts"
import type { RetryExhausted, StoreError, TimeoutExceeded } from "./Rejection.ts"
import type * as Retry from "./Retry.ts"

/**
 * What a service may be made of. Every part is optional, and their order here means nothing: the pipeline has one order.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policies {
  /** For the whole call, waits and backoff included. A failure, if an attempt had started. */
  readonly timeout?: Duration.Input | undefined
  /** For each attempt. A failure, and worth another attempt. */
  readonly attemptTimeout?: Duration.Input | undefined
  readonly circuitBreaker?: CircuitBreaker.Policy | undefined
  readonly rateLimiter?: RateLimiter.Policy | undefined
  readonly bulkhead?: Bulkhead.Policy<string> | undefined
  readonly retry?: Retry.AnyPolicy<never, Retry.OnExhausted, never> | undefined
  /** Your own policies, under labels of your choice: `inspect` and `control` have them under the same. */
  readonly policies?: { readonly [label: string]: AnyPolicy } | undefined
  /**
   * Whether breaker and limiter are asked once for the call (default), or again for each attempt: then each retry pays,
   * and each attempt is recorded.
   */
  readonly admission?: "call" | "attempt" | undefined
  /**
   * What an exit says about the dependency, where a call does not say; `undefined` for the default, `Outcome.fromExit`. It is
   * asked about timeouts, too: one that answers "ignored" for all that it does not know makes a breaker blind to a dependency
   * that hangs, so answer `undefined` there.
   */
  readonly classify?: ((exit: Exit.Exit<unknown, unknown>) => Outcome | undefined) | undefined
  /** What a failure of a store elsewhere does. Means nothing to the memory store. */
  readonly store?:
    | {
        /** `local` (default): decide in this process; `allow`: let pass; `fail`: `StoreError`. */
        readonly onError?: "local" | "allow" | "fail" | undefined
        /** For each question to the store. Default: "1 second". */
        readonly deadline?: Duration.Input | undefined
        /**
         * With `local`: the part of each limit that this process lets through by itself, above 0 and at most 1. Of 100 a
         * minute, 0.25 is 25 a minute. Rounded down to whole units, at least one; a burst has the same share, and a call
         * that costs more than it is refused. Circuits have no share. With as many processes as `1 / localShare`, the
         * limit holds in an outage too. Default: 1, so that no call is refused for an outage alone.
         */
        readonly localShare?: number | undefined
      }
    | undefined
}

/**
 * Names what is not a policy, in the compiler's message.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Known<P> = {
  readonly [K in keyof P]: K extends "policies"
    ? Labelled<P[K]>
    : K extends keyof Policies
      ? Said<P[K]>
      : `'${K & string}' is not a policy`
}

/** A label is not one of the names that have a field: `inspect` and `control` have both under it. */
type Labelled<Own> = {
  readonly [K in keyof Own]: K extends keyof Policies ? `'${K & string}' has a field of its own` : Own[K]
}

/** A policy does what its options say: a copy that says something beside them would not do it. */
type Said<V> = V extends AnyPolicy
  ? [keyof V & keyof NumbersOf<V["options"]>] extends [never]
    ? V
    : V extends RateLimiter.Limit<string | undefined> | Retry.Policy<never, Retry.OnExhausted, never>
      ? V
      : `'${keyof V & keyof NumbersOf<V["options"]> & string}' is not read here: write it into options`
  : V
type NumbersOf<O> = { readonly [K in keyof O | "capacity"]: unknown }

/** The policies of a configuration by their labels, those of `policies` among them. */
type Labels<P> = { readonly [K in keyof P as K extends "policies" ? never : K]: P[K] } & Own<P>
type Own<P> = P extends { readonly policies: infer O } ? O : unknown
type PolicyLabels<P> = { [K in keyof P]-?: NonNullable<P[K]> extends AnyPolicy ? K : never }[keyof P]
type Of<P> = Each<Labels<P>>
type Each<L> = L extends unknown ? NonNullable<L[PolicyLabels<L>]> : never

type RaisesOf<V> = V extends Policy<infer E, never, string, unknown, unknown, unknown> ? E : never
type HandlesOf<V> = V extends { readonly [TypeId]: { readonly handles: (_: infer H) => void } } ? H : never
type DimensionOf<V> = V extends Policy<unknown, never, infer D, unknown, unknown, unknown> ? D : never
type InspectsOf<V> = V extends Policy<unknown, never, string, infer I, unknown, unknown> ? I : undefined
type ControlsOf<V> = V extends undefined
  ? undefined
  : V extends Policy<unknown, never, string, unknown, infer C, unknown>
    ? C
    : {}
type WrapsOf<V> =
  V extends Policy<unknown, never, string, unknown, unknown, infer W> ? (true extends W ? true : never) : never

type Part<P, K extends keyof Policies> = K extends keyof P ? NonNullable<P[K]> : never
type IfAny<X, Then> = [X] extends [never] ? never : Then
type FailsWithStore<S> = S extends { readonly onError: infer OnError }
  ? "fail" extends OnError
    ? StoreError
    : never
  : never

/**
 * What the policies themselves can raise: exactly what is configured.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Raised<P> =
  // through `infer`, a hover shows the union and not this alias
  [
    IfAny<Part<P, "timeout" | "attemptTimeout">, TimeoutExceeded> | RaisesOf<Of<P>> | FailsWithStore<Part<P, "store">>
  ] extends [infer Errors]
    ? Errors
    : never

/**
 * The services that the policies require: the layer of a service that has them requires these, too. A configuration that is
 * typed as `Policies` does not say which; its layer dies where one is missing.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Required<P> = RequiredBy<Of<P>>

/**
 * The errors of an effect that fails with `E`, run under the policies.
 *
 * @category utility types
 * @since 0.1.0
 */
export type ErrorOf<P, E> = [
  E | Raised<P> | IfAny<WrapsOf<Of<P>>, Exhausted<E | Extract<Raised<P>, TimeoutExceeded>>>
] extends [infer Errors]
  ? Errors
  : never

/** Where nothing can fail, nothing can be exhausted. */
type Exhausted<E> = [E] extends [never] ? never : RetryExhausted<E>

/** The errors that every policy knows how to decide about. @category utility types @since 0.1.0 */
export type RetriedBy<P> = [Of<P>] extends [never] ? unknown : All<Of<P>>

/** What each of the policies can judge: in a box, so that a union of errors is not taken apart. */
type All<V> = (V extends unknown ? (_: { readonly handled: HandlesOf<V> }) => void : never) extends (
  _: infer Boxes
) => void
  ? Boxes["handled" & keyof Boxes]
  : never

/**
 * The values that every policy can judge: a `retryIf` knows what it is asked about.
 *
 * @category utility types
 * @since 0.1.0
 */
export type TakenBy<P> = [Of<P>] extends [never] ? unknown : AllTaken<Of<P>>

type AllTaken<V> = (V extends unknown ? (_: { readonly taken: TakesOf<V> }) => void : never) extends (
  _: infer Boxes
) => void
  ? Boxes["taken" & keyof Boxes]
  : never
/** Of a policy that only says that it is one, any value. */
type TakesOf<V> = V extends { readonly [TypeId]: { readonly values: (_: infer A) => void } }
  ? [A] extends [never]
    ? unknown
    : A
  : unknown

/**
 * The key that the policies ask for: a string, or a string for each dimension that one of them looks at.
 *
 * @category utility types
 * @since 0.1.0
 */
export type KeyOf<P> = [DimensionOf<Of<P>>] extends [never] ? string : { readonly [D in DimensionOf<Of<P>>]: string }

type Flat<T> = { readonly [K in keyof T]: T[K] }

/**
 * What the policies know of a key, by label. A policy of ours that is not configured is `undefined`, as all are in a service
 * that a test has put in the place of this one; one of your own that tells nothing has no field.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Inspection<P = Policies> = Flat<
  {
    readonly [K in "rateLimiter" | "circuitBreaker" | "bulkhead"]: K extends keyof P
      ? InspectsOf<P[K]> | undefined
      : undefined
  } & {
    readonly [K in keyof Own<P> as [InspectsOf<Own<P>[K]>] extends [undefined] ? never : K]:
      | InspectsOf<Own<P>[K]>
      | undefined
  }
>

/**
 * What one does by hand to the policies, by label. A policy without anything of the kind has no field.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Control<P = Policies> = {
  readonly [K in keyof Labels<P> as {} extends ControlsOf<Labels<P>[K]> ? never : K]: ControlsOf<Labels<P>[K]>
}
