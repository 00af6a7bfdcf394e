/**
 * A bulkhead's part in an admission: slots of this process, and a queue for those who may wait for one.
 */
import { BulkheadFull } from "../Rejection.ts"
import { type Waiter, WaitQueue } from "./WaitQueue.ts"

export interface SlotSpec {
  readonly maxConcurrent: number
  readonly maxQueued: number
  readonly maxWait: number
}

export type SlotRefusal =
  | { readonly _tag: "Rejected"; readonly rejection: BulkheadFull }
  | { readonly _tag: "Waits"; readonly deadline: number }

export class SlotGate {
  readonly kind = "slots"
  readonly spec: SlotSpec
  readonly service: string
  readonly queue = new WaitQueue(() => {})
  running = 0

  constructor(spec: SlotSpec, service: string) {
    this.spec = spec
    this.service = service
  }

  inspect(): { readonly running: number; readonly queued: number; readonly free: number } {
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

  assess(
    key: string,
    now: number,
    arrivedAt: number,
    callDeadline: number,
    waiter: Waiter | undefined
  ): SlotRefusal | undefined {
    if (!this.blocked(waiter)) return undefined
    const { maxQueued, maxWait } = this.spec
    const deadline = Math.min(arrivedAt + maxWait, callDeadline)
    const rejects = (reason: BulkheadFull["reason"]): SlotRefusal => ({
      _tag: "Rejected",
      rejection: new BulkheadFull({ service: this.service, key, reason })
    })
    if (maxWait === 0) return rejects("full")
    if (waiter === undefined && this.queue.size >= maxQueued) return rejects("queue-full")
    if (now >= deadline) return rejects("wait-too-long")
    return { _tag: "Waits", deadline }
  }
}
