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
  readonly bulkhead?: Bulkhead.Policy | undefined
  readonly retry?: Retry.Policy<never, Retry.OnExhausted> | undefined
  /**
   * Whether breaker and limiter are asked once for the call (default), or again for each attempt: then each retry pays,
   * and each attempt is recorded.
   */
  readonly admission?: "call" | "attempt" | undefined
  /** What an exit says about the dependency, where a call does not say. Default: `Outcome.fromExit`. */
  readonly classify?: ((exit: Exit.Exit<unknown, unknown>) => Outcome) | undefined
  /** What a failure of a store elsewhere does. Means nothing to the memory store. */
  readonly store?: {
    /** `local` (default): decide in this process; `allow`: let pass; `fail`: `StoreError`. */
    readonly onError?: "local" | "allow" | "fail" | undefined
    /** For each question to the store. Default: "1 second". */
    readonly deadline?: Duration.Input | undefined
  } | undefined
}

/** Names what is not a policy, in the compiler's message. @category utility types @since 0.1.0 */
export type Known<P> = { readonly [K in keyof P]: K extends keyof Policies ? P[K] : `'${K & string}' is not a policy` }

/** Turns an alias into what it stands for, so that a hover shows a plain union. */
type Shown<X> = X extends infer Y ? Y : never

type Part<P, K extends keyof Policies> = K extends keyof P ? NonNullable<P[K]> : never

/**
 * What the policies themselves can raise: exactly what is configured.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Raised<P> = Shown<
  | ([Part<P, "timeout"> | Part<P, "attemptTimeout">] extends [never] ? never : TimeoutExceeded)
  | RateLimiter.ErrorOf<Part<P, "rateLimiter">>
  | ([Part<P, "circuitBreaker">] extends [never] ? never : CircuitOpen)
  | ([Part<P, "bulkhead">] extends [never] ? never : BulkheadFull)
  | ("fail" extends (Part<P, "store"> extends { readonly onError?: infer OnError } ? OnError : never) ? StoreError : never)
>

/**
 * The errors of an effect that fails with `E`, run under the policies.
 *
 * @category utility types
 * @since 0.1.0
 */
export type ErrorOf<P, E> = Shown<
  | E
  | Raised<P>
  | (Part<P, "retry"> extends Retry.Policy<never, infer Exhausted>
    ? "wrap" extends Exhausted ? [E | Raised<P>] extends [never] ? never : RetryExhausted<E | Extract<Raised<P>, TimeoutExceeded>> : never
    : never)
>

/** The errors that the retry policy knows how to decide about. @category utility types @since 0.1.0 */
export type RetriedBy<P> = [Part<P, "retry">] extends [never] ? unknown
  : Part<P, "retry"> extends Retry.Policy<infer E, Retry.OnExhausted> ? E : unknown

type Dimensions<P> =
  | (Part<P, "rateLimiter"> extends RateLimiter.Every<infer D> ? D : never)
  | Exclude<CircuitBreaker.ByOf<Part<P, "circuitBreaker">>, "key">

/**
 * The key that the policies ask for: a string, or a string for each dimension that a limit or circuit looks at.
 *
 * @category utility types
 * @since 0.1.0
 */
export type KeyOf<P> = [Dimensions<P>] extends [never] ? string : { readonly [D in Dimensions<P>]: string }
