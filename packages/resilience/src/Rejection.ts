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
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import { Base } from "./rejection/Base.ts"
import { causeOf } from "./rejection/causeOf.ts"

export { InvalidPolicyError } from "./rejection/InvalidPolicyError.ts"

const TypeId = "~effect-resilience/Rejection"

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
  /** The error of the attempt before, where one had failed. */
  declare readonly cause: unknown
  /** @internal */
  declare notRepeated: boolean | undefined
  constructor(options: {
    readonly service?: string | undefined
    readonly key: string
    readonly scope: "call" | "attempt"
    readonly timeoutMillis: number
    readonly cause?: unknown
  }) {
    super(options.service)
    this.key = options.key
    this.scope = options.scope
    this.timeoutMillis = options.timeoutMillis
    if (options.cause !== undefined) this.cause = options.cause
  }
  override get message(): string {
    const why =
      this.notRepeated === true ? '; not repeated, as the retry policy has a "while" and no "retryTimeouts"' : ""
    return `The ${this.scope} for ${this.key} took longer than ${this.timeoutMillis} ms${why}`
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
  /** The last of the errors. */
  override get cause(): E | undefined {
    return this.errors.at(-1)
  }
  override get message(): string {
    return `${this.key} failed after ${this.attempts} attempts`
  }
}

/**
 * Whether a value is a `Rejection`, of this pipeline or of one inside it.
 *
 * @category guards
 * @since 0.1.0
 */
export const isRejection = (u: unknown): u is Rejection => typeof u === "object" && u !== null && TypeId in u

/** How many causes are looked through. */
const LINKS = 8

/**
 * The `Rejection` that an error is, or that led to it: through its `cause`, at most 8 of them, and through an Effect `Cause` by
 * its failures and defects. `undefined` where there is none, or where a `TimeoutExceeded` or `RetryExhausted` stands between:
 * those are failures of their own.
 *
 * No circuit counts an error that a refusal has led to, and no retry repeats one unless its policy says so. So a fallback
 * that failed after a refusal must not have the refusal as its `cause`.
 *
 * **Example** (An error of a repository, around a refusal)
 *
 * ```ts
 * import { Rejection } from "effect-resilience"
 *
 * const refused = new Rejection.BulkheadFull({ service: "app/Db", key: "ada", reason: "full" })
 * console.log(Rejection.rejectionIn(new Error("cannot read the user", { cause: refused }))?.service) // app/Db
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const rejectionIn = (u: unknown): Rejection | undefined => within(u, LINKS)

const within = (u: unknown, links: number): Rejection | undefined => {
  let at = u
  for (let left = links; left >= 0; left--) {
    if (isRejection(at)) return at
    if (typeof at !== "object" || at === null) return undefined
    if (at instanceof TimeoutExceeded || at instanceof RetryExhausted) return undefined
    if (Cause.isCause(at)) return rejectionOf(at, left)
    at = causeOf(at)
  }
  return undefined
}

/** Only where nothing else has failed in it. */
const rejectionOf = (cause: Cause.Cause<unknown>, links: number): Rejection | undefined => {
  let found: Rejection | undefined
  for (const reason of cause.reasons) {
    if (Cause.isInterruptReason(reason)) continue
    const rejection = within(Cause.isFailReason(reason) ? reason.error : reason.defect, links)
    if (rejection === undefined) return undefined
    found ??= rejection
  }
  return found
}
