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
import type * as RateLimiter from "./RateLimiter.ts"
import type { BulkheadFull, CircuitOpen, RetryExhausted, StoreError, TimeoutExceeded } from "./Rejection.ts"
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
  readonly retry?: Retry.Policy<never, Retry.OnExhausted> | undefined
  /**
   * Whether breaker and limiter are asked once for the call (default), or again for each attempt: then each retry pays,
   * and each attempt is recorded.
   */
  readonly admission?: "call" | "attempt" | undefined
  /** What an exit says about the dependency, where a call does not say. Default: `Outcome.fromExit`. */
  readonly classify?: ((exit: Exit.Exit<unknown, unknown>) => Outcome) | undefined
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

/** Names what is not a policy, in the compiler's message. @category utility types @since 0.1.0 */
export type Known<P> = { readonly [K in keyof P]: K extends keyof Policies ? P[K] : `'${K & string}' is not a policy` }

/** `never` where it is not configured: the helpers below distribute over it, and add nothing. */
type Part<P, K extends keyof Policies> = K extends keyof P ? NonNullable<P[K]> : never

type IfAny<X, Then> = [X] extends [never] ? never : Then
type FailsWithStore<S> = S extends { readonly onError: infer OnError }
  ? "fail" extends OnError
    ? StoreError
    : never
  : never
type WrapsErrors<R> = R extends Retry.Policy<never, infer Exhausted> ? ("wrap" extends Exhausted ? true : never) : never
type RetriedErrors<R> = R extends Retry.Policy<infer E, Retry.OnExhausted> ? E : never
type LimitDimensions<L> = L extends RateLimiter.Every<infer D> ? D : never

/**
 * What the policies themselves can raise: exactly what is configured.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Raised<P> =
  // through `infer`, a hover shows the union and not this alias
  [
    | IfAny<Part<P, "timeout" | "attemptTimeout">, TimeoutExceeded>
    | RateLimiter.ErrorOf<Part<P, "rateLimiter">>
    | IfAny<Part<P, "circuitBreaker">, CircuitOpen>
    | IfAny<Part<P, "bulkhead">, BulkheadFull>
    | FailsWithStore<Part<P, "store">>
  ] extends [infer Errors]
    ? Errors
    : never

/**
 * The errors of an effect that fails with `E`, run under the policies.
 *
 * @category utility types
 * @since 0.1.0
 */
export type ErrorOf<P, E> = [
  E | Raised<P> | IfAny<WrapsErrors<Part<P, "retry">>, Exhausted<E | Extract<Raised<P>, TimeoutExceeded>>>
] extends [infer Errors]
  ? Errors
  : never

/** Where nothing can fail, nothing can be exhausted. */
type Exhausted<E> = [E] extends [never] ? never : RetryExhausted<E>

/** The errors that the retry policy knows how to decide about. @category utility types @since 0.1.0 */
export type RetriedBy<P> = [Part<P, "retry">] extends [never] ? unknown : RetriedErrors<Part<P, "retry">>

type Dimensions<P> =
  | LimitDimensions<Part<P, "rateLimiter">>
  | Exclude<CircuitBreaker.ByOf<Part<P, "circuitBreaker">> | Bulkhead.ByOf<Part<P, "bulkhead">>, "key">

/**
 * The key that the policies ask for: a string, or a string for each dimension that a policy looks at.
 *
 * @category utility types
 * @since 0.1.0
 */
export type KeyOf<P> = [Dimensions<P>] extends [never] ? string : { readonly [D in Dimensions<P>]: string }
