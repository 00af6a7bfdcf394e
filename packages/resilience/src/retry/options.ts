/**
 * What all retry policies may say. These types are exported from `Retry`.
 */
import type * as Duration from "effect/Duration"
import type { Option } from "effect/Option"
import type { Rejection, TimeoutExceeded } from "../Rejection.ts"

/**
 * What a call fails with when no attempt is left: its `last` error, typed as it was, or all of them in one
 * `RetryExhausted` (`wrap`).
 *
 * @category models
 * @since 0.1.0
 */
export type OnExhausted = "last" | "wrap"

/**
 * What `policy` and `fromSchedule` have in common.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<in E, out Exhausted extends OnExhausted> {
  /** Whether an error is worth another attempt. Default: every error is. */
  readonly while?: ((error: E) => boolean) | undefined
  /** Whether rejections of this library are retried too, all or those that it says. `while` is not asked. Default: `false`. */
  readonly retryRejections?: boolean | ((rejection: Rejection) => boolean) | undefined
  /**
   * Whether an attempt that ran into `attemptTimeout` is repeated: all, none, or those that it says. A timeout does not say
   * whether the server has done its work. Default: `true`, and `false` where there is a `while`: a policy that says which
   * errors are worth an attempt has to say it of timeouts, too.
   */
  readonly retryTimeouts?: boolean | ((error: TimeoutExceeded) => boolean) | undefined
  /**
   * Reads from an error how long the server asks to be left alone. The next attempt comes that much later, plus up to a tenth
   * of it, plus the backoff's own delay, so that callers who were told the same time do not come back together. This
   * library's own errors are not asked: the `retryAfter` of its rejections is honoured anyway.
   */
  readonly retryAfter?: ((error: E) => Option<Duration.Input>) | undefined
  /** The longest `retryAfter` that is honoured: an error that asks for more ends the call. Default: "30 seconds". */
  readonly maxRetryAfter?: Duration.Input | undefined
  /** With `"cut"`, an error that asks for more than `maxRetryAfter` is asked again earlier than it allows. Default: `"end"`. */
  readonly onLongRetryAfter?: "end" | "cut" | undefined
  /** Default: `"last"`. */
  readonly onExhausted?: Exhausted | undefined
}
