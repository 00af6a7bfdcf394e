/**
 * A queue of calls that wait for admission.
 *
 * A waiter holds nothing: a wake is only a hint to ask again. Waiters stand in the order of their arrival, also when
 * they come over from another queue, and only the head is worth waking. One timer serves the whole queue, and none
 * exists while nobody waits.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { nowOf } from "../internal/time.ts"
import { startTimer } from "../internal/timers.ts"

let arrivals = 0

/** One waiting call. It stands in at most one queue at a time, and keeps its age when it moves. */
export class Waiter {
  readonly order = ++arrivals
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly arrivedAt: number
  /** Units that it waits for. */
  cost = 1
  /** When it must be asked for the last time. */
  deadline = Infinity
  queue: WaitQueue | undefined
  previous: Waiter | undefined
  next: Waiter | undefined
  private resume: (() => void) | undefined
  private woken = false

  constructor(fiber: Fiber.Fiber<unknown, unknown>, arrivedAt: number) {
    this.fiber = fiber
    this.arrivedAt = arrivedAt
  }

  /** Suspends until the next wake. A wake that came first is not lost. */
  readonly park: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.woken) {
      this.woken = false
      return resume(Effect.void)
    }
    this.resume = () => resume(Effect.void)
  })

  /** The woken fiber runs later, from its own dispatcher, so a wake never runs foreign code inside a commit. */
  wake(): void {
    if (this.resume === undefined) {
      this.woken = true
      return
    }
    this.fiber.currentDispatcher.scheduleTask(this.resume, 0)
    this.resume = undefined
  }

  leave(_admitted: boolean): void {
    this.queue?.remove(this)
  }
}

export class WaitQueue {
  head: Waiter | undefined
  tail: Waiter | undefined
  size = 0
  /** The costs of all waiters. */
  units = 0
  /** When the head may be admitted, as it was told last; a head that has not asked since it is the head was not told. */
  private headAt = -Infinity
  /** When the head may be admitted, as it was told when it last asked. */
  private retryAt = Infinity
  /** No deadline in the queue is before this. It may be earlier than all of them: then a timer fires for nothing. */
  private earliest = Infinity
  private timerAt = Infinity
  private cancelTimer: (() => void) | undefined
  /** How many may wait at the same time. */
  private readonly maxQueued: number
  private readonly onLeave: () => void

  constructor(maxQueued: number, onLeave: () => void) {
    this.maxQueued = maxQueued
    this.onLeave = onLeave
  }

  /** Whether somebody waits here who came before this waiter; anybody does, for a call that just arrives. */
  hasOlderThan(waiter: Waiter | undefined): boolean {
    return this.head !== undefined && (waiter === undefined || this.head.order < waiter.order)
  }

  /** Whether the queue is full, and all calls in it are older than this waiter; a call that just arrives is the youngest. */
  isFullFor(waiter: Waiter | undefined): boolean {
    if (this.size < this.maxQueued || (waiter !== undefined && waiter.queue === this)) return false
    return waiter === undefined || this.tail === undefined || this.tail.order < waiter.order
  }

  /** Stand in line by age. `retryAt` counts while the waiter is the head. */
  stand(waiter: Waiter, retryAt: number, cost = 1): void {
    if (waiter.queue !== this) {
      waiter.queue?.remove(waiter)
      waiter.cost = cost
      this.insert(waiter)
    }
    this.earliest = Math.min(this.earliest, waiter.deadline)
    if (this.head === waiter) this.headAt = this.retryAt = retryAt
    this.arm(waiter.fiber)
  }

  /** Into a queue that is not full for it. Of a full one, the youngest waiter leaves, and asks again: it is refused. */
  private insert(waiter: Waiter): void {
    let before = this.tail
    while (before !== undefined && before.order > waiter.order) before = before.previous
    const after = before === undefined ? this.head : before.next
    waiter.previous = before
    waiter.next = after
    if (before === undefined) this.head = waiter
    else before.next = waiter
    if (after === undefined) this.tail = waiter
    else after.previous = waiter
    waiter.queue = this
    this.size++
    this.units += waiter.cost
    if (this.size <= this.maxQueued) return
    const youngest = this.tail! // there are at least two
    this.remove(youngest)
    youngest.wake()
  }

  remove(waiter: Waiter): void {
    const wasHead = this.head === waiter
    if (waiter.previous === undefined) this.head = waiter.next
    else waiter.previous.next = waiter.next
    if (waiter.next === undefined) this.tail = waiter.previous
    else waiter.next.previous = waiter.previous
    waiter.previous = waiter.next = waiter.queue = undefined
    this.size--
    this.units -= waiter.cost
    if (wasHead) {
      this.headAt = -Infinity
      this.retryAt = Infinity
      this.head?.wake()
    }
    if (this.head === undefined) {
      this.earliest = Infinity
      this.disarm()
    }
    this.onLeave()
  }

  /** In how many ms the head may be admitted, as far as is known. */
  headAfter(now: number): number {
    return Math.max(0, this.headAt - now)
  }

  wakeHead(): void {
    this.head?.wake()
  }

  private arm(fiber: Fiber.Fiber<unknown, unknown>): void {
    const at = Math.min(this.retryAt, this.earliest)
    if (this.timerAt <= at) return
    this.disarm()
    this.timerAt = at
    this.cancelTimer = startTimer(fiber, Math.max(1, at - nowOf(fiber)), () => this.onTime())
  }

  private disarm(): void {
    this.cancelTimer?.()
    this.cancelTimer = undefined
    this.timerAt = Infinity
  }

  private onTime(): void {
    // whoever set the timer may have gone, and an ended fiber knows no clock; without a waiter there is no timer
    const head = this.head!
    const { fiber } = head
    const now = nowOf(fiber)
    this.cancelTimer = undefined
    this.timerAt = Infinity
    const headIsDue = this.retryAt <= now
    if (headIsDue) {
      this.retryAt = Infinity
      head.wake()
    }
    if (this.earliest <= now) this.wakeDue(now, headIsDue)
    // a head that asks again either stands again, which sets the timer, or leaves, which wakes the next
    if (!headIsDue) this.arm(fiber)
  }

  /**
   * Wakes those who must be asked for the last time. Where the head may be admitted, their turn may come with it: then
   * everybody in front of them is asked first.
   */
  private wakeDue(now: number, headIsDue: boolean): void {
    let inFront: Array<Waiter> = []
    this.earliest = Infinity
    for (let waiter = this.head; waiter !== undefined; waiter = waiter.next) {
      if (waiter.deadline > now) {
        this.earliest = Math.min(this.earliest, waiter.deadline)
        if (headIsDue) inFront.push(waiter)
        continue
      }
      for (const older of inFront) older.wake()
      inFront = []
      waiter.wake()
    }
  }
}
