/**
 * A policy's part in one call. These types are exported from `Policy`.
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Outcome } from "../Outcome.ts"
import type { Step } from "../StoreModel.ts"
import type { Waiter } from "../waiting/WaitQueue.ts"

/**
 * A member's part in one admission. `record` and `release` are called once for each admission, also where the call is
 * interrupted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ticket {
  /** What is asked of the store, in one commit with the steps of all other members. None where the member decides by itself. */
  readonly steps: ReadonlyArray<Step>
  /**
   * True if this process has no reason to refuse the call. Takes nothing; it may note on the ticket what it decided. Called
   * again each time that the call asks again, as after a wait. `now` is on the monotonic clock, which is no time of the day.
   *
   * Where one member says no, a store in this process is asked all the same, and keeps nothing, so that the refusal lists
   * every limit that refused, and when to retry; a remote one is not asked.
   */
  check(now: number): boolean
  /** What a remote store has to hear before it is asked. */
  before?(now: number): Effect.Effect<void> | undefined
  /** Takes what is local: before the trip to a remote store, so that no other call takes it meanwhile. */
  reserve?(): void
  /** Undoes `reserve`, where the answer is no, or does not come in time. */
  unreserve?(): void
  /**
   * Asked of each ticket after a refusal: the error if this member refused, else `undefined`. Must agree with `check`.
   * `asked` false: the steps were not put to the store, so their results are no answers to this question.
   */
  refusal(now: number, asked: boolean): Refusal | undefined
  admitted(now: number): void
  /** Called once with the outcome. */
  record?(outcome: Outcome, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined
  /** The body has ended. `started` false: it never began, and what was spent is refunded. */
  release?(started: boolean): Effect.Effect<void> | undefined
  /** An attempt of the call begins, or has ended. Only of a member that `clocksAttempts`. */
  attemptBegan?(now: number): void
  attemptEnded?(now: number): void
  /** What the effect finds in its context while the ticket is held. Read when the ticket is admitted. */
  readonly context?: Context.Context<never> | undefined
  /** Whether this admission is for one attempt only: a probe. */
  readonly single?: boolean
  /** Whether the admission is no longer valid (the circuit moved on). */
  left?(now: number): boolean
  /** Calls back when `left` may have changed. */
  watch?(onMove: () => void): () => void
}

/** Why a member refused. @category models @since 0.1.0 */
export interface Refusal {
  readonly error: unknown
  /** When the member may let the call through; absent if unknown. An unknown time sorts before every known one. */
  readonly retryAt?: number | undefined
  /**
   * Until when the call may wait. Absent where the refusal is not about time: then the refusal is reported even if the call's
   * deadline has passed.
   */
  readonly until?: number | undefined
  /**
   * Enters the member's queue, as the engine chose this one to wait in. What it returns refuses the call: the queue is full of
   * older ones. Absent where the call may not wait.
   */
  readonly wait?: ((waiter: Waiter) => unknown) | undefined
  /** The queue's name, for `Queued`. */
  readonly queue?: string | undefined
}
