/**
 * A service of some policies in a world of its own, and the calls that a law makes to it.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type { Policies } from "effect-resilience/Policies"
import { isRejection } from "effect-resilience/Rejection"
import * as Resilience from "effect-resilience/Resilience"
import { Store } from "effect-resilience/Store"
import { World } from "../World.ts"
import { Audit, audited } from "./auditedPolicy.ts"
import { Witness } from "./policyWitness.ts"

export type Key = string | { readonly [dimension: string]: string }

export interface Setting {
  readonly policies: Policies
  readonly keys: ReadonlyArray<Key>
  readonly context: Context.Context<never>
  /** Where the state is kept. */
  readonly store: Layer.Layer<Store>
  readonly maxOps: number
  /** The time at which the world begins; `undefined`: as late as a world does by itself. */
  readonly startsAt?: number | undefined
  /** Whether the witness stands before the policies. Default: behind them. */
  readonly witnessFirst?: boolean | undefined
}

/** What bodies die with: no other defect may be seen. */
export const BUG = "a bug in the effect"

/** A call, as it is seen from outside. */
export interface Made {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly cost: number
  /** How many times its effect began. */
  readonly starts: () => number
}

export class Stage {
  readonly world: World
  readonly audit = new Audit()
  readonly witness: Witness
  readonly made: Array<Made> = []
  private readonly keys: ReadonlyArray<Key>
  private readonly perAttempt: boolean
  private readonly store: Store["Service"]
  private readonly service: Resilience.ResilienceService<Policies>

  constructor({ context, keys, maxOps, policies, startsAt, store, witnessFirst = false }: Setting) {
    this.world = new World({ maxOpsBeforeYield: maxOps, context, epoch: startsAt })
    this.keys = keys
    this.perAttempt = policies.admission === "attempt"
    this.witness = new Witness(witnessFirst)
    this.store = this.world.get(Effect.provide(Store, Layer.fresh(store)))
    const own = audited(policies, this.audit)
    const all = { ...own, policies: { ...own.policies, "the witness of the laws": this.witness.policy } }
    const make = Resilience.makeFromStore("laws", all as never) // policies of whatever kind
    this.service = this.world.get(Effect.scoped(Effect.provideService(make, Store, this.store))) as never // the type of a service of any policies: `inspect` and `resilient` take all keys here
  }

  call(key: number, self: Effect.Effect<unknown, unknown>, cost = 1): Made {
    let starts = 0
    const body = Effect.suspend(() => {
      starts++
      return self
    })
    const { resilient } = this.service
    const call = resilient(body as Effect.Effect<unknown, never>, this.keys[key % this.keys.length] as never, { cost })
    const made: Made = { fiber: this.world.fork(call as Effect.Effect<unknown, unknown>), cost, starts: () => starts }
    this.made.push(made)
    return made
  }

  /** What the policies tell of every key. */
  seen(): string {
    const inspected = this.keys.map((key) =>
      this.world.get(this.service.inspect(key as never) as Effect.Effect<unknown>)
    )
    return JSON.stringify(inspected)
  }

  /** What the store has of some keys. */
  kept(asked: Audit["known"]): string {
    const kept = asked.map(([space, key]) => [space.name, key, this.world.get(this.store.read(space, key)).state])
    return JSON.stringify(kept)
  }

  /** Interrupts the calls that go on, lets all time pass, and looks at what is left. */
  end(): ReadonlyArray<string> {
    for (const { fiber } of this.made) fiber.interruptUnsafe()
    this.world.settle()
    const open = this.made.filter(({ fiber }) => fiber.pollUnsafe() === undefined).length
    const { sleeping } = this.world
    this.world.runOut()
    this.audit.end()
    const started = ({ starts }: Made) => (this.perAttempt ? starts() : Math.min(1, starts()))
    const used = this.made.reduce((sum, made) => sum + made.cost * started(made), 0)
    const spent = this.world.get(this.witness.spent(this.store))
    const { held } = this.witness
    return [
      ...this.audit.faults,
      ...this.made.flatMap(({ fiber }) => defectsOf(fiber.pollUnsafe())),
      ...(open > 0 ? [`${open} calls did not end when they were interrupted`] : []),
      ...(sleeping > 0 ? [`${sleeping} timers are left when all calls have ended`] : []),
      ...(spent !== used ? [`${used} units were used, and ${spent} were taken from a budget beside the policies`] : []),
      ...(held !== 0 ? [`${held} slots beside the policies are taken when all calls have ended`] : [])
    ]
  }
}

const defectsOf = (exit: Exit.Exit<unknown, unknown> | undefined): ReadonlyArray<string> =>
  exit?._tag === "Failure"
    ? exit.cause.reasons.flatMap((reason) =>
        Cause.isDieReason(reason) && reason.defect !== BUG ? [`a call died: ${String(reason.defect)}`] : []
      )
    : []

/** Whether a call was refused: its effect did not begin. */
export const isRefused = ({ fiber, starts }: Made): boolean => {
  const exit = fiber.pollUnsafe()
  return (
    starts() === 0 &&
    exit?._tag === "Failure" &&
    exit.cause.reasons.some((reason) => Cause.isFailReason(reason) && isRejection(reason.error))
  )
}
