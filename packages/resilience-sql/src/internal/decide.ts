/**
 * What the kernels make of the rows that were found, and what is to be written then.
 */
import type { Decision } from "effect-resilience/kernel/Kernel"
import type { AnySpace, Step } from "effect-resilience/Store"
import type { Change, Found, Look } from "./dialect.ts"
import { ascii } from "./names.ts"

/** The state in a row; `undefined` for a row that has ended: absent means initial. */
export const stateOf = (row: Found | undefined, now: number): unknown =>
  row === undefined || (row.expires_at !== null && row.expires_at <= now) ? undefined : JSON.parse(row.state)

/**
 * When a state that was just used may go. One without an end of its own goes when it was not used for a while; half of
 * that again is added, so that not every use has to be written down.
 */
const endOf = ({ kernel, keys, policy }: AnySpace, state: unknown, now: number): number | null => {
  const end = kernel.expiresAt(policy, state) ?? Math.ceil(now + 1.5 * keys.idleTimeToLive)
  return end <= Number.MAX_SAFE_INTEGER ? end : null
}

/** A commit, and the names of the rows that its steps look at, in the order of the steps. */
export interface Commit {
  readonly steps: ReadonlyArray<Step>
  readonly rows: ReadonlyArray<string>
}

export interface Decided {
  readonly allowed: boolean
  readonly answers: ReadonlyArray<Decision>
}

interface Row {
  readonly space: string
  readonly key: string
  /** As it was found; `null` where it was not. */
  readonly old: string | null
  /** `undefined` where absent. */
  state: unknown
  expiresAt: number | null
  changed: boolean
  /** Whether a write depends on it. */
  needed: boolean
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
    for (const [name, { key, space }] of places) {
      const row = known[i++]
      const old = row?.state ?? null
      const state = stateOf(row, now)
      this.rows.set(name, { space, key, old, state, expiresAt: row?.expires_at ?? null, changed: false, needed: false })
    }
  }

  commit({ rows, steps }: Commit): Decided {
    const { now } = this
    const found = rows.map((name) => this.rows.get(name)!) // the names are of these places
    const states: Array<unknown> = []
    const answers = steps.map(({ input, space: { kernel, policy } }, i): Decision => {
      const { state } = found[i]!
      const before: unknown = state === undefined ? kernel.initial(policy) : state
      const [answer, after]: readonly [Decision, unknown] = kernel.step(policy, before, input, now)
      states[i] = Object.is(after, before) ? state : after
      return answer
    })
    const allowed = answers.every((answer) => answer.allowed)
    let moved = false
    steps.forEach(({ space }, i) => {
      const row = found[i]!
      if (allowed && states[i] !== row.state) moved = this.write(row, space, states[i]) || moved
      else this.use(row, space)
    })
    if (moved) for (const row of found) row.needed = true
    return { allowed, answers }
  }

  private write(row: Row, space: AnySpace, state: unknown): boolean {
    const end = endOf(space, state, this.now)
    // as good as new, and no row to say so
    if (row.old === null && !row.changed && end !== null && end <= this.now) return false
    row.state = state
    row.expiresAt = end
    row.changed = true
    return true
  }

  /** A use of a state without an end may have to be written down, be it refused. */
  private use(row: Row, { kernel, keys, policy, ...space }: AnySpace): void {
    const left = (row.expiresAt ?? Infinity) - this.now
    if (row.state === undefined || left >= keys.idleTimeToLive) return
    if (kernel.expiresAt(policy, row.state) !== undefined) return
    row.expiresAt = endOf({ kernel, keys, policy, ...space }, row.state, this.now)
    row.changed = true
    row.needed = true
  }

  /** What is to be written, and what that depends on. */
  get changes(): ReadonlyArray<Change> {
    const needed = Array.from(this.rows.values()).filter((row) => row.needed)
    return needed.map(({ changed, expiresAt, key, old, space, state }, i) => ({
      i,
      space,
      key,
      old,
      new: changed ? ascii(state) : old,
      expires_at: expiresAt
    }))
  }
}
