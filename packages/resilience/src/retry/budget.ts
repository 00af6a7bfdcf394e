/**
 * Which budget the retries of a policy take from.
 */
import * as Context from "effect/Context"
import type { Policy as BudgetPolicy, RetryBudgetService } from "../RetryBudget.ts"
import { such } from "../Validate.ts"

/** The tag of a budget, as `RetryBudget.Service` makes it. @category models @since 0.1.0 */
export type BudgetTag<R> = Context.Key<R, RetryBudgetService>

/**
 * Which budget the retries take from. `R` is what the layer of a service then requires.
 *
 * @category models
 * @since 0.1.0
 */
export interface BudgetOption<out R> {
  /**
   * How many retries there may be in all: a `RetryBudget.Service`, which all services share that name it and whose layer they
   * require, or a `RetryBudget.policy`, of which each service has one of its own. A retry that it refuses ends the call with
   * the last error as it was. Default: none.
   */
  readonly budget?: BudgetTag<R> | BudgetPolicy | undefined
}

/** One that each service has for itself. */
export interface OwnBudget {
  readonly budget?: BudgetPolicy | undefined
}

const isBudgetPolicy = (u: unknown): u is BudgetPolicy =>
  typeof u === "object" && u !== null && "open" in u && typeof u.open === "function"

/** The budget that the options name. Where a policy is only checked, that of the context is not known yet. */
export const budgetOf = (
  module: string,
  { budget }: BudgetOption<unknown>,
  context: Context.Context<never> | undefined
): RetryBudgetService | undefined => {
  if (budget === undefined) return undefined
  if (isBudgetPolicy(budget)) return budget.open()
  such(module, "budget", budget, Context.isKey(budget), "a RetryBudget.Service, or a RetryBudget.policy")
  // the layer of the service requires it
  return context && Context.getUnsafe(context as Context.Context<unknown>, budget)
}
