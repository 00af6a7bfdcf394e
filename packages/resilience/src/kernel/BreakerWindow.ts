/**
 * What a closed circuit remembers of the calls that ended, and when that is enough to open it: one window for each trip
 * policy.
 *
 * A window ages by the times it is given, never by a clock. A time before its newest outcome counts as that outcome's
 * time, so a clock that steps back makes nothing younger.
 *
 * @since 0.1.0
 */
import type { BreakerRecord, BreakerSlow } from "./BreakerInput.ts"
import type { Opener, Trip, Window } from "./BreakerModel.ts"
import { NEVER } from "./Limiter.ts"

/** A window without outcomes; no other has 0 calls. @category constructors @since 0.1.0 */
export const EMPTY: Window = { calls: 0, bad: 0, head: 0, cells: [] }

/** Outcomes in a word of a ring. @category models @since 0.1.0 */
export const BITS = 30
// A literal, since a script in a store makes it anew at each call.
// oxfmt-ignore
const POW2: ReadonlyArray<number> = [
  1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
  32768, 65536, 131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608, 16777216, 33554432, 67108864, 134217728, 268435456, 536870912
]

/** A copy with one element replaced, or appended at the end. @category combinators @since 0.1.0 */
export const replace = <A>(items: ReadonlyArray<A>, index: number, item: A): Array<A> => {
  const out: Array<A> = []
  for (const other of items) out.push(out.length === index ? item : other)
  if (index === items.length) out.push(item)
  return out
}

const sum = (cells: ReadonlyArray<number>, from: number): number => {
  let total = 0
  for (let i = from; i < cells.length; i = i + 2) total = total + (cells[i] ?? 0)
  return total
}

/** What is left at `now`; the window itself if nothing aged out. @category combinators @since 0.1.0 */
export const age = (trip: Trip, window: Window, now: number): Window => {
  if (window.calls === 0) return window
  if (trip.kind !== "rate") {
    if (trip.within === 0 || now - (window.cells[0] ?? now) < trip.within) return window
    const times: Array<number> = []
    for (const time of window.cells) if (now - time < trip.within) times.push(time)
    return times.length === 0 ? EMPTY : { calls: times.length, bad: times.length, head: window.head, cells: times }
  }
  if (trip.calls > 0) return window
  const passed = Math.floor(now / trip.slice) - window.head
  if (passed <= 0) return window
  if (passed >= trip.slices) return EMPTY
  // The slices stand in order of time, so ageing shifts the oldest out at the front.
  const cells: Array<number> = []
  for (let i = 2 * passed; i < 2 * (trip.slices + passed); i++) cells.push(window.cells[i] ?? 0)
  return { calls: sum(cells, 0), bad: sum(cells, 1), head: window.head + passed, cells }
}

const addFailure = (within: number, trip: Trip, window: Window, now: number): Window => {
  if (within === 0) return { calls: window.calls + 1, bad: window.bad + 1, head: 0, cells: EMPTY.cells }
  const time = Math.max(now, window.head)
  const recent = age(trip, window, time)
  const count = recent.calls + 1
  return { calls: count, bad: count, head: time, cells: replace(recent.cells, recent.calls, time) }
}

const addToRing = (size: number, window: Window, bad: number): Window => {
  const full = window.calls === size
  if (full && window.bad + bad === 0) return window
  const at = Math.floor(window.head / BITS)
  const weight = POW2[window.head - at * BITS] ?? 1
  const word = window.cells[at] ?? 0
  const above = Math.floor(word / weight)
  // What falls out stands where the next outcome is written: 0 until the ring is full.
  const old = above - 2 * Math.floor(above / 2)
  const same = bad === old && at < window.cells.length
  return {
    calls: full ? size : window.calls + 1,
    bad: window.bad + bad - old,
    head: window.head + 1 === size ? 0 : window.head + 1,
    cells: same ? window.cells : replace(window.cells, at, word + (bad - old) * weight)
  }
}

const addToSlice = (slice: number, slices: number, recent: Window, bad: number, now: number): Window => {
  const last = 2 * slices - 2
  const cells: Array<number> = []
  for (let i = 0; i < last; i++) cells.push(recent.cells[i] ?? 0)
  cells.push((recent.cells[last] ?? 0) + 1)
  cells.push((recent.cells[last + 1] ?? 0) + bad)
  const head = recent.calls === 0 ? Math.floor(now / slice) : recent.head
  return { calls: recent.calls + 1, bad: recent.bad + bad, head, cells }
}

/** Counts one outcome; the window itself if that changes nothing. @category combinators @since 0.1.0 */
export const add = (trip: Trip, window: Window, bad: boolean, now: number): Window => {
  if (trip.kind !== "rate") {
    if (bad) return addFailure(trip.within, trip, window, now)
    return trip.kind === "failures" || window.calls === 0 ? window : EMPTY
  }
  if (trip.calls > 0) return addToRing(trip.calls, window, bad ? 1 : 0)
  return addToSlice(trip.slice, trip.slices, age(trip, window, now), bad ? 1 : 0, now)
}

/** From when on the window is as good as empty: 0 if it is, `NEVER` if it stays. @category getters @since 0.1.0 */
export const emptyFrom = (trip: Trip, window: Window): number => {
  if (window.calls === 0) return 0
  if (trip.kind !== "rate") return trip.within === 0 ? NEVER : window.head + trip.within
  return trip.calls > 0 ? NEVER : (window.head + trip.slices) * trip.slice
}

/** The threshold of a slow trip, 0 if it is none. @category getters @since 0.1.0 */
export const slowAfter = (trip: Trip): number => (trip.kind === "rate" ? trip.slowAfter : 0)

const trips = (trip: Trip, window: Window): boolean =>
  trip.kind === "rate"
    ? window.calls >= trip.minimumCalls && window.bad / window.calls >= trip.threshold
    : window.bad >= trip.failures

const openerOf = (trip: Trip): Opener => {
  if (trip.kind !== "rate") return trip.kind
  return trip.slowAfter > 0 ? "slowCallRate" : "failureRate"
}

// How many slow trips come before the `index`-th, by ascending threshold.
const rankOf = (all: ReadonlyArray<Trip>, index: number, threshold: number): number => {
  let rank = 0
  let i = 0
  for (const trip of all) {
    const other = slowAfter(trip)
    if (other > 0 && (other < threshold || (other === threshold && i < index))) rank = rank + 1
    i = i + 1
  }
  return rank
}

/** The windows after a report, the same array if nothing changed, and the first trip policy that opens (`none`: none). @since 0.1.0 */
export const observe = (
  all: ReadonlyArray<Trip>,
  given: ReadonlyArray<Window>,
  input: BreakerRecord | BreakerSlow,
  now: number
): { readonly windows: ReadonlyArray<Window>; readonly by: Opener } => {
  let windows = given
  let by: Opener = "none"
  let i = 0
  for (const trip of all) {
    const threshold = slowAfter(trip)
    const rank = threshold > 0 ? rankOf(all, i, threshold) : NEVER
    const counts = input.op === "slow" ? rank === input.rank : threshold === 0 || rank >= input.slowFed
    const bad = input.op === "slow" || (threshold > 0 ? input.duration >= threshold : input.outcome === "failure")
    const before = given[i] ?? EMPTY
    const after = counts ? add(trip, before, bad, now) : before
    if (after !== before) windows = replace(windows, i, after)
    // A good outcome may complete `minimumCalls`, but only a bad one opens.
    if (counts && bad && trips(trip, after) && by === "none") by = openerOf(trip)
    i = i + 1
  }
  return { windows, by }
}
