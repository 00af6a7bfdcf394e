/**
 * A small world for the laws: its own time and its own scheduler, so that a test decides turn by turn what happens,
 * and can interrupt a call at every point where a fiber can be interrupted.
 */
import { Cause, Clock, Context, Duration, Effect, Exit, type Fiber, References, Scheduler } from "effect"
import type { Event } from "../../src/Event.ts"
import { EventSink } from "../../src/Event.ts"
import type { Key } from "../../src/internal/key.ts"
import * as memoryStore from "../../src/internal/memoryStore.ts"
import { run } from "../../src/internal/pipeline/Call.ts"
import { compose, type Composed, fromPolicies } from "../../src/internal/pipeline/compose.ts"
import { breaker, view } from "../../src/kernel/Breaker.ts"
import type { Policies } from "../../src/Policies.ts"
import type { Inspection } from "../../src/Resilience.ts"
import type { StoreError } from "../../src/Rejection.ts"
import { Step, type Store } from "../../src/Store.ts"

export type StoreService = Store["Service"]

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** A turn that never ends the test by itself: more of them than this is a loop. */
const TOO_MANY = 200_000

/** When worlds begin: so late that a time read from any other clock is noticed. */
const EPOCH = 2 ** 39

/** Virtual time, one queue of turns, and a count of everything that sleeps. */
export class World {
  now = EPOCH
  /** How far the wall clock is off. Nothing may depend on it. */
  skew = 0
  turns = 0
  /** Sleeps that were ever started. */
  slept = 0
  readonly sleepers: Array<Sleeper> = []
  readonly events: Array<Event> = []
  /** Called before each operation of each fiber. */
  onOp: ((fiber: Fiber.Fiber<unknown, unknown>) => void) | undefined
  private readonly tasks: Array<() => void> = []
  private readonly context: Context.Context<never>

  constructor(
    options: { readonly maxOps?: number | undefined; readonly sink?: ((event: Event) => void) | undefined } = {}
  ) {
    const mixed = new Scheduler.MixedScheduler("async", (turn) => {
      this.tasks.push(turn)
      return () => {
        const i = this.tasks.indexOf(turn)
        if (i >= 0) this.tasks.splice(i, 1)
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
    this.context = Context.empty().pipe(
      Context.add(Clock.Clock, this.clock()),
      Context.add(Scheduler.Scheduler, scheduler),
      Context.add(References.MaxOpsBeforeYield, options.maxOps ?? 2048),
      Context.add(EventSink, options.sink)
    )
  }

  private clock(): Clock.Clock {
    const millis = () => this.now + this.skew
    const nanos = () => BigInt(millis()) * 1_000_000n
    const monotonic = () => BigInt(this.now) * 1_000_000n
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) =>
        Effect.callback<void>((resume) => {
          const sleeper = { at: this.now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
          this.slept++
          this.sleepers.push(sleeper)
          return Effect.sync(() => this.forget(sleeper))
        })
    }
  }

  private forget(sleeper: Sleeper): void {
    const i = this.sleepers.indexOf(sleeper)
    if (i >= 0) this.sleepers.splice(i, 1)
  }

  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.context)(effect)
  }

  /** Runs an effect that needs no time to its end. */
  get<A, E>(effect: Effect.Effect<A, E>): A {
    const fiber = this.fork(effect)
    this.settle()
    const exit = fiber.pollUnsafe()
    if (exit === undefined) throw new Error("the effect needs time")
    if (exit._tag === "Failure") throw new Error(`the effect failed: ${String(exit.cause)}`)
    return exit.value
  }

  get idle(): boolean {
    return this.tasks.length === 0
  }

  /** One turn of the scheduler or, when there is none, the next sleeper's wake. `false`: nothing is left to happen. */
  turn(until = Infinity): boolean {
    if (++this.turns > TOO_MANY) throw new Error("a loop: the world does not come to rest")
    const task = this.tasks.shift()
    if (task !== undefined) {
      task()
      return true
    }
    let next: Sleeper | undefined
    for (const sleeper of this.sleepers) if (next === undefined || sleeper.at < next.at) next = sleeper
    if (next === undefined || next.at > until) return false
    this.forget(next)
    this.now = Math.max(this.now, next.at)
    next.wake()
    return true
  }

  /** Everything that can happen now. */
  settle(): void {
    while (this.tasks.length > 0) this.turn()
  }

  /** Everything that happens until then, and then it is then. */
  runTo(time: number): void {
    while (this.turn(time));
    this.now = Math.max(this.now, time)
  }

  advance(millis: number): void {
    this.runTo(this.now + millis)
  }

  /** Milliseconds since the world began. */
  get elapsed(): number {
    return this.now - EPOCH
  }

  /** Everything that happens, until nobody sleeps any more. */
  runOut(): void {
    while (this.turn());
  }
}

/** The memory store, counting what it is asked to hold. */
export class CountedStore {
  holds = 0
  watches = 0
  readonly store: StoreService
  constructor(memory: StoreService = memoryStore.make()) {
    const sync = memory.sync!
    this.store = {
      ...memory,
      sync: {
        ...sync,
        hold: (step, now) => {
          this.holds++
          sync.hold(step, now)
        },
        release: (step) => {
          this.holds--
          sync.release(step)
        },
        watch: (step, onChange) => {
          this.watches++
          const unwatch = sync.watch(step, onChange)
          return () => {
            this.watches--
            unwatch()
          }
        }
      }
    }
  }
}

/** A trip to a store elsewhere: what passes before the commit takes place there, and before its reply is here. */
export interface Trip {
  readonly before?: Effect.Effect<void, StoreError> | undefined
  readonly after?: Effect.Effect<void, StoreError> | undefined
}

/** A store elsewhere: the memory store, behind trips. */
export const elsewhere = (
  memory: StoreService,
  trip: (steps: ReadonlyArray<Step>, nth: number) => Trip
): StoreService => {
  let nth = 0
  return {
    sync: undefined,
    commit: (steps) =>
      Effect.suspend(() => {
        const sent = steps.map(({ input, key, space }) => new Step(space, key, input))
        const { after = Effect.void, before = Effect.void } = trip(sent, ++nth)
        return Effect.andThen(
          before,
          Effect.tap(memory.commit(sent), () => after)
        ) as never // the same steps, the same answers
      }),
    read: (space, key) => memory.read(space, key),
    clear: (space) => memory.clear(space)
  }
}

/** The effect of a call, watched: how often it ran, how often it was interrupted, and whether it still runs. */
export class Body {
  started = 0
  cut = 0
  active = 0
  most = 0
  of<A, E>(self: (run: number) => Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      const run = ++this.started
      let on = false
      const inside = Effect.suspend(() => {
        on = true
        this.active++
        this.most = Math.max(this.most, this.active)
        return self(run)
      })
      return Effect.onExitPrimitive(inside, (exit) => {
        if (on) this.active--
        if (!Exit.isSuccess(exit) && Cause.hasInterruptsOnly(exit.cause)) this.cut++
        return undefined
      })
    })
  }
}

/** A service of the given policies in a world of its own. */
export class Stage {
  readonly world: World
  readonly counted = new CountedStore()
  readonly store: StoreService
  readonly service: Composed
  readonly body = new Body()
  readonly key: Key

  constructor(
    policies: Policies,
    options: {
      readonly key?: Key | undefined
      readonly maxOps?: number | undefined
      readonly sink?: ((event: Event) => void) | undefined
      readonly store?: ((memory: StoreService) => StoreService) | undefined
    } = {}
  ) {
    this.world = new World(options)
    this.key = options.key ?? "key"
    this.store = options.store?.(this.counted.store) ?? this.counted.store
    this.service = compose(fromPolicies("laws", policies), this.store)
  }

  call<A, E>(
    self: Effect.Effect<A, E>,
    options: { readonly cost?: number; readonly key?: Key; readonly maxWait?: number } = {}
  ) {
    const { cost = 1, key = this.key, maxWait } = options
    return run(this.service.pipeline, self, key, { cost, maxWait, classify: undefined })
  }

  /** The states of the key, as the store holds them. */
  states(): ReadonlyArray<unknown> {
    const { circuit, limits } = this.service.pipeline
    const { sync } = this.counted.store
    const states = (limits?.members ?? []).map((member) => sync!.read(member.space, member.keyOf(this.key)) as unknown)
    return circuit === undefined ? states : [sync!.read(circuit.space, circuit.keyOf(this.key)), ...states]
  }

  inspect(key: Key = this.key): Inspection {
    return this.world.get(this.service.inspect(key))
  }

  /** What a test may compare: the inspection as plain numbers. */
  seen(key: Key = this.key): unknown {
    return plain(this.inspect(key))
  }

  /** What the circuit has counted, without a turn passing. */
  counts(): unknown {
    const { circuit } = this.service.pipeline
    if (circuit === undefined) return []
    const state = this.counted.store.sync!.read(circuit.space, circuit.keyOf(this.key))
    return view(circuit.spec.policy, state ?? breaker.initial(circuit.spec.policy), this.world.now).windows
  }

  /** What nobody may leave behind. */
  debris(): Record<string, number> {
    const { circuit, limits, slots } = this.service.pipeline
    return {
      running: slots?.running ?? 0,
      waitingForSlot: slots?.queue.size ?? 0,
      waitingForLimit: limits?.members.reduce((sum, { places }) => sum + places.size, 0) ?? 0,
      circuitsWatched: circuit?.locals.size ?? 0,
      probes: this.inspect().circuitBreaker?.probesInFlight ?? 0,
      holds: this.counted.holds,
      watches: this.counted.watches,
      timers: this.world.sleepers.length,
      active: this.body.active
    }
  }
}

export const clean = {
  running: 0,
  waitingForSlot: 0,
  waitingForLimit: 0,
  circuitsWatched: 0,
  probes: 0,
  holds: 0,
  watches: 0,
  timers: 0,
  active: 0
}

/** An inspection without its functions, which are asked for a few costs instead. */
export const plain = ({ bulkhead, circuitBreaker, rateLimiter }: Inspection): unknown => ({
  bulkhead,
  circuitBreaker,
  rateLimiter:
    rateLimiter === undefined
      ? undefined
      : Object.entries(rateLimiter.limits).map(([name, limit]) => ({
          ...limit,
          name,
          waitFor: [1, 2, 3, 5].map((cost) => limit.waitFor(cost))
        }))
})
