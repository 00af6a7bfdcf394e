/**
 * Stores with one mistake each, and the law that it breaks.
 */
import { Effect, Layer, Semaphore } from "effect"
import { Rejection, Store } from "effect-resilience"
import { layerOf, MapStore } from "./mapStore.ts"

type AnyStep = Store.Step

export interface Broken {
  readonly mistake: string
  readonly breaks: string
  readonly layer: Layer.Layer<Store.Store>
  /** It never answers: no machine is so slow that waiting longer would help. */
  readonly hangs: boolean
}

const broken = (mistake: string, breaks: string, make: new () => MapStore, hangs = false): Broken => ({
  mistake,
  breaks,
  layer: layerOf(() => new make()),
  hangs
})

/** With another way to write its keys down. */
const keyed = (mistake: string, breaks: string, cellOf: (space: string, key: string, id: string) => string) =>
  broken(
    mistake,
    breaks,
    class extends MapStore {
      override cellOf(space: Store.AnySpace, key: string) {
        return cellOf(space.name, key, space.kernel.id)
      }
      override cleared(space: Store.AnySpace) {
        const start = cellOf(space.name, "", space.kernel.id)
        return [...this.cells.keys()].filter((cell) => cell.startsWith(start))
      }
    }
  )

const apart = (space: string, id: string) => JSON.stringify([space, id])

/** With another way to write its states down. */
const coded = (mistake: string, encode: (state: unknown) => string) =>
  broken(
    mistake,
    "states come back exactly as they were left",
    class extends MapStore {
      override encode(state: unknown) {
        return encode(state)
      }
    }
  )
const json = (change: (value: unknown) => unknown) => (state: unknown) =>
  JSON.stringify(state, (_, value: unknown) => change(value))

const answers = "a commit answers as the kernels do at its now, and what is read back is what they left"
const whole = "all steps of a commit are kept, or none"
const ownKeys = "no two keys of a space are one, however strange"
const ownSpaces = "no two spaces share a key, whatever their names and kernels are"
const clears = "clear forgets all of a space, and nothing of another"
const forgets = "a state is kept until it may be forgotten, and then behaves as new"
const noneLost = "calls at the same time are admitted up to the limit, and not one more or fewer"
const interrupts = "an interrupted commit took place as a whole or not at all, and is in nobody's way"
const time = "now never goes back, and passes as time does"

/** Every key has a lock. */
class Locked extends MapStore {
  private readonly locks = new Map<string, Semaphore.Semaphore>()
  lockOf({ key, space }: AnyStep): Semaphore.Semaphore {
    const cell = this.cellOf(space, key)
    const lock = this.locks.get(cell) ?? Semaphore.makeUnsafe(1)
    this.locks.set(cell, lock)
    return lock
  }
}

export const brokenStores: ReadonlyArray<Broken> = [
  broken(
    "does not keep every fifth state",
    answers,
    class extends MapStore {
      private saved = 0
      override save(space: Store.AnySpace, key: string, state: unknown, now: number) {
        if (++this.saved % 5 !== 0) super.save(space, key, state, now)
      }
    }
  ),
  broken(
    "says that a commit is allowed when its first step is",
    answers,
    class extends MapStore {
      override decide(steps: ReadonlyArray<AnyStep>, now: number) {
        return Effect.map(super.decide(steps, now), (committed) => ({
          ...committed,
          allowed: steps.length === 0 || this.ask(steps[0]!, now)[0].allowed
        }))
      }
    }
  ),
  broken(
    "interrupts who asks, now and then",
    answers,
    class extends MapStore {
      private asked = 0
      override trip() {
        return ++this.asked % 7 === 0 ? Effect.interrupt : super.trip()
      }
    }
  ),
  broken(
    "keeps the steps before the one that is refused",
    whole,
    class extends MapStore {
      override decide(steps: ReadonlyArray<AnyStep>, now: number) {
        for (const { input, key, space } of steps) {
          const [answer, state] = this.ask(new Store.Step(space, key, input), now)
          if (!answer.allowed) break
          this.save(space, key, state, now)
        }
        return super.decide(steps, now)
      }
    }
  ),
  broken(
    "answers in the order of the keys",
    "answers stand in the order of the steps",
    class extends MapStore {
      override decide(steps: ReadonlyArray<AnyStep>, now: number) {
        return super.decide(
          steps.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
          now
        )
      }
    }
  ),
  broken(
    "looks at the clock for each step",
    "every step of a commit is given its one now",
    class extends MapStore {
      private asked = 0
      override ask(step: AnyStep, now: number) {
        return super.ask(step, now + (this.asked++ % 2))
      }
    }
  ),
  broken(
    "reads by a clock that is a second late",
    time,
    class extends MapStore {
      override now(asker: "commit" | "read") {
        return Effect.map(super.now(asker), (now) => (asker === "read" ? now - 1000 : now))
      }
    }
  ),
  broken(
    "is 10 ms late every third time",
    time,
    class extends MapStore {
      private asked = 0
      override now(asker: "commit" | "read") {
        return Effect.map(super.now(asker), (now) => now - (this.asked++ % 3 === 0 ? 10 : 0))
      }
    }
  ),
  broken(
    "has a clock that stands still",
    time,
    class extends MapStore {
      override now() {
        return Effect.succeed(1_000)
      }
    }
  ),
  broken(
    "tells the time in seconds",
    time,
    class extends MapStore {
      override now(asker: "commit" | "read") {
        return Effect.map(super.now(asker), (now) => Math.floor(now / 1000))
      }
    }
  ),
  broken(
    "has one initial state for all policies of a kernel",
    "an absent key means the initial state, as its policy has it",
    class extends MapStore {
      private readonly initials = new Map<string, unknown>()
      override initial(space: Store.AnySpace) {
        const known = this.initials.get(space.kernel.id) ?? super.initial(space)
        this.initials.set(space.kernel.id, known)
        return known
      }
    }
  ),
  broken(
    "refuses to be asked nothing",
    "a commit without steps is allowed, and answers nothing",
    class extends MapStore {
      override decide(steps: ReadonlyArray<AnyStep>, now: number) {
        return steps.length > 0 ? super.decide(steps, now) : Effect.die(new Error("wrong number of arguments"))
      }
    }
  ),
  broken(
    "writes no state where nothing was taken",
    "what was taken can be given back",
    class extends MapStore {
      override keep(steps: ReadonlyArray<AnyStep>, states: ReadonlyArray<unknown>, now: number) {
        const takes = steps.every(({ input }) => (input as { readonly op?: string }).op !== "refund") // of whichever kernel
        return takes ? super.keep(steps, states, now) : Effect.void
      }
    }
  ),
  broken(
    "remembers a step with its first input",
    "a step may be committed again, with another input",
    class extends MapStore {
      override ask(step: AnyStep, now: number) {
        step.place ??= step.input
        return super.ask(new Store.Step(step.space, step.key, step.place as never), now) // its own input
      }
    }
  ),
  {
    mistake: "asks twice for what is begun",
    breaks: "what is begun is a commit, told once",
    hangs: false,
    layer: Layer.sync(Store.Store, () => {
      const { service } = new MapStore()
      return {
        ...service,
        begin: (steps, fiber, tell) => {
          const asked = Effect.runForkWith(fiber.context)(Effect.andThen(service.commit(steps), service.commit(steps)))
          asked.addObserver(tell)
          return () => asked.interruptUnsafe()
        }
      }
    })
  },
  keyed("has keys in any case", ownKeys, (space, key, id) => apart(space, id) + key.toLowerCase()),
  keyed("trims keys", ownKeys, (space, key, id) => apart(space, id) + key.trim()),
  keyed("normalises keys", ownKeys, (space, key, id) => apart(space, id) + key.normalize()),
  keyed("ends a key at its first NUL", ownKeys, (space, key, id) => apart(space, id) + key.split("\0")[0]!),
  keyed(
    "keeps the first 1,000 characters of a key",
    ownKeys,
    (space, key, id) => apart(space, id) + key.slice(0, 1000)
  ),
  keyed("has keys in UTF-8", ownKeys, (space, key, id) => apart(space, id) + Buffer.from(key).toString()),
  broken(
    "keeps its keys in a plain object",
    ownKeys,
    class extends MapStore {
      private readonly records: Record<string, Record<string, unknown>> = {}
      override load(space: Store.AnySpace, key: string) {
        return this.records[this.spaceOf(space)]?.[key]
      }
      override save(space: Store.AnySpace, key: string, state: unknown) {
        const record = (this.records[this.spaceOf(space)] ??= {})
        record[key] = state
      }
      override clear(space: Store.AnySpace) {
        return Effect.sync(() => void delete this.records[this.spaceOf(space)])
      }
    }
  ),
  keyed("joins name, kernel and key with colons", ownSpaces, (space, key, id) => `${space}:${id}:${key}`),
  keyed("joins name, kernel and key with NULs", ownSpaces, (space, key, id) => `${space}\0${id}\0${key}`),
  keyed("knows a space by its name alone", ownSpaces, (space, key) => `${JSON.stringify(space)}${key}`),
  keyed("knows a space by its kernel and the last part of its name", ownSpaces, (space, key, id) =>
    JSON.stringify([space.slice(space.lastIndexOf("/")), id, key])
  ),
  broken(
    "clears everything",
    clears,
    class extends MapStore {
      override cleared() {
        return [...this.cells.keys()]
      }
    }
  ),
  broken(
    "clears all spaces whose names begin the same",
    clears,
    class extends MapStore {
      override cleared(space: Store.AnySpace) {
        const start = JSON.stringify([space.name]).slice(0, -2)
        return [...this.cells.keys()].filter((cell) => cell.startsWith(start))
      }
    }
  ),
  broken(
    "clears the first page of keys",
    clears,
    class extends MapStore {
      override cleared(space: Store.AnySpace) {
        return super.cleared(space).slice(0, 10)
      }
    }
  ),
  coded(
    "writes numbers with 14 digits",
    json((value) => (typeof value === "number" ? Number(value.toPrecision(14)) : value))
  ),
  coded(
    "takes an empty array for an empty table",
    json((value) => (Array.isArray(value) && value.length === 0 ? {} : value))
  ),
  coded(
    "takes an empty string for nothing",
    json((value) => (value === "" ? null : value))
  ),
  coded(
    "takes false for 0",
    json((value) => (value === false ? 0 : value))
  ),
  coded(
    "ends a string at its first NUL",
    json((value) => (typeof value === "string" ? value.split("\0")[0] : value))
  ),
  coded(
    "takes whole numbers for 32 bits",
    json((value) => (typeof value === "number" ? value | 0 : value))
  ),
  broken(
    "forgets after half the time",
    forgets,
    class extends MapStore {
      override endOf(space: Store.AnySpace, state: unknown, now: number) {
        return now + (super.endOf(space, state, now) - now) / 2
      }
    }
  ),
  broken(
    "forgets at whole seconds",
    forgets,
    class extends MapStore {
      override endOf(space: Store.AnySpace, state: unknown, now: number) {
        return now + Math.floor((super.endOf(space, state, now) - now) / 1000) * 1000
      }
    }
  ),
  broken(
    "forgets what nobody used for 20 ms",
    forgets,
    class extends MapStore {
      override endOf(space: Store.AnySpace, state: unknown, now: number) {
        return Math.min(super.endOf(space, state, now), now + 20)
      }
    }
  ),
  broken(
    "lets an end pass and begins to count anew from there",
    forgets,
    class extends MapStore {
      override load(space: Store.AnySpace, key: string, now: number) {
        const cell = this.cellOf(space, key)
        const known = this.cells.has(cell)
        const state = super.load(space, key, now)
        if (!known || state !== undefined) return state
        // what is there is a state again, of the time that has passed
        const [, used] = space.kernel.step(space.policy, this.initial(space), { op: "take", cost: 1 }, now)
        return used as unknown
      }
    }
  ),
  broken(
    "reads, waits for a turn, and writes",
    noneLost,
    class extends MapStore {
      override keep(steps: ReadonlyArray<AnyStep>, states: ReadonlyArray<unknown>, now: number) {
        return Effect.andThen(Effect.yieldNow, super.keep(steps, states, now))
      }
    }
  ),
  broken(
    "refuses who comes while somebody is asked",
    noneLost,
    class extends MapStore {
      private busy = false
      override decide(steps: ReadonlyArray<AnyStep>, now: number) {
        if (this.busy)
          return Effect.succeed({ now, allowed: false, answers: steps.map((step) => this.ask(step, now)[0]) })
        this.busy = true
        const done = Effect.sync(() => {
          this.busy = false
        })
        return Effect.ensuring(Effect.andThen(Effect.yieldNow, super.decide(steps, now)), done)
      }
    }
  ),
  broken(
    "locks keys in the order of the steps",
    "calls that take the same keys in different orders let each other through",
    class extends Locked {
      override decide(steps: ReadonlyArray<AnyStep>, now: number) {
        const decide = super.decide(steps, now)
        return steps.reduceRight(
          (inside, step) => Semaphore.withPermit(this.lockOf(step), Effect.andThen(Effect.yieldNow, inside)),
          Effect.suspend(() => decide)
        )
      }
    },
    true
  ),
  broken(
    "writes one state a turn",
    interrupts,
    class extends MapStore {
      override keep(steps: ReadonlyArray<AnyStep>, states: ReadonlyArray<unknown>, now: number) {
        return Effect.forEach(
          steps,
          ({ key, space }, i) => Effect.map(Effect.yieldNow, () => this.save(space, key, states[i], now)),
          { discard: true }
        )
      }
    }
  ),
  broken(
    "stays busy when it is interrupted",
    interrupts,
    class extends MapStore {
      private busy = false
      override decide(steps: ReadonlyArray<AnyStep>, now: number) {
        const answers = steps.map((step) => this.ask(step, now)[0])
        if (this.busy) return Effect.succeed({ now, allowed: false, answers })
        this.busy = true
        return Effect.map(Effect.andThen(Effect.yieldNow, super.decide(steps, now)), (committed) => {
          this.busy = false
          return committed
        })
      }
    }
  ),
  broken(
    "keeps its lock when it is interrupted",
    interrupts,
    class extends MapStore {
      private readonly lock = Semaphore.makeUnsafe(1)
      override decide(steps: ReadonlyArray<AnyStep>, now: number) {
        const decide = Effect.suspend(() => super.decide(steps, now))
        return this.lock.take(1).pipe(
          Effect.andThen(Effect.yieldNow),
          Effect.andThen(decide),
          Effect.tap(() => this.lock.release(1))
        )
      }
    },
    true
  )
]

/** Stores that cannot be reached, and say so in ways that nobody can handle. */
const down = (mistake: string, trip: Effect.Effect<void, Rejection.StoreError>, hangs = false) => ({
  mistake,
  hangs,
  layer: layerOf(
    () =>
      new (class extends MapStore {
        override trip() {
          return trip
        }
      })()
  )
})

export const unreachable = down(
  "fails with StoreError",
  Effect.fail(new Rejection.StoreError({ reason: "unavailable" }))
)

export const badlyUnreachable = [
  down("dies", Effect.die(new Error("ECONNREFUSED"))),
  down("fails with an error of its client", Effect.fail(new Error("ECONNREFUSED") as never)), // what a cast lets through
  down("waits for better times", Effect.never, true),
  down("answers all the same", Effect.void)
]
