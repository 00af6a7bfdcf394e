/**
 * What is in a row: a state for each policy that wrote there, the last writer first.
 *
 * Two versions of a service, during a rolling deployment, share a row. Each policy decides on a state of its own; one that
 * has none yet takes over what another one owed (`kernel/Adoption` of effect-resilience).
 */
import { adopted } from "effect-resilience/kernel/Adoption"
import { hasShapeOf, isWhole } from "effect-resilience/kernel/StateShape"
import type { AnySpace } from "effect-resilience/Store"
import { ascii } from "./names.ts"

/** So many policies have a state in one row. */
const MOST = 4

export interface PolicyEntry {
  /** As JSON has it. */
  readonly policy: unknown
  /** The database's time when the state was written; of one that was taken over, that of the one it came from. */
  readonly at: number
  /** When the state may be forgotten; `null` for never. */
  readonly ends: number | null
  readonly state: unknown
}

export type Entries = ReadonlyArray<PolicyEntry>

const plain = new WeakMap<object, unknown>()

/** A policy as it comes back from a row. */
const plainOf = (policy: unknown): unknown => {
  if (typeof policy !== "object" || policy === null) return policy ?? null
  let known = plain.get(policy)
  if (known === undefined) plain.set(policy, (known = JSON.parse(JSON.stringify(policy))))
  return known
}

/** Equal JSON, in whatever order the fields of a record stand: two processes may have made it in different ways. */
const isSame = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  const names = Object.keys(a)
  return (
    Array.isArray(a) === Array.isArray(b) &&
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && isSame(a[name as never], b[name as never]))
  )
}

/**
 * When a state that was just used may go. One without an end of its own goes when it was not used for a while; half of
 * that again is added, so that not every use has to be written down.
 */
const endOf = ({ kernel, keys, policy }: AnySpace, state: unknown, now: number): number | null => {
  const end = kernel.expiresAt(policy, state) ?? Math.ceil(now + 1.5 * keys.idleTimeToLive)
  return end <= Number.MAX_SAFE_INTEGER ? Math.max(0, Math.ceil(end)) : null
}

const entryOf = (space: AnySpace, state: unknown, at: number, now: number): PolicyEntry => ({
  policy: plainOf(space.policy),
  at,
  ends: endOf(space, state, now),
  state
})

/** What a space's policy leaves at `now`. */
export const writtenBy = (space: AnySpace, state: unknown, now: number): PolicyEntry => entryOf(space, state, now, now)

const wrong = (what: unknown): Error => new Error(`not a row of this store: ${ascii(what ?? null).slice(0, 200)}`)

const mayBe = (is: () => boolean | undefined): boolean => {
  try {
    return is() !== false
  } catch {
    return false // it has other fields
  }
}

const entryIn = ({ kernel, policy: own }: AnySpace, value: unknown): PolicyEntry => {
  if (!Array.isArray(value) || value.length !== 4) throw wrong(value)
  const [policy, at, ends, state]: ReadonlyArray<unknown> = value
  if (!isWhole(at) || !(ends === null || isWhole(ends))) throw wrong(value)
  // nothing is known of a state whose policy there cannot be: it is in the way of a policy that would begin with it
  if (!mayBe(() => kernel.isPolicy?.(policy)) && !isSame(policy, plainOf(own))) return { policy, at, ends, state }
  if (!hasShapeOf(kernel.id, kernel.initial(policy), state)) throw wrong(value)
  if (kernel.isState?.(policy, state) === false) throw wrong(value)
  return { policy, at, ends, state }
}

/** Throws where the text is not what a store wrote for this kernel. */
export const parse = (text: string, space: AnySpace): Entries => {
  const values: unknown = JSON.parse(text)
  if (!Array.isArray(values) || values.length === 0) throw wrong(values)
  return values.map((value) => entryIn(space, value))
}

export const textOf = (entries: Entries): string =>
  ascii(entries.map(({ at, ends, policy, state }) => [policy, at, ends, state]))

/** An entry is of use for as long again as it lasted: a policy that comes back by then has its own, and owes nothing. */
const graceOf = ({ at, ends }: PolicyEntry): number => (ends === null ? Infinity : ends + Math.max(0, ends - at))

/**
 * When a row may be forgotten; `null` for never. Several entries stay for the grace of the last of them, or the policy that
 * writes next would be the only one that is known.
 */
export const endOfAll = (entries: Entries): number | null => {
  const [only] = entries
  if (entries.length === 1) return only!.ends
  const end = Math.max(...entries.map(graceOf))
  return end <= Number.MAX_SAFE_INTEGER ? end : null
}

const hasEnded = ({ ends }: PolicyEntry, now: number): boolean => ends !== null && ends <= now

export interface Start {
  /** `undefined` where the policy begins anew. */
  readonly own: PolicyEntry | undefined
  /** Where the own state was taken over from just now: then it is not in the row yet. */
  readonly from: PolicyEntry | undefined
}

/** Its own entry, also where that has ended: a state after its end behaves as new. One that was not used for too long is gone. */
const ownIn = (entries: Entries, { kernel, policy }: AnySpace, now: number): PolicyEntry | undefined => {
  const own = entries.find((entry) => isSame(entry.policy, plainOf(policy)))
  if (own === undefined || !hasEnded(own, now)) return own
  return kernel.expiresAt(policy, own.state) === undefined ? undefined : own
}

/**
 * What a space's policy has in these entries at `now`: its own state, or else what the last writer owed when that was
 * written. Throws where a kernel can make nothing of that.
 */
export const startIn = (entries: Entries, space: AnySpace, now: number, takesOver: boolean): Start => {
  const { isLimit, kernel, policy } = space
  const own = ownIn(entries, space, now)
  const from = takesOver && own === undefined ? entries.find((entry) => !hasEnded(entry, now)) : undefined
  if (from === undefined) return { own, from: undefined }
  const state = adopted(kernel, isLimit === true, policy, from.policy, from.state, from.at)
  if (state === undefined) throw wrong(from.policy)
  return { own: entryOf(space, state, from.at, now), from }
}

/** The states of other policies that are kept beside one that is written. */
const beside = (entries: Entries, own: PolicyEntry, now: number): Entries =>
  entries.filter((entry) => !isSame(entry.policy, own.policy) && now < graceOf(entry)).slice(0, MOST - 1)

/** After a policy has written. */
export const written = (entries: Entries, own: PolicyEntry, now: number): Entries => [own, ...beside(entries, own, now)]

/**
 * After a policy has taken over what another one owed: right behind that. It is written down though nothing was spent, or
 * the other policy's next write would be taken over in its turn, and a policy could be refused for as long as another
 * one is busy.
 */
export const tookOver = (entries: Entries, own: PolicyEntry, from: PolicyEntry, now: number): Entries => {
  const kept = beside(entries, own, now)
  const at = kept.indexOf(from)
  return at < 0 ? [...kept, own] : kept.toSpliced(at + 1, 0, own)
}

/** After a use of a state that has no end but its idle one, where that has to be written down. */
export const stillUsed = (entries: Entries, space: AnySpace, own: PolicyEntry, now: number): Entries =>
  entries.map((entry) => (entry === own ? entryOf(space, own.state, own.at, now) : entry))
