/**
 * A key during a commit, as one policy sees it.
 */
import { adopted } from "effect-resilience/kernel/Adoption"
import { type Entry, valueIn, valueOf } from "./entries.ts"
import type { Home } from "./home.ts"

/** What is to be written: a value and its end (`undefined` for none), or nothing at all, where the key is to be unlinked. */
export type Written = { readonly value: string; readonly expires: number | undefined } | "unlink"

export class Cell {
  private readonly home: Home
  private readonly isHeld: boolean
  private readonly epoch: number
  private others: ReadonlyArray<Entry> = []
  private own: Entry | undefined
  /** The entry that the state was adopted from. */
  private source: Entry | undefined
  private place = 0
  private isChanged = false
  state: unknown
  /** Whether the policy has a state of its own: found, adopted by a question, or made by one. */
  isOwn = false
  /** Why the value cannot be read. */
  damage: unknown

  constructor(home: Home, held: string | null, epoch: number, now: number) {
    this.home = home
    this.isHeld = held !== null
    this.epoch = epoch
    if (held === null) {
      this.state = home.initial
      return
    }
    try {
      this.state = this.load(held, now) ?? home.initial
    } catch (cause) {
      this.damage = cause
      this.others = []
      this.own = this.source = undefined
      this.isOwn = false
      this.state = home.initial
    }
  }

  private load(held: string, now: number): unknown {
    const { home } = this
    const value = valueIn(held)
    if (value.epoch < this.epoch) return undefined
    const entries = value.entries()
    this.others = entries.filter(({ policy }) => policy !== home.policyWord)
    const own = entries.findIndex(({ policy }) => policy === home.policyWord)
    if (own >= 0) {
      this.own = entries[own]!
      this.place = own
      this.isOwn = true
      return home.readOwn(this.own.state)
    }
    const source = this.others.findIndex(({ ends }) => ends > now)
    if (source < 0 || !home.adopts) return undefined
    const { at, policy, state } = this.others[source]!
    this.source = this.others[source]!
    this.place = source + 1
    const { isLimit, kernel } = home
    const from = home.readPolicy(policy)
    const left = home.readState(state, kernel.adopt === undefined ? from : home.policy)
    const taken = adopted(kernel, isLimit, home.policy, from, left, at)
    if (taken === undefined) throw new Error("there is no such policy, or no such state of it")
    return taken
  }

  /** The state that a reader is shown; `undefined` where the policy has none, and takes over none. */
  get known(): unknown {
    return this.isOwn || this.source !== undefined ? this.state : undefined
  }

  /** A question looks at the state: what was adopted is written from now on, also where the question is refused. */
  look(): void {
    if (this.source !== undefined) this.isOwn = true
  }

  change(state: unknown): void {
    this.state = state
    this.isOwn = this.isChanged = true
  }

  /** A command leaves nothing of other policies, and of what could not be read. */
  command(state: unknown): void {
    this.damage = undefined
    this.others = []
    this.change(state)
  }

  /** `undefined`: what is held stays. */
  written(now: number): Written | undefined {
    const { home, isChanged, others, own, source, state } = this
    const { idle, kernel, policy } = home
    const end = kernel.expiresAt(policy, state)
    const isRenewed =
      own !== undefined && end === undefined && idle >= 0 && !(own.ends < Infinity && own.ends - now >= idle)
    if (!isChanged && !(source !== undefined && this.isOwn) && !isRenewed) return undefined
    const { text, ends } = valueOf(
      this.epoch,
      {
        place: isChanged ? 0 : this.place,
        ends: home.endOf(end, now),
        at: isChanged ? now : (own ?? source)!.at, // one of them is why it is written
        policy: home.policyWord,
        state: home.writeState(state)
      },
      others,
      now
    )
    if (ends > now) return { value: text, expires: ends === Infinity ? undefined : ends }
    return this.isHeld ? "unlink" : undefined
  }
}
