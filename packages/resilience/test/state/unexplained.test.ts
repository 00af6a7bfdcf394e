/** A policy whose ticket refuses, and gives no reason: the call ends with a defect that names the policy. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import { Bulkhead, Policy, RateLimiter, Resilience, Store } from "../../src/index.ts"
import { remote, serviceOn } from "./remote.ts"

const ticket: Policy.Ticket = { steps: [], check: () => true, refusal: () => undefined, admitted() {} }

const policyOf = (kind: string, of: (space: Store.AnySpace) => Partial<Policy.Ticket>) =>
  Policy.make<Policy.Policy>({
    kind,
    options: {},
    open(env) {
      const keys = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity } as const
      const name = Policy.spaceName(env, kind)
      const space: Store.AnySpace = { name, kernel: fixedWindow, policy: { limit: 1, window: 1_000 }, keys }
      const enter = (): Policy.Ticket => ({ ...ticket, ...of(space) })
      return { kind, stage: Policy.Stage.limit, spaces: [space], enter }
    }
  })

/** Refuses in this process. */
const closed = policyOf("closed", () => ({ check: () => false }))
/** Refuses the first time that it is asked for a call, and not the second time. */
const wavers = policyOf("wavers", () => {
  let asked = 0
  return { check: () => ++asked > 1 }
})
/** Refused by the store: more than there ever is. */
const spent = policyOf("spent", (space) => ({ steps: [new Store.Step(space, "all", { op: "take", cost: 2 })] }))

const messageOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit)
    ? exit.cause.reasons.map((reason) => (Cause.isDieReason(reason) ? String(reason.defect) : reason._tag)).join("; ")
    : "succeeded"

const message = (kinds: string) => `Error: no refusal says why ${kinds} refused`

const free = { rateLimiter: RateLimiter.tokenBucket({ limit: 5, window: 1_000 }) }

describe("a policy that refuses and gives no reason", () => {
  for (const [what, policy, kinds] of [
    ["its check says no", closed, "closed"],
    ["the store refuses its steps", spent, "spent"],
    ["its check says no once, and so cannot be told from the others", wavers, ""]
  ] as const) {
    const policies = { ...free, bulkhead: Bulkhead.policy({ maxConcurrent: 1 }), policies: { mine: policy } }
    it.effect(`is named in the defect of the call, in this process: ${what}`, () =>
      Effect.gen(function* () {
        const api = yield* Resilience.make("app/orders", policies)
        assert.strictEqual(messageOf(yield* Effect.exit(api.resilient(Effect.void, "ada"))), message(kinds))
        const { bulkhead, rateLimiter } = yield* api.inspect("ada")
        assert.deepStrictEqual([rateLimiter?.remaining, bulkhead?.running], [5, 0])
      })
    )
    it.effect(`is named in the defect of the call, on a remote store: ${what}`, () =>
      Effect.gen(function* () {
        const { layer } = yield* remote
        const api = yield* serviceOn(layer, policies)
        assert.strictEqual(messageOf(yield* Effect.exit(api.resilient(Effect.void, "ada"))), message(kinds))
        const { bulkhead, rateLimiter } = yield* api.inspect("ada")
        assert.deepStrictEqual([rateLimiter?.remaining, bulkhead?.running], [5, 0])
      })
    )
  }
})
