/**
 * The errors of this library.
 *
 * A `Rejection` (`RateLimitExceeded`, `CircuitOpen`, `BulkheadFull`, `StoreError`, or one of your own policy) is raised
 * before the wrapped effect ran: nothing was spent, and no circuit counts it. `TimeoutExceeded` is a failure of the call.
 * `RetryExhausted` wraps the errors of a call that was tried several times, where that was asked for. Each says in
 * `service` which service raised it.
 *
 * All of them are `instanceof Error` and can be yielded in `Effect.gen`. None captures a stack: a refusal is a normal
 * answer under load, and the stack would be nine tenths of its price.
 *
 * **Example** (Answering a refusal)
 *
 * ```ts
 * import { Duration, Effect } from "effect"
 * import { Rejection } from "effect-resilience"
 *
 * declare const call: Effect.Effect<string, Rejection.RateLimitExceeded>
 *
 * const answer = Effect.catchTag(call, "RateLimitExceeded", (error) =>
 *   Effect.succeed(`try again in ${error.retryAfter === undefined ? "never" : Duration.format(error.retryAfter)}`))
 * ```
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"

const TypeId = "~effect-resilience/Rejection"

/**
 * An `Error` without the price of one: the prototype chain is Effect's yieldable error, but no `Error` constructor
 * runs, so no stack is captured (10 ns instead of 7 microseconds).
 */
const StacklessError = (() => {
  function StacklessError() {}
  StacklessError.prototype = Object.create(Data.Error.prototype, {
    stack: {
      configurable: true,
      get(this: Error) {
        return `${this.name}: ${this.message}`
      }
    }
  })
  return StacklessError
})() as unknown as new () => Cause.YieldableError // a plain function has no construct signature

abstract class Base extends StacklessError {
  abstract readonly _tag: string
  // fields of a base class that are declared, and not defined: defining them makes an error four times as dear
  /** The id of the service that raised it; `""` on an error that no service made. */
  declare readonly service: string
  constructor(service: string | undefined) {
    super()
    this.service = service ?? ""
  }
  override get name(): string {
    return this._tag
  }
  override toJSON(): unknown {
    return { ...this, message: this.message }
  }
}

const after = (millis: number | undefined): string => (millis === undefined ? "" : `; may try again after ${millis} ms`)

/** What all rejections are made of. @category models @since 0.1.0 */
export interface RejectionOptions {
  /** The id of the service. Absent where there is none, as for an error that a test makes. */
  readonly service?: string | undefined
  readonly key: string
  readonly retryAfterMillis?: number | undefined
}

/**
 * The base of all errors that are raised before the wrapped effect ran. `isRejection` finds them.
 *
 * No circuit counts one, no retry repeats one unless its policy says so, and metrics and reports read its fields: there
 * is no list of kinds. So the error of a policy of your own is one as soon as it extends this class. Like ours, it
 * captures no stack. To tell rejections apart, use `catchTag`, `instanceof`, or `policy`.
 *
 * **Gotchas**
 *
 * `message` is a getter, so override it as one.
 *
 * **Example** (The error of a policy of your own)
 *
 * ```ts
 * import { Rejection } from "effect-resilience"
 *
 * class OverBudget extends Rejection.Rejection {
 *   readonly _tag = "OverBudget"
 *   readonly policy = "dailyBudget"
 *   readonly reason = "spent"
 *   readonly cents: number
 *   constructor(options: Rejection.RejectionOptions & { readonly cents: number }) {
 *     super(options)
 *     this.cents = options.cents
 *   }
 *   override get message() {
 *     return `${this.key} has spent ${this.cents} cents today`
 *   }
 * }
 *
 * const error = new OverBudget({ service: "app/Search", key: "acme", cents: 500, retryAfterMillis: 3_600_000 })
 * console.log(Rejection.isRejection(error), error.message)
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export abstract class Rejection extends Base {
  /** The kind of policy that refused: bounded, and so a metric's label. */
  abstract readonly policy: string
  /** Why, in a closed set of words: a metric's label as well. */
  abstract readonly reason: string
  /** Whose call was refused, or which circuit refused it. */
  declare readonly key: string
  /** Milliseconds; `undefined` where the time is not known, or no wait helps. */
  declare readonly retryAfterMillis: number | undefined
  constructor(options: RejectionOptions) {
    super(options.service)
    this.key = options.key
    this.retryAfterMillis = options.retryAfterMillis
  }
  // not `[TypeId]`: a bundler keeps a class with a computed name, also where nothing extends it
  get "~effect-resilience/Rejection"(): typeof TypeId {
    return TypeId
  }
  /** How long until the same call could pass; `undefined` where that is not known, or it never can. */
  get retryAfter(): Duration.Duration | undefined {
    return this.retryAfterMillis === undefined ? undefined : Duration.millis(this.retryAfterMillis)
  }
  override get message(): string {
    return `${this.policy} refused ${this.key} (${this.reason})${after(this.retryAfterMillis)}`
  }
  override toJSON(): unknown {
    return { ...this, policy: this.policy, reason: this.reason, message: this.message }
  }
}

/**
 * One limit that refused.
 *
 * `limit` is the member's name in `RateLimiter.every`, and `"limit"` for a limiter that stands alone.
 *
 * @category models
 * @since 0.1.0
 */
export interface RefusedLimit {
  readonly limit: string
  readonly key: string
  readonly reason: RateLimitReason
  /** Milliseconds; `undefined` when the call can never pass. */
  readonly retryAfterMillis: number | undefined
}

/**
 * Why a limiter refused.
 *
 * - `limit`: no room now, and the policy does not wait
 * - `queue-full`: as many calls as `maxQueued` permits wait already
 * - `wait-too-long`: the wait would be longer than `maxWait`, or than what is left of the call's timeout
 * - `cost-exceeds-capacity`: the call can never pass, however long it waits
 * - `too-many-keys`: the key is new, `maxKeys` are live, and the policy says `overflow: "reject"`
 *
 * @category models
 * @since 0.1.0
 */
export type RateLimitReason = "limit" | "queue-full" | "wait-too-long" | "cost-exceeds-capacity" | "too-many-keys"

/**
 * A rate limit refused the call. Nothing was spent, on no limit.
 *
 * `limits` names every member that refused; `reason` and `retryAfter` are those of the longest wait.
 *
 * @category errors
 * @since 0.1.0
 */
export class RateLimitExceeded extends Rejection {
  readonly _tag = "RateLimitExceeded"
  readonly reason: RateLimitReason
  readonly limits: ReadonlyArray<RefusedLimit>
  constructor(options: {
    readonly service?: string | undefined
    readonly key: string
    readonly reason: RateLimitReason
    readonly retryAfterMillis: number | undefined
    readonly limits: ReadonlyArray<RefusedLimit>
  }) {
    super(options)
    this.reason = options.reason
    this.limits = options.limits
  }
  get policy(): "rateLimiter" {
    return "rateLimiter"
  }
  override get message(): string {
    return `Rate limit exceeded for ${this.key} (${this.reason})${after(this.retryAfterMillis)}`
  }
}

/**
 * The circuit breaker refused the call.
 *
 * When `Open`, `retryAfter` is exact. When `HalfOpen`, it is the earliest admission if no probe reports before. When
 * `Isolated`, there is none: somebody closed the circuit to calls by hand.
 *
 * @category errors
 * @since 0.1.0
 */
export class CircuitOpen extends Rejection {
  readonly _tag = "CircuitOpen"
  readonly state: "Open" | "HalfOpen" | "Isolated"
  /** The trip policy that opened it (`"failureRate"`), or `"probe"`; `undefined` where it was isolated. */
  readonly openedBy: string | undefined
  constructor(options: {
    readonly service?: string | undefined
    readonly key: string
    readonly state: "Open" | "HalfOpen" | "Isolated"
    readonly openedBy?: string | undefined
    readonly retryAfterMillis: number | undefined
  }) {
    super(options)
    this.state = options.state
    this.openedBy = options.openedBy
  }
  get policy(): "circuitBreaker" {
    return "circuitBreaker"
  }
  /** Its `state`. */
  get reason(): "Open" | "HalfOpen" | "Isolated" {
    return this.state
  }
  override get message(): string {
    return `Circuit ${this.key} is ${this.state}${after(this.retryAfterMillis)}`
  }
}

/**
 * The bulkhead refused the call: `maxConcurrent` calls run, and the queue is full, the wait was too long, or the
 * policy does not wait.
 *
 * @category errors
 * @since 0.1.0
 */
export class BulkheadFull extends Rejection {
  readonly _tag = "BulkheadFull"
  readonly reason: "full" | "queue-full" | "wait-too-long"
  constructor(options: {
    readonly service?: string | undefined
    readonly key: string
    readonly reason: "full" | "queue-full" | "wait-too-long"
  }) {
    super(options)
    this.reason = options.reason
  }
  get policy(): "bulkhead" {
    return "bulkhead"
  }
  override get message(): string {
    return `Bulkhead refused ${this.key} (${this.reason})`
  }
}

/**
 * The store that holds the shared state did not answer (`unavailable`, `deadline`), or holds of this key a value that it
 * cannot read (`damaged`): something else wrote there. A `reset` of the key repairs that.
 *
 * Calls fail with it only where `store.onError` is `"fail"`; `reset`, `isolate` and `close` always do, since they must not
 * say that something was done which was not.
 *
 * `key` is the key that the store was asked for; the service's id where the question was about several, or about all. A
 * store itself knows no service and leaves both empty: the service that asked it fills them in.
 *
 * @category errors
 * @since 0.1.0
 */
export class StoreError extends Rejection {
  readonly _tag = "StoreError"
  readonly reason: "unavailable" | "deadline" | "damaged"
  override readonly cause: unknown
  constructor(options: {
    readonly service?: string | undefined
    readonly key?: string | undefined
    readonly reason: "unavailable" | "deadline" | "damaged"
    readonly cause?: unknown
  }) {
    super({ service: options.service, key: options.key ?? "", retryAfterMillis: undefined })
    this.reason = options.reason
    this.cause = options.cause
  }
  get policy(): "store" {
    return "store"
  }
  override get message(): string {
    if (this.reason === "deadline") return "The store did not answer before its deadline"
    return this.reason === "damaged" ? "The store holds a value that it cannot read" : "The store is unavailable"
  }
}

/**
 * A timeout passed: `scope` says whether the whole call's or one attempt's. It counts as a failure of the dependency,
 * unless the call was still waiting for admission.
 *
 * @category errors
 * @since 0.1.0
 */
export class TimeoutExceeded extends Base {
  readonly _tag = "TimeoutExceeded"
  readonly key: string
  readonly scope: "call" | "attempt"
  readonly timeoutMillis: number
  constructor(options: {
    readonly service?: string | undefined
    readonly key: string
    readonly scope: "call" | "attempt"
    readonly timeoutMillis: number
  }) {
    super(options.service)
    this.key = options.key
    this.scope = options.scope
    this.timeoutMillis = options.timeoutMillis
  }
  override get message(): string {
    return `The ${this.scope} for ${this.key} took longer than ${this.timeoutMillis} ms`
  }
}

/**
 * Every attempt failed. Raised only where `Retry.policy` says `onExhausted: "wrap"`; otherwise the last error is.
 *
 * @category errors
 * @since 0.1.0
 */
export class RetryExhausted<E> extends Base {
  readonly _tag = "RetryExhausted"
  readonly key: string
  readonly attempts: number
  /** Oldest first. Of more than 100, the first and the last 99. */
  readonly errors: ReadonlyArray<E>
  constructor(options: {
    readonly service?: string | undefined
    readonly key: string
    readonly attempts: number
    readonly errors: ReadonlyArray<E>
  }) {
    super(options.service)
    this.key = options.key
    this.attempts = options.attempts
    this.errors = options.errors
  }
  override get message(): string {
    return `${this.key} failed after ${this.attempts} attempts`
  }
}

/**
 * A policy, key or cost that makes no sense. Thrown where the value is built, with the module and field in its message.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidPolicyError extends Error {
  readonly _tag = "InvalidPolicyError"
  override readonly name = "InvalidPolicyError"
  readonly module: string
  readonly parameter: string
  readonly value: unknown
  readonly reason: string
  constructor(options: {
    readonly module: string
    readonly parameter: string
    readonly value: unknown
    readonly reason: string
  }) {
    super(`${options.module}: ${options.parameter} ${options.reason} (got ${show(options.value)})`)
    this.module = options.module
    this.parameter = options.parameter
    this.value = options.value
    this.reason = options.reason
  }
}

const show = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
  if (typeof value === "object" && value !== null) {
    try {
      return JSON.stringify(value) ?? String(value)
    } catch {
      return Object.prototype.toString.call(value)
    }
  }
  return String(value)
}

/**
 * Whether a value is a `Rejection`, of this pipeline or of one inside it.
 *
 * @category guards
 * @since 0.1.0
 */
export const isRejection = (u: unknown): u is Rejection => typeof u === "object" && u !== null && TypeId in u
