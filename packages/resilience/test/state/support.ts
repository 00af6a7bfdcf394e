/** What the tests of state share. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { CircuitBreaker, type Event, RateLimiter } from "../../src/index.ts"
import { EventSink } from "../../src/Event.ts"
import { committed } from "../../src/internal/answers.ts"
import { layerMemory, type Step, Store } from "../../src/Store.ts"
import type { AnySpace } from "../../src/Store.ts"
import { type Local, opening, type SyncStore } from "../../src/StoreModel.ts"

/** A store in this process, with its synchronous half. */
export type Memory = Store["Service"] & Local

/** The store of a memory layer, which a service sees as it is. */
export const inMemory = (store: Store["Service"]): Memory => {
  const view = store[opening]("tests", undefined)
  assert.isDefined(view.sync)
  return view as Memory
}

/** Keeps every event, in the order of their arrival. */
export const recorder = () => {
  const events: Array<Event.Event> = []
  return {
    events,
    tags: () => events.map(({ _tag }) => _tag),
    record: Effect.provideService(EventSink, (event: Event.Event) => void events.push(event))
  }
}

/** Lets every fiber that can run do so, without time passing. */
export const settle: Effect.Effect<void> = Effect.gen(function* () {
  for (let i = 0; i < 20; i++) yield* Effect.yieldNow
})

/**
 * A store that forgets nothing: as little as a store can be, with no transactions. What it and the real one do must
 * differ in nothing but memory.
 */
export const neverForgets = (): Memory => {
  const spaces = new Map<AnySpace, Map<string, unknown>>()
  const watches = new Map<unknown, () => void>()
  const keysOf = (space: AnySpace) => {
    let keys = spaces.get(space)
    if (keys === undefined) spaces.set(space, (keys = new Map()))
    return keys
  }
  const stateOf = ({ key, space }: Step): unknown =>
    keysOf(space).has(key) ? keysOf(space).get(key) : space.kernel.initial(space.policy)
  const sync: SyncStore = {
    commit: (steps, now, write = true) => {
      const results = steps.map((step) => step.space.kernel.step(step.space.policy, stateOf(step), step.input, now))
      const allowed = results.every(([answer]) => answer.allowed)
      if (allowed && write) steps.forEach(({ key, space }, i) => keysOf(space).set(key, results[i]![1]))
      steps.forEach((step, i) => (step.result = results[i]))
      return allowed
    },
    read: (space, key) => keysOf(space).get(key) as never, // states of this space's kernel
    look: ({ key, space }) => keysOf(space).get(key) as never, // as above
    held: (step) => stateOf(step) as never, // as above
    isKept: () => true, // nothing is forgotten here
    hold: () => {},
    release: () => {},
    watch: (_step, onChange) => {
      watches.set(onChange, onChange)
      return () => watches.delete(onChange)
    },
    afterCommit: (effect) => effect,
    size: (space) => keysOf(space).size,
    entries: (space) => Array.from(keysOf(space), ([key, state]) => [key, state as never]) // as above
  }
  const now = Effect.clockWith((clock) => Effect.sync(() => Math.floor(Number(clock.monotonicTimeNanosUnsafe()) / 1e6)))
  return {
    sync,
    commit: (steps) => Effect.map(now, (now) => committed(steps, now, sync.commit(steps, now))),
    read: (space, key) => Effect.map(now, (now) => ({ now, state: sync.read(space, key) })),
    clear: (space) => Effect.sync(() => keysOf(space).clear()),
    [opening]() {
      return this
    }
  }
}

/** The memory store, and what it remembers. Its spaces are known once something was asked of them. */
export const spied = Effect.gen(function* () {
  const store = inMemory(yield* Store)
  const { sync } = store
  const spaces = new Set<AnySpace>()
  const note = <Steps extends ReadonlyArray<Step>>(steps: Steps) => {
    for (const { space } of steps) spaces.add(space)
    return steps
  }
  return {
    store: {
      ...store,
      commit: (steps) => store.commit(note(steps)),
      sync: {
        ...sync,
        commit: (steps, now, write) => sync.commit(note(steps), now, write),
        look: (step, now) => {
          note([step])
          return sync.look(step, now)
        }
      }
    } satisfies Memory,
    spaces,
    size: () => Array.from(spaces, sync.size).reduce((sum, size) => sum + size, 0),
    remembers: (key: string) => Array.from(spaces).some((space) => sync.read(space, key) !== undefined)
  }
}).pipe(Effect.provide(layerMemory))

/** A limiter on this very store. */
export const limiterOn = (store: Store["Service"], policy: RateLimiter.Policy) =>
  Effect.provide(
    RateLimiter.RateLimiter,
    Layer.provide(RateLimiter.layerFromStore(policy), Layer.succeed(Store, store))
  )

/** A breaker on this very store. */
export const breakerOn = (store: Store["Service"], policy: CircuitBreaker.Policy) =>
  Effect.provide(
    CircuitBreaker.CircuitBreaker,
    Layer.provide(CircuitBreaker.layerFromStore(policy), Layer.succeed(Store, store))
  )

/** One of each. */
export const limiterKinds = {
  tokenBucket: RateLimiter.tokenBucket({ limit: 3, window: "1 second" }),
  leakyBucket: RateLimiter.leakyBucket({ limit: 3, window: "1 second", capacity: 2 }),
  fixedWindow: RateLimiter.fixedWindow({ limit: 3, window: "1 second" }),
  slidingWindow: RateLimiter.slidingWindow({ limit: 3, window: "1 second" }),
  slidingLog: RateLimiter.slidingLog({ limit: 3, window: "1 second" })
}

/** Calls on keys of no interest, enough for the sweep to look at everything. */
export const traffic = (limiter: RateLimiter.RateLimiterService<string>, calls = 1_000) =>
  Effect.forEach(Array.from({ length: calls }), (_, i) => limiter.allow(`traffic ${i % 3}`), { discard: true })

/** Two fibers meet: one is inside its transaction while the other acts. */
export const during = <A, E, B, E2>(
  body: (gap: Effect.Effect<void>) => Effect.Effect<A, E>,
  meanwhile: Effect.Effect<B, E2>
): Effect.Effect<A, E | E2> =>
  Effect.gen(function* () {
    let open: (() => void) | undefined
    let waited = false
    const gap = Effect.suspend(() => {
      if (waited) return Effect.void
      waited = true
      return Effect.callback<void>((resume) => {
        open = () => resume(Effect.void)
      })
    })
    const fiber = yield* Effect.forkChild(Effect.tx(body(gap)))
    yield* settle
    assert.isDefined(open)
    yield* meanwhile
    open!()
    return yield* Fiber.join(fiber)
  })
