/**
 * What the kernels make of the rows that were found, and what is to be written then.
 */
import type { Decision } from "effect-resilience/kernel/Kernel"
import type { AnySpace, Step } from "effect-resilience/Store"
import type { Change, Found, Look, Place } from "./dialect.ts"
import { ascii, nameOfKey, nameOfSpace } from "./names.ts"

export const placesOf = (steps: ReadonlyArray<Step>): ReadonlyArray<Place> =>
  steps.map(({ key, space }, i) => ({ i, space: nameOfSpace(space), key: nameOfKey(key) }))

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

export interface Decided {
  readonly now: number
  readonly allowed: boolean
  readonly answers: ReadonlyArray<Decision>
  /** Empty where nothing is to be written. */
  readonly changes: ReadonlyArray<Change>
}

export const decide = (steps: ReadonlyArray<Step>, places: ReadonlyArray<Place>, { found, now }: Look): Decided => {
  const rows: Array<Found | undefined> = steps.map(() => undefined)
  for (const row of found) rows[row.i] = row
  const answers: Array<Decision> = []
  const used: Array<Change> = []
  const written: Array<Change> = []
  let moved = false
  let allowed = true
  steps.forEach(({ input, space }, i) => {
    const { kernel, policy } = space
    const row = rows[i]
    const known = stateOf(row, now)
    const before = known === undefined ? kernel.initial(policy) : known
    const [answer, after]: readonly [Decision, unknown] = kernel.step(policy, before, input, now)
    answers.push(answer)
    if (!answer.allowed) allowed = false
    const old = row?.state ?? null
    const end = endOf(space, after, now)
    const same = { ...places[i]!, old, new: old, expires_at: row?.expires_at ?? null }
    if (!Object.is(after, before) && (row !== undefined || end === null || end > now)) {
      moved = true
      return written.push({ ...same, new: ascii(after), expires_at: end })
    }
    // nothing changes, but the use of a state without an end may have to be written down
    const left = same.expires_at === null ? Infinity : same.expires_at - now
    if (known === undefined || left >= space.keys.idleTimeToLive || kernel.expiresAt(policy, before) !== undefined) {
      return written.push(same)
    }
    const touched = { ...same, expires_at: endOf(space, before, now) }
    used.push(touched)
    return written.push(touched)
  })
  return { now, allowed, answers, changes: allowed && moved ? written : used }
}
