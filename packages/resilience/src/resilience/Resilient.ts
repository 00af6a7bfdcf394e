/**
 * The types of `resilient`. They are exported from `Resilience`.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Bulkhead from "../Bulkhead.ts"
import type * as CircuitBreaker from "../CircuitBreaker.ts"
import type { Key } from "../internal/key.ts"
import type { ErrorOf, KeyOf, RetriedBy, TakenBy } from "../Policies.ts"
import type * as RateLimiter from "../RateLimiter.ts"
import type * as Retry from "../Retry.ts"
import type {
  CallOptions,
  ClassifyOptions,
  EffectOptions,
  NarrowOptions,
  OnceErrorOf,
  OnceOptions
} from "./callOptions.ts"

/**
 * Runs effects through a pipeline. Data-first, data-last, and data-last with options that see the effect's types. With
 * `retry: false` there is one attempt, of any error.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resilient<P, Requires = never> {
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    key: KeyOf<P>,
    options: OnceOptions<P, A, E>
  ): Effect.Effect<A, OnceErrorOf<P, E>, R | Requires>
  <A extends TakenBy<P>, E extends RetriedBy<P>, R>(
    self: Effect.Effect<A, E, R>,
    key: KeyOf<P>,
    options?: EffectOptions<P, A, E>
  ): Effect.Effect<A, ErrorOf<P, E>, R | Requires>
  <A extends TakenBy<P>, E extends RetriedBy<P>, R>(
    key: KeyOf<P>,
    options: ClassifyOptions<P, A, E>
  ): (self: Effect.Effect<A, E, R>) => Effect.Effect<A, ErrorOf<P, E>, R | Requires>
  <A extends TakenBy<P>, E extends RetriedBy<P>, R>(
    key: KeyOf<P>,
    options: NarrowOptions<P, A, E>
  ): (self: Effect.Effect<A, E, R>) => Effect.Effect<A, ErrorOf<P, E>, R | Requires>
  <A, E, R>(
    key: KeyOf<P>,
    options: OnceOptions<P, A, E>
  ): (self: Effect.Effect<A, E, R>) => Effect.Effect<A, OnceErrorOf<P, E>, R | Requires>
  (
    key: KeyOf<P>,
    options?: CallOptions
  ): <A extends TakenBy<P>, E extends RetriedBy<P>, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, ErrorOf<P, E>, R | Requires>
}

/** Every policy, so that its errors are the union of all. @category utility types @since 0.1.0 */
export interface AllPolicies {
  readonly timeout: Duration.Input
  readonly circuitBreaker: CircuitBreaker.Policy<never>
  readonly rateLimiter: RateLimiter.AnyLimit
  readonly bulkhead: Bulkhead.Policy
  readonly retry: Retry.AnyPolicy<unknown, Retry.OnExhausted>
  readonly store: { readonly onError: "fail" }
}

/** Like `Resilient`, for whatever policies and key the default layer has. @category models @since 0.1.0 */
export interface ResilientDefault<Requires = never> {
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    key: Key,
    options: OnceOptions<AllPolicies, A, E>
  ): Effect.Effect<A, OnceErrorOf<AllPolicies, E>, R | Requires>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    key: Key,
    options?: EffectOptions<AllPolicies, A, E>
  ): Effect.Effect<A, ErrorOf<AllPolicies, E>, R | Requires>
  <A, E, R>(
    key: Key,
    options: ClassifyOptions<AllPolicies, A, E>
  ): (self: Effect.Effect<A, E, R>) => Effect.Effect<A, ErrorOf<AllPolicies, E>, R | Requires>
  <A, E, R>(
    key: Key,
    options: NarrowOptions<AllPolicies, A, E>
  ): (self: Effect.Effect<A, E, R>) => Effect.Effect<A, ErrorOf<AllPolicies, E>, R | Requires>
  <A, E, R>(
    key: Key,
    options: OnceOptions<AllPolicies, A, E>
  ): (self: Effect.Effect<A, E, R>) => Effect.Effect<A, OnceErrorOf<AllPolicies, E>, R | Requires>
  (
    key: Key,
    options?: CallOptions
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, ErrorOf<AllPolicies, E>, R | Requires>
}
