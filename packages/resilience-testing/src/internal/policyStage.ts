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
import * as RemoteStore from "effect-resilience/RemoteStore"
import * as Resilience from "effect-resilience/Resilience"
import { layerMemory, Step, Store } from "effect-resilience/Store"
import { World } from "../World.ts"
import { Audit, audited } from "./auditedPolicy.ts"

export type Key = string | { readonly [dimension: string]: string }

/** Where the state is kept: in this process, or behind trips of so many turns there and back. */
export type Place = { readonly there: number; readonly back: number } | undefined

const yields = (turns: number): Effect.Effect<void> =>
  Effect.forEach(Array.from({ length: turns }), () => Effect.yieldNow, { discard: true })

/** The memory store behind trips. */
const remote = (memory: Store["Service"], { back, there }: NonNullable<Place>): Store["Service"] =>
  RemoteStore.make({
    commit: (steps) =>
      Effect.suspend(() => {
        const sent = steps.map(({ input, key, space }) => new Step(space, key, input))
        return Effect.andThen(
          yields(there),
          Effect.tap(memory.commit(sent), () => yields(back))
        ) as never // the same steps, the same answers
      }),
    read: (space, key) => memory.read(space, key),
    clear: (space) => memory.clear(space)
  })

export interface Setting {
  readonly policies: Policies
  readonly keys: ReadonlyArray<Key>
  readonly context: Context.Context<never>
  readonly place: Place
  readonly maxOps: number
}

/** A call, as it is seen from outside. */
export interface Made {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly started: () => boolean
}

export class Stage {
  readonly world: World
  readonly audit = new Audit()
  readonly keys: ReadonlyArray<Key>
  readonly made: Array<Made> = []
  private readonly service: Resilience.ResilienceService<Policies>

  constructor({ context, keys, maxOps, place, policies }: Setting) {
    this.world = new World({ maxOpsBeforeYield: maxOps, context })
    this.keys = keys
    const store = Effect.provide(
      Effect.map(Store, (memory) => (place === undefined ? memory : remote(memory, place))),
      Layer.fresh(layerMemory)
    )
    const make = Effect.flatMap(store, (store) =>
      Effect.provideService(Resilience.makeFromStore("laws", audited(policies, this.audit) as never), Store, store)
    )
    this.service = this.world.get(Effect.scoped(make)) as never // of these policies, whatever they are
  }

  call(key: number, self: Effect.Effect<unknown, unknown>, cost = 1): Made {
    let started = false
    const body = Effect.suspend(() => {
      started = true
      return self
    })
    const { resilient } = this.service
    const call = resilient(body as Effect.Effect<unknown, never>, this.keys[key % this.keys.length] as never, { cost })
    const made: Made = { fiber: this.world.fork(call as Effect.Effect<unknown, unknown>), started: () => started }
    this.made.push(made)
    return made
  }

  /** What the policies know of every key, as data. */
  seen(): string {
    const inspected = this.keys.map((key) =>
      this.world.get(this.service.inspect(key as never) as Effect.Effect<unknown>)
    )
    return JSON.stringify(inspected)
  }

  /** Interrupts the calls that go on, lets all time pass, and looks at what is left. */
  end(): ReadonlyArray<string> {
    for (const { fiber } of this.made) fiber.interruptUnsafe()
    this.world.settle()
    this.world.runOut()
    this.audit.end()
    const open = this.made.filter(({ fiber }) => fiber.pollUnsafe() === undefined).length
    const { sleeping } = this.world
    return [
      ...this.audit.faults,
      ...(open > 0 ? [`${open} calls did not end when they were interrupted`] : []),
      ...(sleeping > 0 ? [`${sleeping} timers are left`] : [])
    ]
  }
}

/** Whether a call was refused before its effect ran. */
export const isRefused = (exit: Exit.Exit<unknown, unknown>): boolean =>
  exit._tag === "Failure" &&
  exit.cause.reasons.some((reason) => Cause.isFailReason(reason) && isRejection(reason.error))
