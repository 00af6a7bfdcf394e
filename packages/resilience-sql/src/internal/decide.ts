/**
 * What the kernels make of the rows that were found, and what is to be written then.
 */
import * as Exit from "effect/Exit"
import type { Decision } from "effect-resilience/kernel/Kernel"
import { StoreError } from "effect-resilience/Rejection"
import type { AnySpace, Step } from "effect-resilience/Store"
import type { Change, Found, Look } from "./dialect.ts"
import {
  endOfAll,
  type Entries,
  parse,
  type Start,
  startIn,
  stillUsed,
  textOf,
  tookOver,
  written,
  writtenBy
} from "./entries.ts"

/** The end of a row is rounded up to this, in milliseconds: so most writes leave the index on it as it is. */
const COARSE = 10_000

/** A commit, and the names of the rows that its steps look at, in the order of the steps. */
export interface Commit {
  readonly steps: ReadonlyArray<Step>
  readonly rows: ReadonlyArray<string>
}

export interface Decided {
  readonly allowed: boolean
  readonly answers: ReadonlyArray<Decision>
}

const damaged = (cause: unknown): StoreError => new StoreError({ reason: "damaged", cause })

/** A receipt is of a state of the policy that gave it: without one, there is nothing to refund. */
const isRefund = ({ input, space }: Step): boolean =>
  space.isLimit === true && (input as { readonly op?: unknown }).op === "refund" // a limit's input

const anew: Start = { own: undefined, from: undefined }

class Row {
  readonly space: string
  readonly key: string
  /** As it was found; `null` where it was not. */
  readonly old: string | null
  /** What was found, until the first question reads it. */
  private text: string | undefined
  entries: Entries = []
  /** Why the row cannot be read. */
  damage: { readonly cause: unknown } | undefined
  changed = false
  /** Whether a write depends on it. */
  needed = false

  /** A row that has ended is absent, and so is one that was made to be locked, and then not written. */
  constructor({ key, space }: { readonly space: string; readonly key: string }, found: Found | undefined, now: number) {
    this.space = space
    this.key = key
    this.old = found?.state ?? null
    const hasEnded = found !== undefined && found.expires_at !== null && found.expires_at <= now
    this.text = hasEnded || found?.state === "" ? undefined : found?.state
  }

  /** What the space's policy begins with here. All spaces of a row have one kernel: its id is part of the row's name. */
  start(space: AnySpace, now: number, takesOver: boolean): Start | StoreError {
    const { text } = this
    this.text = undefined
    try {
      if (text !== undefined) this.entries = parse(text, space)
    } catch (cause) {
      this.damage = { cause }
    }
    if (this.damage !== undefined) return damaged(this.damage.cause)
    try {
      return startIn(this.entries, space, now, takesOver)
    } catch (cause) {
      return damaged(cause)
    }
  }

  write(entries: Entries): void {
    this.entries = entries
    this.damage = undefined
    this.changed = true
    this.needed = true
  }
}

/** The state that a policy finds in a row: its own, or what it would take over; `undefined` where it begins anew. */
export const stateIn = (space: AnySpace, found: Found | undefined, now: number): Exit.Exit<unknown, StoreError> => {
  const start = new Row({ space: "", key: "" }, found, now).start(space, now, true)
  return start instanceof StoreError ? Exit.fail(start) : Exit.succeed(start.own?.state)
}

/** Rows as one look found them, and as one commit after the other leaves them. Nothing is written before the last. */
export class Draft {
  readonly now: number
  private readonly rows = new Map<string, Row>()

  constructor(places: ReadonlyMap<string, { readonly space: string; readonly key: string }>, { found, now }: Look) {
    this.now = now
    const known: Array<Found | undefined> = []
    for (const row of found) known[row.i] = row
    let i = 0
    for (const [name, place] of places) this.rows.set(name, new Row(place, known[i++], now))
  }

  /** Fails, and asks no kernel, where a row cannot be read. Throws what a kernel throws. */
  commit({ rows, steps }: Commit): Exit.Exit<Decided, StoreError> {
    const { now } = this
    const found = rows.map((name) => this.rows.get(name)!) // the names are of these places
    const starts: Array<Start> = []
    for (const [i, step] of steps.entries()) {
      const start = found[i]!.start(step.space, now, !isRefund(step))
      if (!(start instanceof StoreError)) starts.push(start)
      else if (step.isCommand) starts.push(anew)
      else return Exit.fail(start)
    }
    const before = steps.map(({ space: { kernel, policy } }, i): unknown => {
      const { own } = starts[i]!
      return own === undefined ? kernel.initial(policy) : own.state
    })
    const outcomes = steps.map(({ input, space: { kernel, policy } }, i): readonly [Decision, unknown] =>
      kernel.step(policy, before[i], input, now)
    )
    const allowed = outcomes.every(([answer]) => answer.allowed)
    let moved = false
    for (const [i, step] of steps.entries()) {
      const after = outcomes[i]![1]
      if (allowed && this.leaves(found[i]!, step, starts[i]!, after, before[i])) moved = true
      else this.uses(found[i]!, step.space, starts[i]!)
    }
    if (moved) for (const row of found) row.needed = true
    return Exit.succeed({ allowed, answers: outcomes.map(([answer]) => answer) })
  }

  /** Writes down what an allowed step leaves; `false` where that is nothing. */
  private leaves(row: Row, step: Step, { own }: Start, after: unknown, before: unknown): boolean {
    const { now } = this
    const { isCommand, space } = step
    // a command leaves no state of another policy, and no row that cannot be read
    const replaces = isCommand && (row.damage !== undefined || row.entries.some((entry) => entry !== own))
    if (!replaces && (Object.is(after, before) || (own === undefined && isRefund(step)))) return false
    const entry = writtenBy(space, after, now)
    // the state is over already, and there is no row that it would replace
    if (!replaces && row.entries.length === 0 && !row.changed && entry.ends !== null && entry.ends <= now) return false
    row.write(isCommand ? [entry] : written(row.entries, entry, now))
    return true
  }

  /** What was taken over is kept, be the step refused; and so may be a use of a state without an end. */
  private uses(row: Row, space: AnySpace, { from, own }: Start): void {
    const { now } = this
    if (own === undefined) return
    if (from !== undefined) return row.write(tookOver(row.entries, own, from, now))
    const { kernel, keys, policy } = space
    const isIdle = own.ends !== null && own.ends - now < keys.idleTimeToLive
    if (isIdle && kernel.expiresAt(policy, own.state) === undefined) row.write(stillUsed(row.entries, space, own, now))
  }

  /** What is to be written, and what that depends on. */
  get changes(): ReadonlyArray<Change> {
    const needed = Array.from(this.rows.values()).filter((row) => row.needed)
    return needed.map(({ changed, entries, key, old, space }, i) => {
      if (!changed) return { i, space, key, old, new: null, expires_at: null }
      const end = endOfAll(entries)
      const expires_at = end === null || end <= this.now ? end : Math.ceil(end / COARSE) * COARSE
      return { i, space, key, old, new: textOf(entries), expires_at }
    })
  }
}
