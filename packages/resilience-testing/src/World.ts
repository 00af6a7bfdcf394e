/**
 * A small world with its own time and its own scheduler, driven from outside turn by turn.
 *
 * `TestClock` lets a test say how much time passes. A world also lets it say what happens next: one turn of the
 * scheduler is one stretch of one fiber, and between two turns a test can look at everything, or interrupt somebody.
 * With `maxOpsBeforeYield` such stretches get short. Nothing here is asynchronous, so the same program always takes the
 * same turns.
 *
 * **Example** (A minute, one turn after the other)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { World } from "effect-resilience-testing"
 *
 * const world = new World.World()
 * const fiber = world.fork(Effect.as(Effect.sleep("1 minute"), "done"))
 * while (fiber.pollUnsafe() === undefined) world.turn()
 * console.log(world.elapsed) // 60000
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"
import TinyQueue from "tinyqueue"

interface Sleeper {
  readonly at: number
  /** Those who wake at the same time wake in the order in which they went to sleep. */
  readonly order: number
  wake: (() => void) | undefined
}

const sooner = (a: Sleeper, b: Sleeper): number => a.at - b.at || a.order - b.order

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How many operations a fiber may take in one turn. At 2 and below any fiber livelocks. Default: 2,048. */
  readonly maxOpsBeforeYield?: number | undefined
  /** The time at which the world begins, in milliseconds. Default: so late that a time read from any other clock is noticed. */
  readonly epoch?: number | undefined
  /** After so many turns in a row without an end, the world is a loop: it throws. Default: 200,000. */
  readonly maxTurns?: number | undefined
  /** Services that every fiber of this world sees, such as a seeded `Random` or an `EventSink`. */
  readonly context?: Context.Context<never> | undefined
}

/**
 * Virtual time, one queue of turns, and a count of everything that sleeps.
 *
 * @category models
 * @since 0.1.0
 */
export class World {
  /** The monotonic clock, in milliseconds. */
  now: number
  /** How far the wall clock is off the monotonic one, in milliseconds. Nothing that measures durations may notice. */
  skew = 0
  /** Turns taken since the world began. */
  turns = 0
  /** Sleeps that were ever started. */
  slept = 0
  /** Sleeps that go on. */
  sleeping = 0
  /** Called before each operation of each fiber. */
  onOp: ((fiber: Fiber.Fiber<unknown, unknown>) => void) | undefined
  private readonly epoch: number
  private readonly maxTurns: number
  private readonly context: Context.Context<never>
  private sleepers = new TinyQueue<Sleeper>([], sooner)
  private tasks: Array<(() => void) | undefined> = []
  private nextTask = 0

  constructor(options: Options = {}) {
    this.epoch = options.epoch ?? 2 ** 39
    this.maxTurns = options.maxTurns ?? 200_000
    this.now = this.epoch
    const mixed = new Scheduler.MixedScheduler("async", (task) => {
      const i = this.tasks.push(task) - 1
      const { tasks } = this
      return () => {
        tasks[i] = undefined
      }
    })
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: (fiber) => {
        this.onOp?.(fiber)
        return mixed.shouldYield(fiber)
      },
      makeDispatcher: () => mixed.makeDispatcher()
    }
    this.context = (options.context ?? Context.empty()).pipe(
      Context.add(Clock.Clock, this.clock()),
      Context.add(Scheduler.Scheduler, scheduler),
      Context.add(References.MaxOpsBeforeYield, options.maxOpsBeforeYield ?? 2048)
    )
  }

  private clock(): Clock.Clock {
    const millis = () => this.now + this.skew
    const nanos = () => BigInt(millis()) * 1_000_000n
    // asked for several times in each turn
    let stamp = { at: this.now, nanos: BigInt(this.now) * 1_000_000n }
    const monotonic = () => {
      if (stamp.at !== this.now) stamp = { at: this.now, nanos: BigInt(this.now) * 1_000_000n }
      return stamp.nanos
    }
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) => this.sleep(Duration.toMillis(duration))
    }
  }

  private sleep(millis: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const wakeUp = this.at(this.now + millis, () => resume(Effect.void))
      return Effect.sync(wakeUp)
    })
  }

  /** Calls back at a time, as if somebody had slept until then, but in no fiber. Returns how to call it off. */
  at(time: number, wake: () => void): () => void {
    const sleeper: Sleeper = { at: time, order: this.slept++, wake }
    this.sleeping++
    this.sleepers.push(sleeper)
    return () => this.forget(sleeper)
  }

  private forget(sleeper: Sleeper): void {
    if (sleeper.wake === undefined) return
    sleeper.wake = undefined
    this.sleeping--
    // those who were interrupted stay in the queue until their time, unless they are most of it
    if (this.sleepers.length > 2 * this.sleeping + 64) {
      const asleep = this.sleepers.data.filter(({ wake }) => wake !== undefined)
      this.sleepers = new TinyQueue(asleep, sooner)
    }
  }

  /** Starts a fiber of this world. It runs at once, as far as it can without a turn. */
  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.context)(effect)
  }

  /** Runs an effect that needs no time to its end. Throws where it needs time, or fails. */
  get<A, E>(effect: Effect.Effect<A, E>): A {
    const fiber = this.fork(effect)
    this.settle()
    const exit = fiber.pollUnsafe()
    if (exit === undefined) throw new Error("the effect needs time")
    if (exit._tag === "Failure") throw new Error(`the effect failed: ${String(exit.cause)}`)
    return exit.value
  }

  /** Whether nothing is left to happen at this time. */
  get idle(): boolean {
    return this.nextTask === this.tasks.length
  }

  /** One turn of the scheduler or, when there is none, the next sleeper's wake. `false`: nothing is left to happen. */
  turn(until = Infinity): boolean {
    if (this.runTask()) return true
    let next = this.sleepers.peek()
    while (next !== undefined && next.wake === undefined) {
      this.sleepers.pop()
      next = this.sleepers.peek()
    }
    if (next === undefined || next.at > until) return false
    this.count()
    this.sleepers.pop()
    this.now = Math.max(this.now, next.at)
    const { wake } = next
    next.wake = undefined
    this.sleeping--
    wake?.()
    return true
  }

  private runTask(): boolean {
    while (this.nextTask < this.tasks.length) {
      const task = this.tasks[this.nextTask++]
      if (task === undefined) continue
      this.count()
      task()
      return true
    }
    this.tasks = []
    this.nextTask = 0
    return false
  }

  private count(): void {
    if (++this.turns > this.maxTurns) throw new Error("a loop: the world does not come to rest")
  }

  /** Everything that can happen now. */
  settle(): void {
    while (this.runTask());
  }

  /** Everything that happens until then, and then it is then. */
  runTo(time: number): void {
    while (this.turn(time));
    this.now = Math.max(this.now, time)
  }

  /** Lets time pass, and everything that happens in it happen. */
  advance(millis: number): void {
    this.runTo(this.now + millis)
  }

  /** Milliseconds since the world began. */
  get elapsed(): number {
    return this.now - this.epoch
  }

  /** Everything that happens, until nobody sleeps any more. */
  runOut(): void {
    while (this.turn());
  }
}
