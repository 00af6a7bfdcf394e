/**
 * Timers of calls. Those of one clock share one sleep, since a fiber that sleeps and is woken too early costs more than
 * the rest of a call, and most calls end long before their time.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { ambientOf } from "./ambient.ts"
import { pop, push, remove, type Timed } from "./heap.ts"
import { isolated, report } from "./isolated.ts"
import { nowAt } from "./time.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** What is called at a time; it answers how many fibers it woke, where that may be more than one. */
type OnTime = () => number | void

/**
 * So many fibers are woken in one stretch, and the next ones a turn of the scheduler later: however many are due at one time,
 * the process answers in between. A fiber that is woken takes some 10 to 50 us.
 */
export const MOST_AT_ONCE = 256

let timers = 0

class Timer implements Timed {
  declare at: number
  declare index: number
  declare readonly order: number
  declare readonly onTime: OnTime
  declare readonly fiber: AnyFiber
  /** The fiber may end before its timer, and then has none. */
  declare readonly context: Context.Context<never>

  constructor(fiber: AnyFiber, at: number, onTime: OnTime) {
    this.at = at
    this.index = 0 // until it is pushed
    this.order = ++timers
    this.onTime = onTime
    this.fiber = fiber
    this.context = fiber.context
  }
}

class Timers {
  private readonly clock: Clock.Clock
  private readonly heap: Array<Timer> = []
  /** When the sleep ends. It may end before anything is due: then it is slept again. */
  private wakesAt = Infinity
  private sleep: Fiber.Fiber<void> | undefined
  /** The number of the sleep that goes on. */
  private sleepId = 0
  private checks = false

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  start(fiber: AnyFiber, millis: number, onTime: OnTime): Timer {
    const timer = new Timer(fiber, nowAt(this.clock) + millis, onTime)
    push(this.heap, timer)
    const first = this.heap[0]! // a sleep may have broken off before it
    if (first.at < this.wakesAt) this.arm(first)
    return timer
  }

  cancel(timer: Timer): void {
    if (this.heap[timer.index] !== timer) return
    remove(this.heap, timer)
    if (this.heap.length > 0 || this.checks) return
    // the next call may come at once, and need a timer, too
    this.checks = true
    timer.fiber.currentDispatcher.scheduleTask(() => {
      this.checks = false
      if (this.heap.length === 0) this.disarm()
    }, 0)
  }

  private arm(timer: Timer): void {
    const { at } = timer
    this.sleepFor(
      timer,
      Effect.suspend(() => this.clock.sleep(Duration.millis(Math.max(1, at - nowAt(this.clock)))))
    )
  }

  /** `sleep` ends when the timer is due. */
  private sleepFor({ at, context }: Timer, sleep: Effect.Effect<void>): void {
    this.disarm()
    this.wakesAt = at
    const id = this.sleepId
    this.sleep = Effect.runForkWith(context)(Effect.onExitPrimitive(sleep, (exit) => this.ended(exit, id)))
  }

  private disarm(): void {
    const { sleep } = this
    this.awake() // first: what the interruption runs finds no sleep
    sleep?.interruptUnsafe()
  }

  private awake(): void {
    this.sleep = undefined
    this.sleepId++
    this.wakesAt = Infinity
  }

  /** A sleep that the clock broke off is reported. The next timer that starts begins a new one, for all that wait. */
  private ended(exit: Exit.Exit<void>, id: number): undefined {
    if (id !== this.sleepId) return // another one has taken its place
    if (exit._tag === "Success") return this.onTime()
    this.awake()
    report(Cause.squash(exit.cause))
  }

  /** What a callback throws goes to the process: other timers that are due fire, and the next sleep begins. */
  private onTime(): undefined {
    this.awake()
    this.checks = false // the dispatcher of a check may have dropped it
    const now = nowAt(this.clock)
    this.wakesAt = -Infinity // for what a callback starts, the sleep begins below
    let woken = 0
    let first = this.heap[0]
    while (first !== undefined && first.at <= now && woken < MOST_AT_ONCE) {
      const { onTime } = pop(this.heap)
      let more: number | void = 1
      isolated(() => (more = onTime()))
      woken += Math.max(1, more ?? 1)
      first = this.heap[0]
    }
    this.wakesAt = Infinity
    if (first === undefined) return
    if (first.at > now) this.arm(first)
    else this.sleepFor(first, Effect.yieldNow)
  }
}

const byClock = new WeakMap<Clock.Clock, Timers>()

/** Calls back after `millis` on the fiber's clock, unless cancelled first. */
export const startTimer = (fiber: AnyFiber, millis: number, onTime: OnTime): (() => void) => {
  const { clock } = ambientOf(fiber)
  let timers = byClock.get(clock)
  if (timers === undefined) byClock.set(clock, (timers = new Timers(clock)))
  const all = timers
  const timer = all.start(fiber, millis, onTime)
  return () => all.cancel(timer)
}
