/**
 * A bulkhead's part in an admission: slots of this process, and a queue for those who may wait for one.
 */
import * as Effect from "effect/Effect"
import { type Call, type Member, type Refusal, Stage, type Ticket } from "../Policy.ts"
import { BulkheadFull } from "../Rejection.ts"
import type { Step } from "../StoreModel.ts"
import { type Waiter, WaitQueue } from "../waiting/WaitQueue.ts"

export interface SlotSpec {
  readonly maxConcurrent: number
  readonly maxQueued: number
  readonly maxWait: number
}

/** What `inspect` tells. */
export interface SlotsSeen {
  readonly running: number
  readonly queued: number
  readonly free: number
}

const NO_STEPS: ReadonlyArray<Step> = []

/** One slot: asked for, taken, released. */
class Slot implements Ticket {
  readonly steps = NO_STEPS
  declare private readonly gate: SlotGate
  declare private readonly call: Call

  constructor(gate: SlotGate, call: Call) {
    this.gate = gate
    this.call = call
  }

  check(): boolean {
    return !this.gate.blocked(this.call.waiter)
  }

  reserve(): void {
    this.gate.take()
  }

  unreserve(): void {
    this.gate.release()
  }

  admitted(): void {}

  release(): undefined {
    this.gate.release()
  }

  refusal(now: number): Refusal | undefined {
    return this.gate.refusal(this.call, now)
  }
}

/** One set of slots, and the queue for them: those of a service, or of a key. */
export class SlotGate implements Member {
  readonly kind = "bulkhead"
  readonly stage = Stage.slots
  readonly scope = "attempt"
  readonly service: string
  readonly spec: SlotSpec
  readonly queue: WaitQueue
  running = 0

  constructor(spec: SlotSpec, service: string, onLeave: () => void = () => {}) {
    this.service = service
    this.spec = spec
    this.queue = new WaitQueue(spec.maxQueued, onLeave)
  }

  get waits(): boolean {
    return this.spec.maxWait > 0
  }

  enter(call: Call): Ticket {
    return new Slot(this, call)
  }

  readonly inspect = () => Effect.sync(() => this.look())

  look(): SlotsSeen {
    return { running: this.running, queued: this.queue.size, free: Math.max(0, this.spec.maxConcurrent - this.running) }
  }

  blocked(waiter: Waiter | undefined): boolean {
    return this.running >= this.spec.maxConcurrent || this.queue.hasOlderThan(waiter)
  }

  take(): void {
    this.running++
  }

  release(): void {
    this.running--
    this.queue.wakeHead()
  }

  refusal(call: Call, now: number): Refusal | undefined {
    if (!this.blocked(call.waiter)) return undefined
    const { maxWait } = this.spec
    const until = Math.min(call.arrivedAt + maxWait, call.waitsUntil(now))
    const error = (reason: BulkheadFull["reason"]) =>
      new BulkheadFull({ service: this.service, key: call.name, reason })
    if (maxWait === 0) return { error: error("full"), until }
    if (call.waiter === undefined && this.queue.isFullFor(undefined)) return { error: error("queue-full"), until }
    if (now >= until) return { error: error("wait-too-long"), until }
    const wait = (waiter: Waiter) => {
      if (this.queue.isFullFor(waiter)) return error("queue-full")
      this.queue.stand(waiter, Infinity)
      return undefined
    }
    return { error: error("full"), until, wait }
  }
}
