/**
 * What a key holds: an entry for each policy that wrote there, the last writer first.
 *
 *     0 1764129601123;1764129600123 100,1000,10 1764129600123 4503 3 4 | 1764129609123;1764129599123 50,1000,10 ...
 *     epoch   ends      written at      policy               state
 *
 * `ends` is when the state may be forgotten, and absent where it may never. A policy is its numbers, or `-` where it has
 * none. `luaEntries` says the same in Lua: what one of them reads, adopts, keeps and writes, the other must, too.
 */
import { LARGEST, wholeOf } from "./codec.ts"

/** So many policies has a value: the oldest entry goes. */
export const MOST = 4

export interface Entry {
  readonly text: string
  /** `Infinity`: never. */
  readonly ends: number
  readonly at: number
  readonly policy: string
  /** The words of the state, with a space before each. */
  readonly state: string
}

export interface Value {
  readonly epoch: number
  /** Throws where one of them is none. */
  readonly entries: () => ReadonlyArray<Entry>
}

const notOurs = (text: string): Error => new Error(`${JSON.stringify(text.slice(0, 60))} is no entry of a value`)

const entryIn = (text: string): Entry => {
  const found = /^(\d*);(\d+) ([^ ]+)([^]*)$/.exec(text)
  if (found === null) throw notOurs(text)
  const [, ends, at, policy, state] = found as unknown as readonly [string, string, string, string, string] // one for each group
  return { text, ends: ends === "" ? Infinity : wholeOf(ends), at: wholeOf(at), policy, state }
}

/** Throws where it is no value of this package. */
export const valueIn = (held: string): Value => {
  const found = /^(\d+) ([^]*)$/.exec(held)
  if (found === null) throw notOurs(held)
  return { epoch: wholeOf(found[1]!), entries: () => found[2]!.split(" | ").map(entryIn) }
}

/** Where an entry stands: before those of `others` from `place` on. */
export interface Own {
  readonly place: number
  readonly ends: number
  readonly at: number
  readonly policy: string
  readonly state: string
}

/** An entry is of use for as long again as it lasted: a policy that comes back by then finds that it owes nothing. */
const graceOf = ({ at, ends }: { readonly at: number; readonly ends: number }): number => ends + Math.max(0, ends - at)

/**
 * What a key is to hold, and until when: `Infinity` for ever.
 *
 * Of the other entries, the first three are kept whose grace is not over. So a policy that is asked at least once in its span
 * does not lose its entry to another's write, which it would have to take over anew, and be refused again. For the same
 * reason several entries stay for as long as the grace of one of them, while a single one goes when it ends.
 */
export const valueOf = (
  epoch: number,
  own: Own,
  others: ReadonlyArray<Entry>,
  now: number
): { readonly text: string; readonly ends: number } => {
  const texts: Array<string> = []
  let ends = graceOf(own)
  let place = 0
  others.forEach((entry, i) => {
    if (texts.length === MOST - 1 || now >= graceOf(entry)) return
    texts.push(entry.text)
    ends = Math.max(ends, graceOf(entry))
    if (i < own.place) place = texts.length
  })
  if (texts.length === 0) ends = own.ends
  texts.splice(place, 0, `${own.ends === Infinity ? "" : own.ends};${own.at} ${own.policy}${own.state}`)
  return { text: `${epoch} ${texts.join(" | ")}`, ends: ends === Infinity ? ends : Math.min(ends, LARGEST) }
}
