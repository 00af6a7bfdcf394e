/**
 * A bulkhead with slots for each key, or for each value of a dimension.
 *
 * A key has slots while a call of it runs or waits, and no longer: the map holds exactly the keys in use, so it needs no
 * bound. Therefore a ticket looks its slots up each time that it is asked, and keeps hold only of those it has taken from.
 */
import * as Effect from "effect/Effect"
import { partOf, type ReadKey } from "../internal/key.ts"
import { type Call, type Member, type Refusal, Stage, type Ticket } from "../Policy.ts"
import type { Step } from "../StoreModel.ts"
import { SlotGate, type SlotsSeen, type SlotSpec } from "./SlotGate.ts"

const NO_STEPS: ReadonlyArray<Step> = []

/** One slot of a key. */
class KeyedSlot implements Ticket {
  readonly steps = NO_STEPS
  declare private readonly gate: KeyedSlots
  declare private readonly call: Call
  declare private readonly part: string
  declare private taken: SlotGate | undefined

  constructor(gate: KeyedSlots, call: Call, part: string) {
    this.gate = gate
    this.call = call
    this.part = part
    this.taken = undefined
  }

  check(): boolean {
    const slots = this.gate.parts.get(this.part)
    return slots === undefined || !slots.blocked(this.call.waiter)
  }

  reserve(): void {
    this.taken = this.gate.slotsOf(this.part)
    this.taken.take()
  }

  unreserve(): void {
    this.release()
  }

  admitted(): void {}

  release(): undefined {
    const taken = this.taken! // by `reserve`, which comes first
    taken.release()
    this.gate.forget(this.part, taken)
  }

  refusal(now: number): Refusal | undefined {
    return this.gate.parts.get(this.part)?.refusal(this.call, now)
  }
}

export class KeyedSlots implements Member {
  readonly kind = "bulkhead"
  readonly stage = Stage.slots
  readonly scope = "attempt"

  get waits(): boolean {
    return this.spec.maxWait > 0
  }

  readonly service: string
  readonly spec: SlotSpec
  readonly parts = new Map<string, SlotGate>()
  /** The dimension; `undefined` for the whole key. */
  private readonly dimension: string | undefined

  constructor(spec: SlotSpec, by: string, service: string) {
    this.service = service
    this.spec = spec
    this.dimension = by === "key" ? undefined : by
  }

  enter(call: Call): Ticket {
    return new KeyedSlot(this, call, partOf(call.key, this.dimension))
  }

  slotsOf(part: string): SlotGate {
    const known = this.parts.get(part)
    if (known !== undefined) return known
    const slots = new SlotGate(this.spec, this.service, () => this.forget(part, slots))
    this.parts.set(part, slots)
    return slots
  }

  /** After a call of the part has ended, or has left the queue. */
  forget(part: string, slots: SlotGate): void {
    if (slots.running === 0 && slots.queue.size === 0) this.parts.delete(part)
  }

  /** The slots of a key; without one, all calls together. */
  look(key?: ReadKey): SlotsSeen {
    if (key !== undefined) {
      const slots = this.parts.get(partOf(key, this.dimension))
      return slots === undefined ? { running: 0, queued: 0, free: this.spec.maxConcurrent } : slots.look()
    }
    let running = 0
    let queued = 0
    for (const slots of this.parts.values()) {
      running += slots.running
      queued += slots.queue.size
    }
    return { running, queued, free: Infinity } // the next key finds slots of its own
  }

  readonly inspect = (key: ReadKey) => Effect.sync(() => this.look(key))
}
