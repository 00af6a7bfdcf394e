/** A policy of your own with a state in the store: what each tenant may spend in a day of the store's clock, in cents. */
// #region imports
import { Context, Effect } from "effect"
import { Policy, Rejection, Store, Validate } from "effect-resilience"
import type { LimiterKernel } from "effect-resilience/kernel/Limiter"
// #endregion

// #region kernel
const DAY = 86_400_000
export type Spent = { readonly day: number; readonly cents: number }

/** Its state in the store: what was spent on the last day on which anything was. */
export const kernel: LimiterKernel<{ readonly cents: number }, Spent, Spent> = {
  id: "daily-budget@1",
  initial: () => ({ day: 0, cents: 0 }),
  expiresAt: (_, { cents, day }) => (cents === 0 ? day : day + 1) * DAY,
  step(budget, spent, input, now) {
    const day = Math.max(Math.floor(now / DAY), spent.day) // a clock that is set back brings no new day
    const usedIn = (of: Spent) => (of.day === day ? of.cents : 0)
    const answer = (next: Spent, retryAfter = 0, cents = 0) => {
      const remaining = Math.max(0, budget.cents - usedIn(next))
      const resetAfter = Math.max(0, this.expiresAt(budget, next)! - now) // every state ends
      return [{ allowed: retryAfter === 0, retryAfter, remaining, resetAfter, receipt: { day, cents } }, next] as const
    }
    if (input.op === "reset") return answer({ day: 0, cents: 0 })
    if (input.op === "refund" && input.receipt.day !== spent.day) return answer(spent) // of another day
    if (input.op === "refund") return answer({ day: spent.day, cents: Math.max(0, spent.cents - input.receipt.cents) })
    if (input.cost === 0) return answer(spent)
    if (input.cost > budget.cents) return answer(spent, -1) // on no day
    const cents = usedIn(spent) + input.cost
    return cents > budget.cents ? answer(spent, (day + 1) * DAY - now) : answer({ day, cents }, 0, input.cost)
  }
}
// #endregion

// #region policy
/** What a call costs, in cents. */
export const Price = Context.Reference<number>("app/Price", { defaultValue: () => 1 })

export class BudgetSpent extends Rejection.Rejection {
  readonly _tag = "BudgetSpent"
  readonly policy = "dailyBudget"
  readonly reason = "spent"
}

type Left = { readonly cents: number }
type Control = { readonly reset: (part: string) => Effect.Effect<unknown, Rejection.StoreError> }

interface DailyBudget<By extends string> extends Policy.Policy<BudgetSpent, unknown, By, Left, Control> {
  readonly options: { readonly cents: number; readonly by: By }
}

export const dailyBudget = <const By extends string>(options: DailyBudget<By>["options"]) =>
  Policy.make<DailyBudget<By>>({
    kind: "dailyBudget",
    options,
    open({ store, ...env }) {
      const { by, cents } = this.options
      const name = Policy.spaceName(env, this.kind)
      const keys = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity } as const
      const space = { name, kernel, policy: { cents: Validate.count(this.kind, "cents", cents) }, keys, isLimit: true }
      return {
        kind: this.kind,
        stage: Policy.Stage.limit,
        by: `.${by}`,
        spaces: [space],
        enter(call) {
          const cost = Validate.count("Price", "cents", call.cost * call.fiber.getRef(Price), 0)
          const step = new Store.Step(space, Policy.partOf(call.key, by), { op: "take", cost })
          return {
            steps: [step],
            check: () => true, // only the store decides
            refusal(_now, asked) {
              const answer = step.result?.[0]
              if (!asked || answer?.allowed === true) return undefined
              const retryAfterMillis = answer === undefined || answer.retryAfter < 0 ? undefined : answer.retryAfter
              return { error: new BudgetSpent({ service: env.service, key: step.key, retryAfterMillis }) }
            },
            admitted() {},
            release(started) {
              if (started) return undefined
              step.input = { op: "refund", receipt: step.result![0].receipt } // it was admitted
              return Effect.ignore(store.commit([step]))
            }
          }
        },
        inspect: (key) =>
          Effect.map(store.read(space, Policy.partOf(key, by)), ({ now, state = kernel.initial(space.policy) }) => ({
            cents: kernel.step(space.policy, state, { op: "take", cost: 0 }, now)[0].remaining
          })),
        control: { reset: (part: string) => store.commit([new Store.Command(space, part, { op: "reset" })]) }
      }
    }
  })
// #endregion
