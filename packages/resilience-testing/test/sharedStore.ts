/**
 * A store that processes share, as one might write it: a key holds a state for each policy that wrote there. It is right;
 * the broken ones override a part of it.
 */
import { adopted } from "effect-resilience/kernel/Adoption"
import type { Store } from "effect-resilience"
import { MapStore } from "./mapStore.ts"

/** What one policy left on a key. `end` is `null` for a state without an end. */
export interface Entry {
  readonly policy: string
  readonly at: number
  readonly end: number | null
  readonly state: unknown
}

const MOST = 4

export class SharedStore extends MapStore {
  policyOf(space: Store.AnySpace): string {
    return JSON.stringify(space.policy)
  }
  entries(space: Store.AnySpace, key: string): ReadonlyArray<Entry> {
    const text = this.cells.get(this.cellOf(space, key))
    return text === undefined ? [] : (this.decode(text) as ReadonlyArray<Entry>) // as `store` wrote it
  }
  store(space: Store.AnySpace, key: string, entries: ReadonlyArray<Entry>): void {
    const cell = this.cellOf(space, key)
    if (entries.length === 0) this.cells.delete(cell)
    else this.cells.set(cell, this.encode(entries))
  }
  entry(space: Store.AnySpace, state: unknown, at: number, now: number): Entry {
    const end = this.endOf(space, state, now)
    return { policy: this.policyOf(space), at, end: end === Infinity ? null : end, state }
  }
  own(space: Store.AnySpace, entries: ReadonlyArray<Entry>): Entry | undefined {
    return entries.find(({ policy }) => policy === this.policyOf(space))
  }
  /** The entry to begin with: the last writer's, if that owes anything still. */
  source(entries: ReadonlyArray<Entry>, now: number): Entry | undefined {
    return entries.find(({ end }) => end === null || end > now)
  }
  adopt(space: Store.AnySpace, { at, policy, state }: Entry, _now: number): unknown {
    return adopted(space.kernel, space.isLimit === true, space.policy, JSON.parse(policy), state, at)
  }
  /** As long again as an entry lasted it is kept: who asks once in that time does not lose it to another's write. */
  others(space: Store.AnySpace, entries: ReadonlyArray<Entry>, now: number): ReadonlyArray<Entry> {
    return entries
      .filter(({ at, end, policy }) => policy !== this.policyOf(space) && (end === null || now < 2 * end - at))
      .slice(0, MOST - 1)
  }
  override load(space: Store.AnySpace, key: string, now: number): unknown {
    const entries = this.entries(space, key)
    const own = this.own(space, entries)
    if (own !== undefined) return own.end !== null && own.end <= now ? undefined : own.state
    const source = this.source(entries, now)
    return source === undefined ? undefined : this.adopt(space, source, now)
  }
  override ask(step: Store.Step, now: number): readonly [answer: { readonly allowed: boolean }, state: unknown] {
    const { input, key, space } = step
    const entries = this.entries(space, key)
    const source = this.own(space, entries) === undefined ? this.source(entries, now) : undefined
    if (source !== undefined && (input as { readonly op?: string }).op === "refund") {
      const initial = this.initial(space)
      return [space.kernel.step(space.policy, initial, input, now)[0], undefined]
    }
    // written also where the question is refused: else the other policy's next write would renew it
    if (source !== undefined) {
      const mine = this.entry(space, this.adopt(space, source, now), source.at, now)
      const at = entries.indexOf(source) + 1
      this.store(space, key, [...entries.slice(0, at), mine, ...entries.slice(at)].slice(0, MOST))
    }
    return super.ask(step, now)
  }
  override keep(steps: ReadonlyArray<Store.Step>, states: ReadonlyArray<unknown>, now: number) {
    return super.keep(
      steps.filter((_, i) => states[i] !== undefined),
      states.filter((state) => state !== undefined),
      now
    )
  }
  override decide(steps: ReadonlyArray<Store.Step>, now: number) {
    for (const step of steps) if (step.isCommand) this.alone(step, now)
    return super.decide(steps, now)
  }
  /** An operator's step goes for all policies. */
  alone({ key, space }: Store.Step, now: number): void {
    const state = this.load(space, key, now)
    this.store(space, key, state === undefined ? [] : [this.entry(space, state, now, now)])
  }
  override save(space: Store.AnySpace, key: string, state: unknown, now: number): void {
    const before = this.load(space, key, now) ?? this.initial(space)
    if (this.encode(before) === this.encode(state)) return // what changed nothing makes no policy the last writer
    const others = this.others(space, this.entries(space, key), now)
    this.store(space, key, [this.entry(space, state, now, now), ...others])
  }
}

/** Stores with one mistake each that shows only where two policies meet, and the law that it breaks. */
export const brokenShared: ReadonlyArray<{
  readonly mistake: string
  readonly breaks: string
  readonly make: new () => MapStore
}> = [
  { mistake: "has one state for all policies", breaks: "byTurns", make: MapStore },
  {
    mistake: "begins anew with each policy",
    breaks: "spent",
    make: class extends SharedStore {
      override adopt(space: Store.AnySpace) {
        return this.initial(space)
      }
    }
  },
  {
    mistake: "takes the last writer's state as its own",
    breaks: "byTurns",
    make: class extends SharedStore {
      override own(_space: Store.AnySpace, entries: ReadonlyArray<Entry>) {
        return entries[0]
      }
    }
  },
  {
    mistake: "takes over again and again, for it does not write down that it did",
    breaks: "notStarved",
    make: class extends SharedStore {
      override ask({ input, key, space }: Store.Step, now: number) {
        const state = this.load(space, key, now) ?? this.initial(space)
        return space.kernel.step(space.policy, state, input, now)
      }
    }
  },
  {
    mistake: "drops a policy's entry as soon as it has ended",
    breaks: "notStarved",
    make: class extends SharedStore {
      override others(space: Store.AnySpace, entries: ReadonlyArray<Entry>, now: number) {
        return super.others(space, entries, now).filter(({ end }) => end === null || end > now)
      }
    }
  },
  {
    mistake: "drops the newest of five entries",
    breaks: "several",
    make: class extends SharedStore {
      override store(space: Store.AnySpace, key: string, entries: ReadonlyArray<Entry>) {
        const known = this.entries(space, key)
        super.store(space, key, known.length === MOST && this.own(space, known) === undefined ? known : entries)
      }
    }
  },
  {
    mistake: "keeps two entries",
    breaks: "several",
    make: class extends SharedStore {
      override others(space: Store.AnySpace, entries: ReadonlyArray<Entry>, now: number) {
        return super.others(space, entries, now).slice(0, 1)
      }
    }
  },
  {
    mistake: "gives back to the last writer",
    breaks: "refunds",
    make: class extends SharedStore {
      private refunding = false
      override ask(step: Store.Step, now: number) {
        this.refunding = (step.input as { readonly op?: string }).op === "refund"
        return super.ask(step, now)
      }
      override own(space: Store.AnySpace, entries: ReadonlyArray<Entry>) {
        return this.refunding ? entries[0] : super.own(space, entries)
      }
    }
  },
  {
    mistake: "resets the state of one policy",
    breaks: "resets",
    make: class extends SharedStore {
      override alone() {}
    }
  },
  {
    mistake: "isolates and closes for one policy",
    breaks: "circuits",
    make: class extends SharedStore {
      override alone(step: Store.Step, now: number) {
        if ((step.input as { readonly op?: string }).op === "reset") super.alone(step, now)
      }
    }
  },
  {
    mistake: "reports to the last writer",
    breaks: "circuits",
    make: class extends SharedStore {
      private reporting = false
      override ask(step: Store.Step, now: number) {
        this.reporting = (step.input as { readonly op?: string }).op === "record"
        const outcome = super.ask(step, now)
        this.reporting = false
        return outcome
      }
      override own(space: Store.AnySpace, entries: ReadonlyArray<Entry>) {
        return this.reporting ? (entries[0] ?? super.own(space, entries)) : super.own(space, entries)
      }
    }
  },
  {
    mistake: "hands over from one algorithm to another",
    breaks: "algorithms",
    make: class extends SharedStore {
      override spaceOf(space: Store.AnySpace) {
        return JSON.stringify([space.name])
      }
      override adopt(space: Store.AnySpace, { at }: Entry) {
        const { limit: cost } = space.policy as { readonly limit: number } // of every limit
        return space.kernel.step(space.policy, this.initial(space), { op: "take", cost }, at)[1] as unknown
      }
    }
  }
]
