/**
 * What one call may say for itself.
 */
import type * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import type { Option } from "effect/Option"
import type { CallOptions as EngineOptions, Classify } from "../engine/Pipeline.ts"
import type { Outcome } from "../Outcome.ts"
import type { ErrorOf, Raised } from "../Policies.ts"
import type { TimeoutExceeded } from "../Rejection.ts"
import { callback, count, millis, refuse, such } from "../Validate.ts"

/**
 * What any call may say.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions {
  /** Units that the call takes from each limit: a whole number of at least 1. Default: 1. */
  readonly cost?: number | undefined
  /** A shorter timeout than the service's. A longer one changes nothing; a service without a `timeout` has none to shorten. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * What a call says of its retries. It narrows the policy's: an error is retried where both say so. Attempts and backoff are the
 * policy's.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryOptions<in E> {
  /** Whether an error is worth another attempt, where the policy says so, too. With it, timeouts are not repeated by default. */
  readonly while?: ((error: E) => boolean) | undefined
  /** In place of the policy's. */
  readonly retryAfter?: ((error: E) => Option<Duration.Input>) | undefined
}

/** The exit that `classify` is asked about: the effect's, or a timeout of the service. @category utility types @since 0.1.0 */
export type Classified<P, A, E> = Exit.Exit<A, E | Extract<Raised<P>, TimeoutExceeded>>

/**
 * What a call may say that sees the types of its effect.
 *
 * @category models
 * @since 0.1.0
 */
export interface EffectOptions<P, in A, in E> extends CallOptions {
  /** What this call's exit says about the dependency; `undefined` for the default. */
  readonly classify?: ((exit: Classified<P, A, E>) => Outcome | undefined) | undefined
  /** What is worth another attempt, in this call. */
  readonly retry?: RetryOptions<E> | undefined
}

/** With a `classify`, which sees the types of the effect that it is piped with. @category models @since 0.1.0 */
export interface ClassifyOptions<P, in A, in E> extends EffectOptions<P, A, E> {
  readonly classify: (exit: Classified<P, A, E>) => Outcome | undefined
}

/** With what narrows the retries. @category models @since 0.1.0 */
export interface NarrowOptions<P, in A, in E> extends EffectOptions<P, A, E> {
  readonly retry: RetryOptions<E>
}

/** The same, for a call that is tried once. @category models @since 0.1.0 */
export interface OnceOptions<P, in A, in E> extends CallOptions {
  /** One attempt, whatever the retry policy says: for what must not be sent twice. */
  readonly retry: false
  /** What this call's exit says about the dependency; `undefined` for the default. */
  readonly classify?: ((exit: Classified<P, A, E>) => Outcome | undefined) | undefined
}

/** The errors of a call that is tried once: no `RetryExhausted` is among them. @category utility types @since 0.1.0 */
export type OnceErrorOf<P, E> = ErrorOf<Omit<P, "retry">, E>

/** Some options, as the compiler has checked them for one effect. */
export interface AnyCallOptions extends CallOptions {
  readonly classify?: ((exit: never) => Outcome | undefined) | undefined
  readonly retry?: false | RetryOptions<never> | undefined
}

const module = "resilient"
const names: ReadonlyArray<string> = ["cost", "timeout", "classify", "retry"]
const retryNames: ReadonlyArray<string> = ["while", "retryAfter"]

const refuseOthers = (options: object, known: ReadonlyArray<string>, prefix: string): void => {
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name)) refuse(module, `${prefix}${name}`, value, `is not one of ${known.join(", ")}`)
  }
}

const retryOf = (retry: AnyCallOptions["retry"]): AnyCallOptions["retry"] => {
  if (retry === undefined || retry === false) return retry
  such(module, "retry", retry, typeof retry === "object" && retry !== null, "false, or what narrows the retries")
  refuseOthers(retry, retryNames, "retry.")
  return {
    while: callback(module, "retry.while", retry.while),
    retryAfter: callback(module, "retry.retryAfter", retry.retryAfter)
  }
}

const NONE: EngineOptions = { cost: 1, maxWait: undefined, classify: undefined }

/** Validates the options where they are given, before anything runs. */
export const readOptions = (options: AnyCallOptions | undefined): EngineOptions => {
  if (options === undefined) return NONE
  such(module, "options", options, typeof options === "object" && options !== null, "a record of options")
  refuseOthers(options, names, "")
  const { classify, cost = 1, retry, timeout } = options
  return {
    cost: count(module, "cost", cost),
    maxWait: undefined,
    classify: callback(module, "classify", classify) as Classify | undefined, // it is only called with exits of this effect
    own: {
      retry: retryOf(retry),
      timeout: timeout === undefined ? undefined : millis(module, "timeout", timeout)
    }
  }
}
