/**
 * What every rate limiting kernel is asked and answers.
 */
import type { Decision, Kernel } from "./Kernel.ts"

/** `take` asks for `cost` units, `refund` gives back what one admitted `take` spent, `reset` forgets the key. */
export type LimiterInput<Receipt> =
  | { readonly op: "take"; readonly cost: number }
  | { readonly op: "refund"; readonly receipt: Receipt }
  | { readonly op: "reset" }

/**
 * `retryAfter` is 0 when allowed, exact when refused (refused at every millisecond before it, allowed at it if nothing
 * else is admitted), and `NEVER` when the cost can never pass.
 * `remaining` is how many units could be taken at once now; `resetAfter` is when the key is as good as new.
 * `receipt` is what a refund needs; it means nothing after a refusal.
 */
export interface LimiterDecision<Receipt> extends Decision {
  readonly retryAfter: number
  readonly remaining: number
  readonly resetAfter: number
  readonly receipt: Receipt
}

export const NEVER = -1

export interface LimiterKernel<Policy, State, Receipt> extends Kernel<
  Policy,
  State,
  LimiterInput<Receipt>,
  LimiterDecision<Receipt>
> {
  // oxlint-disable house/kernel-language -- a function that a kernel may lack, not a field of its data
  /**
   * When the last of `units` more units could be let through, if they come one by one and each goes as early as it can;
   * `now` where all fit at once. It tells an arriving call its wait behind the queue: exact while all ask for one unit, else
   * a lower bound. Absent: the turn of the first in the queue, and the limit's rate from there on.
   */
  readonly reach?: ((policy: Policy, state: State, units: number, now: number) => number) | undefined
  // oxlint-enable house/kernel-language
}

/** Whether a limit takes units for this: see `takes` of a kernel. */
export const takes = (input: LimiterInput<unknown>): boolean => input.op === "take"

/** What gives back the units that an admitted `take` took: see `undo` of a kernel. */
export const undo = <Receipt>(
  input: LimiterInput<Receipt>,
  answer: LimiterDecision<Receipt>
): LimiterInput<Receipt> | undefined =>
  input.op === "take" && "receipt" in answer ? { op: "refund", receipt: answer.receipt } : undefined
