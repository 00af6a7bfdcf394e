/**
 * The retry loop: `Attempts`, the decisions of one call, shared with the pipeline, and `run`, the loop of a policy alone.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import { RetryExhausted } from "../Rejection.ts"
import type { Driver, Failure, OnExhausted, Policy } from "../Retry.ts"
import { emit, sinkOf } from "./events.ts"
import { nowOf } from "./time.ts"
import { maybeInTransaction, outsideTransactions } from "./transaction.ts"

/**
 * What follows a failed attempt: another after so many milliseconds, or the end, because the error is not retried
 * (`stop`: it ends the call as it is) or because no attempt is left (`exhausted`).
 */
export type Verdict = number | "stop" | "exhausted"

/**
 * The attempts of one call, for whoever runs a retry loop. Made at the first failure, so that a call that succeeds pays
 * nothing.
 */
export class Attempts<E> {
  /** The attempt that runs or just ended, from 1. */
  attempt = 1
  private readonly policy: Policy<E, OnExhausted>
  private readonly errors: Array<E> = []
  private driver: Driver<E> | undefined = undefined
  constructor(policy: Policy<E, OnExhausted>) {
    this.policy = policy
  }

  /** The current attempt failed. After a number as the verdict, the next attempt is the current one. */
  failed(error: E, now: number, draw: () => number): Verdict | Effect.Effect<Verdict> {
    if (this.policy.onExhausted === "wrap") this.errors.push(error)
    // Asked on the last attempt as well: an error that is not retried is no exhaustion.
    if (!this.policy.retries(error)) return "stop"
    if (this.attempt >= this.policy.maxAttempts) return "exhausted"
    this.driver ??= this.policy.driver()
    const delay = this.driver.next(error, this.attempt, now, draw)
    return Effect.isEffect(delay) ? Effect.map(delay, (delay) => this.verdict(delay)) : this.verdict(delay)
  }

  /** Ends the call whose verdict was `exhausted`. `cause` is that of the last attempt. */
  exhausted(key: string, cause: Cause.Cause<E>): Effect.Effect<never, E | RetryExhausted<E>> {
    return this.policy.onExhausted === "wrap"
      ? Effect.fail(new RetryExhausted({ key, attempts: this.attempt, errors: this.errors }))
      : Effect.failCause(cause)
  }

  private verdict(delay: number | undefined): Verdict {
    if (delay === undefined) return "exhausted"
    this.attempt++
    return delay
  }
}

/**
 * The error of a cause that may be retried: its first typed failure, and none if there is a defect or no failure at all.
 */
export const failureOf = <E>(cause: Cause.Cause<E>): Cause.Fail<E> | undefined =>
  Cause.hasDies(cause) ? undefined : cause.reasons.find(Cause.isFailReason)

/** One effect through a policy. `service` and `key` name it in events, `key` in `RetryExhausted`. */
export const run = <A, E extends PE, R, PE, Exhausted extends OnExhausted>(
  self: Effect.Effect<A, E, R>,
  policy: Policy<PE, Exhausted>,
  service: string,
  key: string
): Effect.Effect<A, Failure<E, Exhausted>, R> => {
  const retried = Effect.suspend(() => {
    let attempts: Attempts<E> | undefined
    const again = (fiber: Fiber.Fiber<unknown, unknown>, attempt: number, delay: number): typeof loop => {
      const sink = sinkOf(fiber)
      if (sink !== undefined) emit(sink, { _tag: "RetryScheduled", service, key, attempt, delay }, fiber)
      return delay === 0 ? loop : Effect.flatMap(Effect.sleep(delay), () => loop)
    }
    const loop: Effect.Effect<A, E | RetryExhausted<E>, R> = Effect.catchCause(self, (cause) => {
      const failure = failureOf(cause)
      if (failure === undefined) return Effect.failCause(cause)
      return Effect.withFiber((fiber): typeof loop => {
        const current = (attempts ??= new Attempts<E>(policy))
        const attempt = current.attempt
        const follow = (verdict: Verdict): typeof loop => {
          if (verdict === "stop") return Effect.failCause(cause)
          return verdict === "exhausted" ? current.exhausted(key, cause) : again(fiber, attempt, verdict)
        }
        const verdict = current.failed(failure.error, nowOf(fiber), () =>
          fiber.getRef(Random.Random).nextDoubleUnsafe()
        )
        return Effect.isEffect(verdict) ? Effect.flatMap(verdict, follow) : follow(verdict)
      })
    })
    return Effect.withFiber((fiber) => (maybeInTransaction(fiber) ? outsideTransactions(loop) : loop))
  })
  // `RetryExhausted` is built for "wrap" only, and an effect that cannot fail never is: what `Failure` says.
  return retried as Effect.Effect<A, Failure<E, Exhausted>, R>
}
