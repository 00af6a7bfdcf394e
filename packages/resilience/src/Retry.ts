/**
 * Runs a call again when it failed.
 *
 * A `Policy` is a validated value. `execute` runs one effect through it; inside `Resilience` the same value drives the
 * retry loop of the pipeline, which also knows the circuit, the deadline and the bulkhead.
 *
 * Only typed failures are retried: a defect is a bug and an interruption is an order, and neither gets better by
 * repeating. Rejections of this library (`RateLimitExceeded`, `CircuitOpen` and so on) are not retried either, unless
 * the policy says `retryRejections`.
 *
 * **Example** (Three attempts, the last error as it was)
 *
 * ```ts
 * import { Data, Duration, Effect, Option } from "effect"
 * import { Backoff, Retry } from "effect-resilience"
 *
 * class HttpError extends Data.TaggedError("HttpError")<{ readonly status: number; readonly retryAfter?: number }> {}
 * declare const fetchUser: Effect.Effect<string, HttpError>
 *
 * const patient = Retry.policy({
 *   maxAttempts: 3,
 *   backoff: Backoff.exponential({ base: "500 millis" }),
 *   while: (error: HttpError) => error.status === 429 || error.status >= 500,
 *   retryAfter: (error) => Option.map(Option.fromUndefinedOr(error.retryAfter), Duration.seconds)
 * })
 *
 * const user = fetchUser.pipe(Retry.execute(patient)) // Effect<string, HttpError>
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import { memory } from "./internal/memoryStore.ts"
import { envOf, isDataFirst, single } from "./engine/service.ts"
import { buildContext } from "./internal/buildContext.ts"
import type { PolicyService, TypeId } from "./Policy.ts"
import type { AnyPolicy, Failure, OnExhausted } from "./retry/RetryPolicy.ts"

export {
  type AnyPolicy,
  type BudgetOption,
  type BudgetTag,
  type Driver,
  type Failure,
  fromSchedule,
  type OnExhausted,
  type Options,
  policy,
  type Policy
} from "./retry/RetryPolicy.ts"

const defaultId = "effect-resilience/Retry"

/** What a policy may require: the budget that its retries share. */
interface MayRequire<out R> {
  readonly [TypeId]: { readonly requires?: R }
}

/** Runs effects through a policy alone. The key names the call in events. */
type Run<PE, Exhausted extends OnExhausted> = <A, E extends PE, R>(
  self: Effect.Effect<A, E, R>,
  key: string
) => Effect.Effect<A, Failure<E, Exhausted>, R>

const runOf = <PE, Exhausted extends OnExhausted>(
  id: string,
  policy: AnyPolicy<PE, Exhausted, never>,
  context?: Context.Context<never>
): { readonly members: PolicyService["members"]; readonly run: Run<PE, Exhausted> } => {
  const member = policy.open({ ...envOf(id, "retry", memory), context })
  // the loop asks the policy about the errors of the effect only; `Failure` says what it makes of them
  return { members: [member], run: single<never>(id, member, memory) as Run<PE, Exhausted> }
}

/** Whether its budget is a service. */
const hasTag = ({ options }: AnyPolicy<never, OnExhausted, never>): boolean => Context.isKey(options.budget)

/**
 * Runs one effect through a policy alone. Needs no service, other than a budget that the policy names: a retry keeps nothing
 * from one call to the next. A `RetryBudget.policy` is one for all that runs through the policy so.
 *
 * A success costs no timer. Between attempts it sleeps on Effect's `Clock`, and an interruption ends it there and then.
 *
 * @category combinators
 * @since 0.1.0
 */
export const execute: {
  <PE, Exhausted extends OnExhausted, PA, B = never>(
    policy: AnyPolicy<PE, Exhausted, PA> & MayRequire<B>
  ): <A extends PA, E extends PE, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, Failure<E, Exhausted>, R | B>
  <A extends PA, E extends PE, R, PE, Exhausted extends OnExhausted, PA, B = never>(
    self: Effect.Effect<A, E, R>,
    policy: AnyPolicy<PE, Exhausted, PA> & MayRequire<B>
  ): Effect.Effect<A, Failure<E, Exhausted>, R | B>
} = dual(
  2,
  <A extends PA, E extends PE, R, PE, Exhausted extends OnExhausted, PA>(
    self: Effect.Effect<A, E, R>,
    policy: AnyPolicy<PE, Exhausted, PA>
  ): Effect.Effect<A, Failure<E, Exhausted>, R> =>
    hasTag(policy)
      ? Effect.contextWith((context: Context.Context<R>) => runOf(defaultId, policy, context).run(self, defaultId))
      : runOf(defaultId, policy).run(self, defaultId)
)

/**
 * `execute` of a service: data-first and data-last, under the service's own policy. `key` names the call in
 * `RetryExhausted` and in events; without one it is the service's id.
 *
 * @category models
 * @since 0.1.0
 */
export interface Execute<E, Exhausted extends OnExhausted, Requires = never> {
  (
    key?: string
  ): <A, E2 extends E, R>(self: Effect.Effect<A, E2, R>) => Effect.Effect<A, Failure<E2, Exhausted>, R | Requires>
  <A, E2 extends E, R>(
    self: Effect.Effect<A, E2, R>,
    key?: string
  ): Effect.Effect<A, Failure<E2, Exhausted>, R | Requires>
}

/**
 * A retry policy as a service, so that the environment chooses it and a test can swap it.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryService<E, Exhausted extends OnExhausted> extends PolicyService {
  readonly policy: AnyPolicy<E, Exhausted>
  readonly execute: Execute<E, Exhausted>
}

/** `execute` from a function of effect and key. Without a key, the service's id names the call. */
const executeWith = <E, Exhausted extends OnExhausted, Requires>(
  id: string,
  f: <A, E2 extends E, R>(
    self: Effect.Effect<A, E2, R>,
    key: string
  ) => Effect.Effect<A, Failure<E2, Exhausted>, R | Requires>
): Execute<E, Exhausted, Requires> =>
  dual(isDataFirst, <A, E2 extends E, R>(self: Effect.Effect<A, E2, R>, key: string = id) => f(self, key))

const service = <E, Exhausted extends OnExhausted>(
  id: string,
  policy: AnyPolicy<E, Exhausted>,
  context?: Context.Context<never>
): RetryService<E, Exhausted> => {
  const { members, run } = runOf(id, policy, context)
  return { policy, members, store: undefined, execute: executeWith<E, Exhausted, never>(id, run) }
}

/** A policy with a budget is opened where its service is built; one without keeps nothing. */
const made = <E, Exhausted extends OnExhausted>(
  id: string,
  policy: AnyPolicy<E, Exhausted>
): Effect.Effect<RetryService<E, Exhausted>> => {
  const plain = service(id, policy) // refuses here what makes no sense
  return policy.options.budget === undefined
    ? Effect.succeed(plain)
    : Effect.sync(() => service(id, policy, buildContext()))
}

/**
 * The default retry service, for a program that has one policy. It takes calls of every error, so its own error is that
 * of both `onExhausted`; `Retry.Service` makes services whose types are exact.
 *
 * @category services
 * @since 0.1.0
 */
export class Retry extends Context.Service<Retry, RetryService<unknown, OnExhausted>>()(defaultId) {
  static readonly execute: Execute<unknown, OnExhausted, Retry> = executeWith(defaultId, (self, key) =>
    Effect.flatMap(Retry, (retry) => retry.execute(self, key))
  )
}

/**
 * A retry service around a policy, to provide under a tag by hand.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <E, Exhausted extends OnExhausted, B = never>(
  policy: AnyPolicy<E, Exhausted> & MayRequire<B>
): Effect.Effect<RetryService<E, Exhausted>, never, B> => made(defaultId, policy)

/**
 * Provides the default service, `Retry`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <B = never>(
  policy: AnyPolicy<unknown, OnExhausted> & MayRequire<B>
): Layer.Layer<Retry, never, B> => Layer.effect(Retry, made(defaultId, policy))

/**
 * What `Service` makes: a tag with its layer and `execute`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceClass<
  Self,
  Id extends string,
  E,
  Exhausted extends OnExhausted,
  B = never
> extends Context.ServiceClass<Self, Id, RetryService<E, Exhausted>> {
  readonly layer: Layer.Layer<Self, never, B>
  readonly execute: Execute<E, Exhausted, Self>
}

/**
 * Makes a named retry service.
 *
 * **Example** (A policy of its own for one upstream)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Backoff, Retry } from "effect-resilience"
 *
 * class Patient extends Retry.Service<Patient>()(
 *   "app/Patient",
 *   Retry.policy({ maxAttempts: 6, backoff: Backoff.exponential({ base: "1 second" }) })
 * ) {}
 *
 * declare const report: Effect.Effect<string, "busy">
 * const program = report.pipe(Patient.execute("daily"), Effect.provide(Patient.layer))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export const Service =
  <Self>() =>
  <const Id extends string, E, Exhausted extends OnExhausted, B = never>(
    id: Id,
    policy: AnyPolicy<E, Exhausted> & MayRequire<B>
  ): ServiceClass<Self, Id, E, Exhausted, B> => {
    const tag = Context.Service<Self, RetryService<E, Exhausted>>()(id)
    const execute = executeWith<E, Exhausted, Self>(id, (self, key) =>
      Effect.flatMap(tag, (retry) => retry.execute(self, key))
    )
    return Object.assign(tag, { layer: Layer.effect(tag, made(id, policy)), execute })
  }
