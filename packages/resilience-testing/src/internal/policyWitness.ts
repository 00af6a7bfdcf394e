/**
 * A policy beside those under test: it refuses where a law says so, and keeps count of what it let through, in a slot of
 * this process and in units of the store. So it tells what the policies beside it, and the engine, did to a neighbour.
 */
import * as Effect from "effect/Effect"
import type { Decision, Kernel } from "effect-resilience/kernel/Kernel"
import {
  type AnyPolicy,
  type Call,
  type Env,
  make,
  type Member,
  type Policy,
  Stage,
  type Ticket
} from "effect-resilience/Policy"
import { Rejection } from "effect-resilience/Rejection"
import { type Space, Step, type Store } from "effect-resilience/Store"

class Refused extends Rejection {
  readonly _tag = "Refused"
  readonly policy = "witness"
  readonly reason = "told to"
}

interface Used {
  readonly used: number
}
type Input =
  | { readonly op: "take"; readonly cost: number; readonly may: boolean }
  | { readonly op: "refund"; readonly receipt: number }
interface Answer extends Decision {
  readonly receipt: number
}

/** Counts units, and lets through what may be. */
const meter: Kernel<{}, Used, Input, Answer> = {
  id: "witness@1",
  initial: () => ({ used: 0 }),
  expiresAt: (_, { used }) => (used === 0 ? 0 : undefined),
  step: (_, { used }, input) => {
    if (input.op === "refund") return [{ allowed: true, receipt: 0 }, { used: used - input.receipt }]
    return [{ allowed: input.may, receipt: input.cost }, { used: input.may ? used + input.cost : used }]
  }
}

const KEY = "all"

/** Whether the witness lets a call through, and where it does not, who says so. */
export type Verdict = "passes" | "refused in this process" | "refused by the store"

export class Witness {
  /** For the calls that come now. */
  verdict: Verdict = "passes"
  /** Slots that are taken. */
  held = 0
  readonly policy: AnyPolicy
  private space: Space<{}, Used, Input, Answer> | undefined

  constructor(isFirst: boolean) {
    const open: Policy["open"] = ({ label, service, store }) => {
      this.space = {
        name: `${service}/${label}`,
        kernel: meter,
        policy: {},
        keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity }
      }
      return [this.units(this.space, store, isFirst ? 31 : 51), this.slots(isFirst ? 32 : 61)]
    }
    this.policy = make<Policy>({ kind: "witness", options: {}, open })
  }

  private units(space: Space<{}, Used, Input, Answer>, store: Env["store"], stage: number): Member {
    const enter = ({ cost, name: key, service }: Call): Ticket => {
      const step = new Step(space, KEY, { op: "take", cost, may: this.verdict !== "refused by the store" })
      return {
        steps: [step],
        check: () => true,
        refusal: () =>
          step.result?.[0].allowed === false
            ? { error: new Refused({ service, key, retryAfterMillis: 1 }) }
            : undefined,
        admitted: () => {},
        release: (started) => {
          if (started) return undefined
          step.input = { op: "refund", receipt: cost }
          return Effect.ignore(store.commit([step]))
        }
      }
    }
    return { kind: "witness", stage, enter, by: "", spaces: [space] }
  }

  private slots(stage: number): Member {
    const enter = ({ name: key, service }: Call): Ticket => {
      const free = this.verdict !== "refused in this process"
      return {
        steps: [],
        check: () => free,
        reserve: () => void this.held++,
        unreserve: () => void this.held--,
        refusal: () => (free ? undefined : { error: new Refused({ service, key }) }),
        admitted: () => {},
        release: () => void this.held--
      }
    }
    return { kind: "witness", stage, scope: "attempt", enter }
  }

  /** Units that were taken and not given back. */
  spent(store: Store["Service"]): Effect.Effect<number> {
    return Effect.orDie(Effect.map(store.read(this.space!, KEY), ({ state }) => state?.used ?? 0)) // a policy is opened before it is used
  }
}

/** A layer that notes when it is passed. */
export const probe = (stage: number, onPass: (stage: number) => void): AnyPolicy =>
  make<Policy>({
    kind: "probe",
    options: {},
    open: (): Member => ({
      kind: "probe",
      stage,
      around: (next) => (attempt, now) =>
        Effect.suspend(() => {
          if (attempt === attempt.call) onPass(stage) // a call is its own first attempt
          return next(attempt, now)
        })
    })
  })

/** Where a service may have several layers. */
export const manyAt = (stage: number): boolean =>
  ![Stage.timeout, Stage.retry, Stage.hedge, Stage.attemptTimeout].some((one) => one === stage)
