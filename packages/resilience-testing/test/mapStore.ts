/**
 * A store as one might write it in an afternoon: a Map of JSON behind a trip of two turns. It is right, and knows nothing
 * of the memory store; the broken ones override a part of it.
 */
import { Clock, Effect, Layer } from "effect"
import { type Rejection, RemoteStore, Store } from "effect-resilience"

type AnyStep = Store.Step

export class MapStore {
  readonly cells = new Map<string, string>()

  now(_asker: "commit" | "read"): Effect.Effect<number, Rejection.StoreError> {
    return Effect.map(Clock.currentTimeMillis, Math.floor)
  }
  trip(): Effect.Effect<void, Rejection.StoreError> {
    return Effect.yieldNow
  }
  spaceOf(space: Store.AnySpace): string {
    return JSON.stringify([space.name, space.kernel.id])
  }
  cellOf(space: Store.AnySpace, key: string): string {
    return `${this.spaceOf(space)}${JSON.stringify(key)}`
  }
  encode(state: unknown): string {
    return JSON.stringify(state)
  }
  decode(text: string): unknown {
    return JSON.parse(text)
  }
  initial(space: Store.AnySpace): unknown {
    return space.kernel.initial(space.policy)
  }
  /** When a state goes. */
  endOf(space: Store.AnySpace, state: unknown, _now: number): number {
    return space.kernel.expiresAt(space.policy, state) ?? Infinity
  }
  load(space: Store.AnySpace, key: string, now: number): unknown {
    const text = this.cells.get(this.cellOf(space, key))
    if (text === undefined) return undefined
    const { end, state } = this.decode(text) as { readonly end: number | null; readonly state: unknown } // as `save` wrote it
    return end !== null && end <= now ? undefined : state
  }
  save(space: Store.AnySpace, key: string, state: unknown, now: number): void {
    const end = this.endOf(space, state, now)
    this.cells.set(this.cellOf(space, key), this.encode({ end: end === Infinity ? null : end, state }))
  }
  ask({ input, key, space }: AnyStep, now: number): readonly [answer: { readonly allowed: boolean }, state: unknown] {
    return space.kernel.step(space.policy, this.load(space, key, now) ?? this.initial(space), input, now)
  }
  keep(steps: ReadonlyArray<AnyStep>, states: ReadonlyArray<unknown>, now: number): Effect.Effect<void> {
    return Effect.sync(() => steps.forEach(({ key, space }, i) => this.save(space, key, states[i], now)))
  }
  decide(
    steps: ReadonlyArray<AnyStep>,
    now: number
  ): Effect.Effect<{ readonly now: number; readonly allowed: boolean; readonly answers: ReadonlyArray<unknown> }> {
    const outcomes = steps.map((step) => this.ask(step, now))
    const committed = {
      now,
      allowed: outcomes.every(([answer]) => answer.allowed),
      answers: outcomes.map(([answer]) => answer)
    }
    const states = outcomes.map(([, state]) => state)
    return committed.allowed ? Effect.as(this.keep(steps, states, now), committed) : Effect.succeed(committed)
  }
  commit(steps: ReadonlyArray<AnyStep>) {
    return Effect.gen({ self: this }, function* () {
      yield* this.trip()
      const committed = yield* this.decide(steps, yield* this.now("commit"))
      yield* this.trip()
      return committed
    })
  }
  read(space: Store.AnySpace, key: string) {
    return Effect.gen({ self: this }, function* () {
      yield* this.trip()
      const now = yield* this.now("read")
      return { now, state: this.load(space, key, now) }
    })
  }
  cleared(space: Store.AnySpace): ReadonlyArray<string> {
    const start = this.spaceOf(space)
    return [...this.cells.keys()].filter((cell) => cell.startsWith(start))
  }
  clear(space: Store.AnySpace): Effect.Effect<void, Rejection.StoreError> {
    return Effect.map(this.trip(), () => this.cleared(space).forEach((cell) => this.cells.delete(cell)))
  }
  get service(): Store.Store["Service"] {
    return RemoteStore.make({
      commit: (steps) => this.commit(steps) as never, // the answers of these very steps
      read: (space, key) => this.read(space, key) as never, // a state of this very space
      clear: (space) => this.clear(space)
    })
  }
  static readonly layer: Layer.Layer<Store.Store> = Layer.sync(Store.Store, () => new MapStore().service)
}

export const layerOf = (make: () => MapStore): Layer.Layer<Store.Store> => Layer.sync(Store.Store, () => make().service)
