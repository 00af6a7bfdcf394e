/**
 * What the laws look at: a service in a world of its own, and whatever a call could leave behind in it.
 */
import { Cause, Context, Effect, Exit } from "effect"
import { World } from "effect-resilience-testing/World"
import { EventSink, type Sink } from "../../src/Event.ts"
import { CircuitGate } from "../../src/circuitBreaker/CircuitGate.ts"
import { type Key, readKey } from "../../src/internal/key.ts"
import * as memoryStore from "../../src/internal/memoryStore.ts"
import { run } from "../../src/engine/run.ts"
import { openStore } from "../../src/internal/openStore.ts"
import { compose, fromPolicies } from "../../src/resilience/compose.ts"
import { breaker, type BreakerInput, view } from "../../src/kernel/Breaker.ts"
import { LimitGate } from "../../src/rateLimiter/LimitGate.ts"
import { SlotGate } from "../../src/bulkhead/SlotGate.ts"
import type { Policies } from "../../src/Policies.ts"
import type { Inspection } from "../../src/Resilience.ts"
import type { Rejection, RetryExhausted, StoreError, TimeoutExceeded } from "../../src/Rejection.ts"
import { Step, type Store } from "../../src/Store.ts"
import * as RemoteStore from "../../src/RemoteStore.ts"
import type { Local } from "../../src/StoreModel.ts"

export type StoreService = Store["Service"]
export type MemoryService = StoreService & Local

/** The memory store, counting what it is asked to hold. */
export class CountedStore {
  holds = 0
  watches = 0
  readonly store: MemoryService
  constructor(memory: MemoryService = memoryStore.make()) {
    const { sync } = memory
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

/** Somebody tells the circuit by hand. */
export const tell = (gate: CircuitGate, key: string, input: BreakerInput): Effect.Effect<void, StoreError> =>
  Effect.withFiber((fiber) =>
    Effect.map(gate.store.commit([new Step(gate.space, key, input)]), ({ answers: [answer] }) => {
      if (answer !== undefined) gate.observe(key, answer, undefined, fiber)
    })
  )

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
  return RemoteStore.make({
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
  })
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

/** A service, with its members by their names. */
const parts = (policies: Policies, store: StoreService) => {
  const parts = fromPolicies("laws", policies)
  const composed = compose(parts, openStore(store, "laws", parts.store))
  const { members } = composed.pipeline
  const circuit = members.find((member) => member instanceof CircuitGate)
  const limits = members.find((member) => member instanceof LimitGate)
  const gate = members.find((member) => member instanceof SlotGate)
  const slots = gate && {
    spec: gate.spec,
    queue: gate.queue,
    get running() {
      return gate.running
    },
    inspect: () => gate.look(),
    take: () => gate.take(),
    release: () => gate.release()
  }
  return { ...composed, pipeline: { ...composed.pipeline, circuit, limits, slots } }
}

/** A service of the given policies in a world of its own. */
export class Stage {
  readonly world: World
  readonly counted = new CountedStore()
  readonly store: StoreService
  readonly service: ReturnType<typeof parts>
  readonly body = new Body()
  readonly key: Key

  constructor(
    policies: Policies,
    options: {
      readonly key?: Key | undefined
      readonly maxOps?: number | undefined
      readonly sink?: Sink | undefined
      readonly store?: ((memory: MemoryService) => StoreService | MemoryService) | undefined
    } = {}
  ) {
    this.world = new World({
      maxOpsBeforeYield: options.maxOps,
      context: Context.make(EventSink, options.sink)
    })
    this.key = options.key ?? "key"
    this.store = options.store?.(this.counted.store) ?? this.counted.store
    this.service = parts(policies, this.store)
  }

  call<A, E>(
    self: Effect.Effect<A, E>,
    options: { readonly cost?: number; readonly key?: Key; readonly maxWait?: number } = {}
  ) {
    const { cost = 1, key = this.key, maxWait } = options
    return run(this.service.pipeline, self, key, { cost, maxWait, classify: undefined }) as Effect.Effect<
      A,
      E | Rejection | TimeoutExceeded | RetryExhausted<unknown>
    >
  }

  /** The states of the key, as the store holds them. */
  states(): ReadonlyArray<unknown> {
    const { circuit, limits } = this.service.pipeline
    const { sync } = this.counted.store
    const states = (limits?.members ?? []).map(
      (member) => sync!.read(member.space, member.keyOf(readKey(this.key))) as unknown
    )
    return circuit === undefined ? states : [sync!.read(circuit.space, circuit.keyOf(readKey(this.key))), ...states]
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
    const state = this.counted.store.sync!.read(circuit.space, circuit.keyOf(readKey(this.key)))
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
      timers: this.world.sleeping,
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
