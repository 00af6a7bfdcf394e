/**
 * When a call is tried again, as plain values. They are exported from `Retry`.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import type { Option } from "effect/Option"
import type { Schedule } from "effect/Schedule"
import * as Backoff from "../Backoff.ts"
import { callback, countOrInfinity, MAX_EXACT, millis, such } from "../Validate.ts"
import { isRejection, rejectionIn, type RetryExhausted, TimeoutExceeded } from "../Rejection.ts"
import * as RetrySchedule from "./RetrySchedule.ts"
import { memory } from "../internal/memoryStore.ts"
import type { Member } from "../Policy.ts"
import * as Policies from "../Policy.ts"
import type { RetryBudgetService } from "../RetryBudget.ts"
import { type BudgetOption, budgetOf, type OwnBudget } from "./budget.ts"
import type { Driver } from "./driver.ts"
import { loop, type OwnRetry } from "./loop.ts"
import type { OnExhausted, Options } from "./options.ts"

export type { BudgetOption, BudgetTag } from "./budget.ts"
export type { Driver } from "./driver.ts"
export type { OnExhausted, Options } from "./options.ts"

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

interface RetryPhantom<in E, out Exhausted extends OnExhausted, in A> extends Policies.Phantom<
  never,
  E,
  never,
  undefined,
  {},
  Wraps[Exhausted]
> {
  readonly exhausted: () => Exhausted
  readonly values: (_: A) => void
}

interface Wraps {
  readonly last: false
  readonly wrap: true
}

/**
 * A retry policy, as a service takes it.
 *
 * `E` are the errors it can judge; a policy that reads no errors is an `AnyPolicy<unknown>` and fits every call.
 *
 * @category models
 * @since 0.1.0
 */
export interface AnyPolicy<in E, out Exhausted extends OnExhausted, in A = unknown> extends Policies.Policy<
  never,
  E,
  never,
  undefined,
  {},
  Wraps[Exhausted]
> {
  readonly [Policies.TypeId]: RetryPhantom<E, Exhausted, A>
  readonly kind: "retry"
  readonly options: Options<E, Exhausted> &
    Attempts &
    BudgetOption<unknown> & {
      readonly retryIf?: ((value: A) => boolean) | undefined
      readonly schedule?: Schedule<unknown, E> | undefined
    }
  readonly open: (env: Policies.Env) => RetryMember<E>
}

interface Judge<in E> {
  readonly maxAttempts: number
  readonly onExhausted: OnExhausted
  readonly retries: (error: E, own?: OwnRetry) => boolean
  readonly retriesTimeout: (error: TimeoutExceeded, own: OwnRetry) => boolean
  readonly timeoutsLeftOut: (own: OwnRetry) => boolean
  /** Whether a value is worth another attempt; `undefined` where no value is. */
  readonly rejects: ((value: unknown) => boolean) | undefined
  readonly hintOf: (error: E, own?: OwnRetry) => number
  readonly maxRetryAfter: number
  readonly cutsRetryAfter: boolean
  readonly driver: () => Driver<E>
}

/** The loop, and what it asks. */
interface RetryMember<in E> extends Member {
  readonly judge: Judge<E>
}

/** Where a policy is opened to be looked at. */
const nowhere: Policies.Env = { service: "", label: "retry", store: memory, longest: Policies.unbounded }

/**
 * When to try again, and when to stop. Built by `policy` and `fromSchedule`. What it says is read from its options.
 *
 * @category models
 * @since 0.1.0
 */
export class Policy<in E, out Exhausted extends OnExhausted, in A = unknown> implements AnyPolicy<E, Exhausted, A> {
  declare readonly [Policies.TypeId]: RetryPhantom<E, Exhausted, A>
  declare readonly kind: "retry"
  declare readonly options: AnyPolicy<E, Exhausted, A>["options"]
  declare readonly open: (env: Policies.Env) => RetryMember<E>

  /** @internal */
  constructor(policy: AnyPolicy<E, Exhausted, A>) {
    Object.assign(this, policy)
  }
  /** Runs of a call, the first included. `Infinity` when a schedule decides. */
  get maxAttempts(): number {
    return this.open(nowhere).judge.maxAttempts
  }
  get onExhausted(): Exhausted {
    return this.open(nowhere).judge.onExhausted as Exhausted // that of the options, or the parameter's default
  }
  /** Whether an attempt that failed with this error may be followed by another. What `while` throws, it throws. */
  get retries(): (error: E) => boolean {
    return this.open(nowhere).judge.retries
  }
  /** Whole milliseconds that an error asks to be left alone for; 0 when it asks for nothing. */
  get hintOf(): (error: E) => number {
    return this.open(nowhere).judge.hintOf
  }
  /** Afresh for each call. */
  get driver(): () => Driver<E> {
    return this.open(nowhere).judge.driver
  }
}

/** With a `retryIf`: it, and what reads a hint from a value, too. */
interface ByResult<A, E, Exhausted extends OnExhausted> extends Omit<Options<E, Exhausted>, "retryAfter"> {
  /**
   * Whether a value is worth another attempt: a 503 in a response. To the circuit it is a failure, unless `classify` says
   * otherwise. When no attempt is left, the call succeeds with the last value. It is no `while`: errors and timeouts are
   * repeated as before.
   */
  readonly retryIf: (value: A) => boolean
  /** Reads from an error, or from a value that `retryIf` rejected, how long the server asks to be left alone. */
  readonly retryAfter?: ((from: E | A) => Option<Duration.Input>) | undefined
}

const isOnExhausted = (u: unknown): u is OnExhausted => u === "last" || u === "wrap"

type Said<E, Exhausted extends OnExhausted> = AnyPolicy<E, Exhausted, never>["options"]

const build = <E, Exhausted extends OnExhausted>(
  module: string,
  options: Said<E, Exhausted>,
  delaysOf: (options: Said<E, Exhausted>) => { readonly maxAttempts: number; readonly delays: () => Driver<E> }
): Policy<E, Exhausted> => {
  const openedOf = (options: Said<E, Exhausted>, context?: Context.Context<never>): RetryMember<E> => {
    const { delays, maxAttempts } = delaysOf(options)
    return opened(judgeOf(module, maxAttempts, options, delays), budgetOf(module, options, context))
  }
  const alone = new WeakMap<object, RetryMember<E>>()
  const own = openedOf(options) // refuses here what makes no sense
  const policy: AnyPolicy<E, Exhausted, never> = Policies.make<AnyPolicy<E, Exhausted, never>>({
    kind: "retry",
    options,
    // its own options never change, and without a budget the loop keeps nothing: `execute` opens it for each call
    open({ context }) {
      const { options } = this
      if (options.budget === undefined) return options === policy.options ? own : openedOf(options)
      if (context !== undefined) return openedOf(options, context)
      // by itself, without a service: one budget for all calls of the policy, and one for those of a copy
      const member = alone.get(options) ?? openedOf(options)
      alone.set(options, member)
      return member
    }
  })
  return new Policy(policy) as Policy<E, Exhausted> // where there is a `retryIf`, the overload says what it knows
}

const opened = <E>(judge: Judge<E>, budget: RetryBudgetService | undefined): RetryMember<E> => {
  const { hintOf } = judge
  // `resilient` takes only effects whose errors the policy knows
  return { ...loop(judge as Judge<unknown>, hintOf as (error: unknown) => number, budget), judge }
}

const judgeOf = <E>(
  module: string,
  maxAttempts: number,
  options: Said<E, OnExhausted>,
  delays: () => Driver<E>
): Judge<E> => {
  const maxRetryAfter = millis(module, "maxRetryAfter", options.maxRetryAfter ?? "30 seconds")
  const onExhausted = options.onExhausted ?? "last"
  such(module, "onExhausted", onExhausted, isOnExhausted(onExhausted), '"last" or "wrap"')
  const { onLongRetryAfter = "end", retryRejections = false } = options
  const knowsLong = onLongRetryAfter === "end" || onLongRetryAfter === "cut"
  such(module, "onLongRetryAfter", onLongRetryAfter, knowsLong, '"end" or "cut"')
  const retryAfter = callback(module, "retryAfter", options.retryAfter)
  const worthwhile = callback(module, "while", options.while)
  const { retryTimeouts } = options
  const saysTimeouts =
    retryTimeouts === undefined || typeof retryTimeouts === "boolean" || typeof retryTimeouts === "function"
  such(module, "retryTimeouts", retryTimeouts, saysTimeouts, "a boolean or a function")

  const hintOf = (error: E, own?: OwnRetry): number => {
    // a pipeline adds errors of its own to those that the user's function knows
    const isOurs = isRejection(error) || error instanceof TimeoutExceeded
    const reads = own?.retryAfter ?? retryAfter
    const told = isOurs ? undefined : reads?.(error as never) // by the types of a call, it knows the error
    const hint =
      told?._tag === "Some"
        ? Duration.toMillis(Duration.fromInputUnsafe(told.value))
        : (rejectionIn(error)?.retryAfterMillis ?? 0)
    return Math.min(MAX_EXACT, Math.max(0, Math.ceil(hint)))
  }
  return {
    maxAttempts,
    onExhausted,
    retries: (error, own) => {
      const rejection = rejectionIn(error)
      // the types of a call say that its `while` knows the error
      if (rejection === undefined) return (worthwhile?.(error) ?? true) && (own?.while?.(error as never) ?? true)
      return typeof retryRejections === "function" ? retryRejections(rejection) : retryRejections
    },
    retriesTimeout: (error, own) => {
      if (typeof retryTimeouts === "function") return retryTimeouts(error)
      return retryTimeouts ?? (worthwhile === undefined && own.while === undefined)
    },
    timeoutsLeftOut: (own) => retryTimeouts === undefined && (worthwhile !== undefined || own.while !== undefined),
    rejects: callback(module, "retryIf", options.retryIf) as Judge<E>["rejects"], // the types of a call say that it knows the value
    hintOf,
    maxRetryAfter,
    cutsRetryAfter: onLongRetryAfter === "cut",
    driver: delays
  }
}

/** How often a policy tries, and when. @category models @since 0.1.0 */
export interface Attempts {
  /** Runs, the first included. `Infinity`: until one succeeds, the deadline passes or the policy gives up otherwise. */
  readonly maxAttempts?: number | undefined
  readonly backoff?: Backoff.Backoff | undefined
}

/**
 * Retries up to `maxAttempts` runs in all, `backoff` apart.
 *
 * Defaults: `maxAttempts` 3, `backoff` exponential from 100 ms with full jitter and a cap of 30 s. The delay is the
 * backoff's, after what the error's `retryAfter` asks for. Throws `InvalidPolicyError`.
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
export const policy: {
  <A, E = unknown, Exhausted extends OnExhausted = "last">(
    options: ByResult<A, E, Exhausted> & Attempts & OwnBudget
  ): Policy<E, NoInfer<Exhausted>, A>
  <E = unknown, Exhausted extends OnExhausted = "last">(
    options?: Options<E, Exhausted> & Attempts & OwnBudget
  ): Policy<E, NoInfer<Exhausted>>
  <A, E = unknown, Exhausted extends OnExhausted = "last", R = never>(
    options: ByResult<A, E, Exhausted> & Attempts & BudgetOption<R>
  ): Policy<E, NoInfer<Exhausted>, A> & Policies.Requires<R>
  <E = unknown, Exhausted extends OnExhausted = "last", R = never>(
    options: Options<E, Exhausted> & Attempts & BudgetOption<R>
  ): Policy<E, NoInfer<Exhausted>> & Policies.Requires<R>
  // what it requires is in the type alone
} = <E, Exhausted extends OnExhausted>(
  options: Said<E, Exhausted> = {}
): Policy<E, Exhausted> & Policies.Requires<never> => {
  const module = "Retry.policy"
  return build<E, Exhausted>(module, options, (options) => {
    const maxAttempts = countOrInfinity(module, "maxAttempts", options.maxAttempts ?? 3)
    const backoff = options.backoff ?? Backoff.exponential({ base: 100 })
    such(module, "backoff", backoff, Backoff.isBackoff(backoff), "a Backoff")
    const delays = (): Driver<E> => {
      let previous: number | undefined
      return {
        next: (_error, attempt, _now, draw) => (previous = Backoff.delay(backoff, attempt, draw(), previous))
      }
    }
    return { maxAttempts, delays }
  }) as Policy<E, Exhausted> & Policies.Requires<never>
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
export const fromSchedule: {
  <E = unknown, Exhausted extends OnExhausted = "last">(
    schedule: Schedule<unknown, E>,
    options?: Options<E, Exhausted> & OwnBudget
  ): Policy<E, NoInfer<Exhausted>>
  <E = unknown, Exhausted extends OnExhausted = "last", R = never>(
    schedule: Schedule<unknown, E>,
    options: Options<E, Exhausted> & BudgetOption<R>
  ): Policy<E, NoInfer<Exhausted>> & Policies.Requires<R>
} = <E, Exhausted extends OnExhausted>(
  schedule: Schedule<unknown, E>,
  options: Options<E, Exhausted> = {}
  // what it requires is in the type alone
): Policy<E, Exhausted> & Policies.Requires<never> => {
  const module = "Retry.fromSchedule"
  return build(module, { ...options, schedule }, ({ schedule }) => {
    const known = such(module, "schedule", schedule, RetrySchedule.isSchedule(schedule), "a Schedule")!
    return { maxAttempts: Infinity, delays: () => RetrySchedule.driver(known) }
  }) as Policy<E, Exhausted> & Policies.Requires<never>
}
