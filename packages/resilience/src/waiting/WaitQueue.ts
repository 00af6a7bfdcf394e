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
import { push, remove, type Timed } from "../internal/heap.ts"
import { MOST_AT_ONCE, startTimer } from "../internal/timers.ts"

let arrivals = 0

/** One waiting call. It stands in at most one queue at a time, and keeps its age when it moves. */
export class Waiter implements Timed {
  readonly order = ++arrivals
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly arrivedAt: number
  /** Units that it waits for. */
  cost = 1
  /** When it must be asked for the last time. */
  deadline = Infinity
  /** Its place among the deadlines of the queue, and the deadline by which it has that; -1: it has none. */
  index = -1
  at = Infinity
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
  /** When the head asks again. */
  private retryAt = Infinity
  /** The waiters that must be asked for the last time, by when; of one time, by age. */
  private readonly deadlines: Array<Waiter> = []
  /** The waiter to wake next, where more are due than may be woken at once. */
  private next: Waiter | undefined
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

  /**
   * Stand in line by age. `retryAt` counts while the waiter is the head: then it may be admitted, as it was told. It asks again
   * at `askAt`, which may be sooner.
   */
  stand(waiter: Waiter, retryAt: number, cost = 1, askAt = retryAt): void {
    if (waiter.queue !== this) {
      waiter.queue?.remove(waiter)
      waiter.cost = cost
      this.insert(waiter)
    }
    this.expire(waiter, waiter.deadline)
    if (this.head === waiter) {
      this.headAt = retryAt
      this.retryAt = askAt
    }
    this.arm(waiter.fiber)
  }

  /** A call that was woken, and waits on, may have another deadline; it has none while it is about to ask for the last time. */
  private expire(waiter: Waiter, at: number): void {
    if (waiter.at === at && waiter.index >= 0) return
    if (waiter.index >= 0) remove(this.deadlines, waiter)
    waiter.index = -1
    waiter.at = at
    if (at < Infinity) push(this.deadlines, waiter)
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
    this.expire(waiter, Infinity)
    if (this.next === waiter) this.next = waiter.next
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
    if (this.head === undefined) this.disarm()
    this.onLeave()
  }

  /** In how many ms the head may be admitted, as far as is known. */
  headAfter(now: number): number {
    return Math.max(0, this.headAt - now)
  }

  /** So many units are free: the head asks, if they are enough for it. */
  wakeFor(units: number): void {
    if (this.head !== undefined && this.head.cost <= units) this.head.wake()
  }

  wakeHead(): void {
    this.head?.wake()
  }

  private arm(fiber: Fiber.Fiber<unknown, unknown>): void {
    const at = Math.min(this.retryAt, this.deadlines[0]?.at ?? Infinity)
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

  /** Answers how many it woke. */
  private onTime(): number {
    // the call that set the timer may have left, and an ended fiber knows no clock; without a waiter there is no timer
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
    const woken = this.wakeDue(now, headIsDue ? head : undefined)
    if (this.isDue(now)) {
      this.timerAt = now
      this.cancelTimer = startTimer(fiber, 0, () => this.onTime()) // in the next stretch
    } else if (!headIsDue) {
      // a head that asks again either stands again, which sets the timer, or leaves, which wakes the next
      this.arm(fiber)
    }
    return woken
  }

  private isDue(now: number): boolean {
    const [first] = this.deadlines
    return first !== undefined && first.at <= now
  }

  /**
   * Wakes those who must be asked for the last time, but no more than may be woken at once. Where the head is woken, since it
   * may be admitted, their turn may come with it: then all in front of them are asked first.
   */
  private wakeDue(now: number, head: Waiter | undefined): number {
    let woken = 0
    let waiter = this.next ?? head
    while (waiter !== undefined && woken < MOST_AT_ONCE && this.isDue(now)) {
      if (waiter.at <= now) this.expire(waiter, Infinity)
      if (waiter !== head) waiter.wake()
      woken++
      waiter = waiter.next
    }
    this.next = this.isDue(now) ? waiter : undefined
    while (woken < MOST_AT_ONCE && this.isDue(now)) {
      const due = this.deadlines[0]! // it is due
      this.expire(due, Infinity)
      due.wake()
      woken++
    }
    return woken
  }
}
