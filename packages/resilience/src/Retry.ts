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
 * import { Data, Effect, Option } from "effect"
 * import { Backoff, Retry } from "effect-resilience"
 *
 * class HttpError extends Data.TaggedError("HttpError")<{ readonly status: number; readonly retryAfter?: number }> {}
 * declare const fetchUser: Effect.Effect<string, HttpError>
 *
 * const patient = Retry.policy({
 *   maxAttempts: 3,
 *   backoff: Backoff.exponential({ base: "500 millis" }),
 *   while: (error: HttpError) => error.status === 429 || error.status >= 500,
 *   retryAfter: (error) => Option.map(Option.fromUndefinedOr(error.retryAfter), (seconds) => `${seconds} seconds`)
 * })
 *
 * const user = fetchUser.pipe(Retry.execute(patient)) // Effect<string, HttpError>
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type { Option } from "effect/Option"
import type { Schedule } from "effect/Schedule"
import * as Backoff from "./Backoff.ts"
import { memory } from "./internal/memoryStore.ts"
import { bare, run as runCall } from "./internal/pipeline/Call.ts"
import { count, MAX_EXACT, millis } from "./internal/validate.ts"
import { InvalidPolicyError, isRejection, type RetryExhausted, TimeoutExceeded } from "./Rejection.ts"
import * as RetrySchedule from "./RetrySchedule.ts"

/**
 * What a call fails with when no attempt is left: its `last` error, typed as it was, or all of them in one
 * `RetryExhausted` (`wrap`).
 *
 * @category models
 * @since 0.1.0
 */
export type OnExhausted = "last" | "wrap"

/**
 * The errors of a call under a policy. With `wrap` the bare error stays possible: an error that `while` does not retry
 * ends the call as it is, and is no exhaustion.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Failure<E, Exhausted extends OnExhausted> = [E] extends [never]
  ? never
  : "wrap" extends Exhausted
    ? E | RetryExhausted<E>
    : E

/**
 * When to try again, and when to stop. Built by `policy` and `fromSchedule`.
 *
 * `E` are the errors it can judge; a policy that reads no errors is a `Policy<unknown>` and fits every call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy<in E, out Exhausted extends OnExhausted> {
  /** Runs of a call, the first included. `Infinity` when a schedule decides. */
  readonly maxAttempts: number
  readonly onExhausted: Exhausted
  /** Whether an attempt that failed with this error may be followed by another. What `while` throws, it throws. */
  readonly retries: (error: E) => boolean
  /** Whole milliseconds that an error asks to be left alone for; 0 when it asks for nothing. */
  readonly hintOf: (error: E) => number
  /** Afresh for each call. */
  readonly driver: () => Driver<E>
}

/**
 * Tells the delays of one call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Driver<in E> {
  /**
   * Whole milliseconds from the failure of the `attempt`-th run to the next run, `undefined` when there is none. An
   * Effect only where a `Schedule` decides. `now` is monotonic; `draw` gives numbers in [0, 1).
   */
  readonly next: (
    error: E,
    attempt: number,
    now: number,
    draw: () => number
  ) => number | undefined | Effect.Effect<number | undefined>
}

/**
 * What `policy` and `fromSchedule` have in common.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<in E, out Exhausted extends OnExhausted> {
  /** Whether an error is worth another attempt. Default: every error is. */
  readonly while?: ((error: E) => boolean) | undefined
  /** Whether rejections of this library are retried too (then `while` decides on them as well). Default: `false`. */
  readonly retryRejections?: boolean | undefined
  /**
   * Reads from an error how long the server asks to be left alone. The next attempt comes no earlier. This library's own
   * errors are not asked: the `retryAfter` of its rejections is honoured anyway.
   */
  readonly retryAfter?: ((error: E) => Option<Duration.Input>) | undefined
  /** The longest `retryAfter` that is honoured; a longer one is cut to this. Default: "30 seconds". */
  readonly maxRetryAfter?: Duration.Input | undefined
  /** Default: `"last"`. */
  readonly onExhausted?: Exhausted | undefined
}

const isOnExhausted = (u: unknown): u is OnExhausted => u === "last" || u === "wrap"

const ownHint = (error: unknown): number | undefined =>
  isRejection(error) && "retryAfterMillis" in error ? error.retryAfterMillis : undefined

const build = <E, Exhausted extends OnExhausted>(
  module: string,
  maxAttempts: number,
  options: Options<E, Exhausted>,
  delays: () => Driver<E>
): Policy<E, Exhausted> => {
  const maxRetryAfter = millis(module, "maxRetryAfter", options.maxRetryAfter ?? "30 seconds")
  const onExhausted = options.onExhausted ?? ("last" as Exhausted) // the default of the type parameter
  if (!isOnExhausted(onExhausted)) {
    throw new InvalidPolicyError({
      module,
      parameter: "onExhausted",
      value: onExhausted,
      reason: 'must be "last" or "wrap"'
    })
  }
  const { retryAfter, retryRejections = false, while: worthwhile } = options

  const hintOf = (error: E): number => {
    // a pipeline adds errors of its own to those that the user's function knows
    const own = isRejection(error) || error instanceof TimeoutExceeded
    const told = own ? undefined : retryAfter?.(error)
    const hint = told?._tag === "Some" ? Duration.toMillis(Duration.fromInputUnsafe(told.value)) : (ownHint(error) ?? 0)
    return Math.min(MAX_EXACT, Math.max(0, Math.ceil(hint)))
  }
  return {
    maxAttempts,
    onExhausted,
    retries: (error) => (retryRejections || !isRejection(error)) && (worthwhile === undefined || worthwhile(error)),
    hintOf,
    driver: () => {
      const own = delays()
      return {
        next: (error, attempt, now, draw) => {
          const hint = Math.min(maxRetryAfter, hintOf(error))
          const atLeast = (delay: number | undefined) => (delay === undefined ? undefined : Math.max(0, delay, hint))
          const delay = own.next(error, attempt, now, draw)
          return Effect.isEffect(delay) ? Effect.map(delay, atLeast) : atLeast(delay)
        }
      }
    }
  }
}

/**
 * Retries up to `maxAttempts` runs in all, `backoff` apart.
 *
 * Defaults: `maxAttempts` 3, `backoff` exponential from 100 ms with full jitter and a cap of 30 s. The delay is the
 * backoff's, or what the error's `retryAfter` asks for if that is longer. Throws `InvalidPolicyError`.
 *
 * **Example** (All errors of a call that was given up)
 *
 * ```ts
 * import { Backoff, Retry } from "effect-resilience"
 *
 * const policy = Retry.policy({
 *   maxAttempts: 5,
 *   backoff: Backoff.decorrelated({ base: "200 millis", cap: "10 seconds" }),
 *   onExhausted: "wrap"
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const policy = <E = unknown, Exhausted extends OnExhausted = "last">(
  options: Options<E, Exhausted> & {
    readonly maxAttempts?: number | undefined
    readonly backoff?: Backoff.Backoff | undefined
  } = {}
): Policy<E, Exhausted> => {
  const module = "Retry.policy"
  const maxAttempts = count(module, "maxAttempts", options.maxAttempts ?? 3)
  const backoff = options.backoff ?? Backoff.exponential({ base: 100 })
  if (!Backoff.isBackoff(backoff)) {
    throw new InvalidPolicyError({ module, parameter: "backoff", value: backoff, reason: "must be a Backoff" })
  }
  return build(module, maxAttempts, options, () => {
    let previous: number | undefined
    return {
      next: (_error, attempt, _now, draw) => (previous = Backoff.delay(backoff, attempt, draw(), previous))
    }
  })
}

/**
 * Retries as a `Schedule` says, which is given each error as its input: it decides the delays and the end.
 *
 * When: a `Backoff` cannot say it. `Schedule.recurs(3)` means four runs. Most schedules go on for ever: bound them
 * (`Schedule.recurs`, `Schedule.upTo`), above all with `onExhausted: "wrap"`, which keeps every error until the end.
 *
 * Delays are rounded up to whole milliseconds, negative ones are 0, and one that is infinite or above 2^52 ms ends the
 * call. The options work as in `policy`. A schedule that needs services or can fail has to be rid of both first.
 *
 * **Example** (Effect's own jitter, at most a minute)
 *
 * ```ts
 * import { Schedule } from "effect"
 * import { Retry } from "effect-resilience"
 *
 * const policy = Retry.fromSchedule(
 *   Schedule.spaced("2 seconds").pipe(Schedule.jittered, Schedule.upTo({ times: 10, duration: "1 minute" }))
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromSchedule = <E = unknown, Exhausted extends OnExhausted = "last">(
  schedule: Schedule<unknown, E>,
  options: Options<E, Exhausted> = {}
): Policy<E, Exhausted> => build("Retry.fromSchedule", Infinity, options, () => RetrySchedule.driver(schedule))

const defaultId = "effect-resilience/Retry"

/** One effect through a policy alone: the pipeline with nothing else in it. `service` and `key` name it in events. */
const run = <A, E extends PE, R, PE, Exhausted extends OnExhausted>(
  self: Effect.Effect<A, E, R>,
  policy: Policy<PE, Exhausted>,
  service: string,
  key: string
): Effect.Effect<A, Failure<E, Exhausted>, R> =>
  // the loop asks the policy about E only, and nothing else in this pipeline can fail
  runCall({ ...bare(service, memory), retry: policy as Policy<unknown, Exhausted> }, self, key, {
    cost: 1,
    maxWait: undefined,
    classify: undefined
  }) as Effect.Effect<A, Failure<E, Exhausted>, R>

/**
 * Runs one effect through a policy alone. Needs no service: a retry keeps nothing from one call to the next.
 *
 * A success costs no timer. Between attempts it sleeps on Effect's `Clock`, and an interruption ends it there and then.
 *
 * @category combinators
 * @since 0.1.0
 */
export const execute: {
  <PE, Exhausted extends OnExhausted>(
    policy: Policy<PE, Exhausted>
  ): <A, E extends PE, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, Failure<E, Exhausted>, R>
  <A, E extends PE, R, PE, Exhausted extends OnExhausted>(
    self: Effect.Effect<A, E, R>,
    policy: Policy<PE, Exhausted>
  ): Effect.Effect<A, Failure<E, Exhausted>, R>
} = dual(
  2,
  <A, E extends PE, R, PE, Exhausted extends OnExhausted>(
    self: Effect.Effect<A, E, R>,
    policy: Policy<PE, Exhausted>
  ): Effect.Effect<A, Failure<E, Exhausted>, R> => run(self, policy, defaultId, defaultId)
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
export interface RetryService<E, Exhausted extends OnExhausted> {
  readonly policy: Policy<E, Exhausted>
  readonly execute: Execute<E, Exhausted>
}

/** `execute` from a function of effect and key: told apart by the first argument, since the key may be left out. */
const executeWith = <E, Exhausted extends OnExhausted, Requires>(
  id: string,
  f: <A, E2 extends E, R>(
    self: Effect.Effect<A, E2, R>,
    key: string
  ) => Effect.Effect<A, Failure<E2, Exhausted>, R | Requires>
): Execute<E, Exhausted, Requires> =>
  dual(
    (args) => Effect.isEffect(args[0]),
    <A, E2 extends E, R>(self: Effect.Effect<A, E2, R>, key: string = id) => f(self, key)
  )

const service = <E, Exhausted extends OnExhausted>(
  id: string,
  policy: Policy<E, Exhausted>
): RetryService<E, Exhausted> => ({
  policy,
  execute: executeWith<E, Exhausted, never>(id, (self, key) => run(self, policy, id, key))
})

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
export const make = <E, Exhausted extends OnExhausted>(
  policy: Policy<E, Exhausted>
): Effect.Effect<RetryService<E, Exhausted>> => Effect.succeed(service(defaultId, policy))

/**
 * Provides the default service, `Retry`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (policy: Policy<unknown, OnExhausted>): Layer.Layer<Retry> =>
  Layer.succeed(Retry, service(defaultId, policy))

/**
 * What `Service` makes: a tag with its layer and `execute`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceClass<Self, Id extends string, E, Exhausted extends OnExhausted> extends Context.ServiceClass<
  Self,
  Id,
  RetryService<E, Exhausted>
> {
  readonly layer: Layer.Layer<Self>
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
  <const Id extends string, E, Exhausted extends OnExhausted>(
    id: Id,
    policy: Policy<E, Exhausted>
  ): ServiceClass<Self, Id, E, Exhausted> => {
    const tag = Context.Service<Self, RetryService<E, Exhausted>>()(id)
    const execute = executeWith<E, Exhausted, Self>(id, (self, key) =>
      Effect.flatMap(tag, (retry) => retry.execute(self, key))
    )
    return Object.assign(tag, { layer: Layer.succeed(tag, service(id, policy)), execute })
  }
