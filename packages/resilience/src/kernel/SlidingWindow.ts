/**
 * Sliding window of `slices` slices of `slice` ms: the current slice and the `slices` before it count, each whole.
 * Slices lie at fixed places of the clock (`floor(now / slice)`, as in Sentinel's LeapArray), so they never drift. The
 * usual two-counter estimate weighs the oldest part and lets through up to twice the limit; counting it whole does not.
 *
 * Bound: each span of `slices * slice` ms holds at most `limit`. The price: a unit comes back up to one slice late.
 */
import { isFarAhead, stepAnew } from "./FarAhead.ts"
import type { LimiterDecision, LimiterInput, LimiterKernel } from "./Limiter.ts"
import { NEVER, takes, undo } from "./Limiter.ts"
import { evenly } from "./Rank.ts"
import { isWhole } from "./Whole.ts"

export interface SlidingWindowPolicy {
  readonly limit: number
  readonly slice: number
  readonly slices: number
}

/**
 * `counts[0]` units in the slice that begins at `start`, the newest seen; `counts[k]` in the k-th before it.
 * A time, not a number of slices: so it outlives a new `slice`.
 */
export interface SlidingWindowState {
  readonly start: number
  readonly counts: ReadonlyArray<number>
}

export interface SlidingWindowReceipt {
  readonly start: number
  readonly cost: number
}

type Answer = readonly [answer: LimiterDecision<SlidingWindowReceipt>, state: SlidingWindowState]

const initial = (): SlidingWindowState => ({ start: 0, counts: [] })

/** The slice that a unit was taken in, and the `slices` after it. */
const span = (policy: SlidingWindowPolicy): number => (policy.slices + 1) * policy.slice

const sliceOf = (policy: SlidingWindowPolicy, time: number): number => Math.floor(time / policy.slice)

/** The number of the slice in force: an earlier `now` is read as the newest slice seen. */
const sliceAt = (policy: SlidingWindowPolicy, state: SlidingWindowState, now: number): number =>
  sliceOf(policy, Math.max(now, state.start))

/** `counts[k]`, and 0 for slices that are not kept. */
const countOf = (state: SlidingWindowState, k: number): number => state.counts[k] ?? 0

/** The units that count when the newest slice seen is `age` slices old. */
const totalAt = (policy: SlidingWindowPolicy, state: SlidingWindowState, age: number): number => {
  const last = Math.min(policy.slices - age, state.counts.length - 1)
  let total = 0
  for (let k = 0; k <= last; k++) total = total + countOf(state, k)
  return total
}

/** When slice number `slice` no longer counts. */
const gone = (policy: SlidingWindowPolicy, slice: number): number => (slice + policy.slices + 1) * policy.slice

const expiresAt = (policy: SlidingWindowPolicy, state: SlidingWindowState): number => {
  const last = Math.min(policy.slices, state.counts.length - 1)
  for (let k = 0; k <= last; k++) {
    if (countOf(state, k) > 0) return gone(policy, sliceOf(policy, state.start) - k)
  }
  return state.start
}

const decide = (
  policy: SlidingWindowPolicy,
  state: SlidingWindowState,
  now: number,
  retryAfter: number,
  receipt: SlidingWindowReceipt
): LimiterDecision<SlidingWindowReceipt> => ({
  allowed: retryAfter === 0,
  retryAfter: retryAfter,
  // Less than nothing is left where a larger policy was in force before.
  remaining: Math.max(
    0,
    policy.limit - totalAt(policy, state, sliceAt(policy, state, now) - sliceOf(policy, state.start))
  ),
  resetAfter: Math.max(0, expiresAt(policy, state) - now),
  receipt: receipt
})

/** An answer that changes nothing. */
const stay = (policy: SlidingWindowPolicy, state: SlidingWindowState, now: number, retryAfter: number): Answer => [
  decide(policy, state, now, retryAfter, { start: state.start, cost: 0 }),
  state
]

/** The state `age` slices later, with `cost` more in the k-th slice before the newest. */
const put = (
  policy: SlidingWindowPolicy,
  state: SlidingWindowState,
  age: number,
  k: number,
  cost: number
): SlidingWindowState => {
  const counts: Array<number> = []
  for (let i = 0; i <= policy.slices; i++) counts[i] = countOf(state, i - age) + (i === k ? cost : 0)
  return { start: (sliceOf(policy, state.start) + age) * policy.slice, counts: counts }
}

const take = (policy: SlidingWindowPolicy, state: SlidingWindowState, cost: number, now: number): Answer => {
  if (cost === 0) return stay(policy, state, now, 0)
  if (cost > policy.limit) return stay(policy, state, now, NEVER)
  const slice = sliceAt(policy, state, now)
  const age = slice - sliceOf(policy, state.start)
  // Slices leave from the oldest on; without any of them the cost fits.
  let over = totalAt(policy, state, age) + cost - policy.limit
  let left = policy.slices
  for (; over > 0; left--) over = over - countOf(state, left - age)
  if (left < policy.slices) return stay(policy, state, now, gone(policy, slice - left - 1) - now)
  const after = put(policy, state, age, 0, cost)
  return [decide(policy, after, now, 0, { start: after.start, cost: cost }), after]
}

/**
 * What is let through in a slice leaves when it is `gone`, and as much may go in its place. So of many units, each goes one
 * such period after the unit that was `limit` before it.
 */
const reach = (policy: SlidingWindowPolicy, given: SlidingWindowState, units: number, now: number): number => {
  const state = isFarAhead(given.start, now, policy, span) ? initial() : given
  const slice = sliceAt(policy, state, now)
  const age = slice - sliceOf(policy, state.start)
  const rounds = Math.floor((units - 1) / policy.limit)
  let over = totalAt(policy, state, age) + units - (rounds + 1) * policy.limit
  let left = policy.slices
  for (; over > 0; left--) over = over - countOf(state, left - age)
  if (left < policy.slices) return gone(policy, slice - left - 1) + rounds * gone(policy, 0)
  return rounds > 0 ? slice * policy.slice + rounds * gone(policy, 0) : now
}

/** Only the slice a call was counted in can give it back, while it is kept. */
const refund = (
  policy: SlidingWindowPolicy,
  state: SlidingWindowState,
  receipt: SlidingWindowReceipt
): SlidingWindowState => {
  const k = sliceOf(policy, state.start) - sliceOf(policy, receipt.start)
  const back = Math.min(receipt.cost, countOf(state, k))
  return back === 0 ? state : put(policy, state, 0, k, -back)
}

const decided = (
  policy: SlidingWindowPolicy,
  state: SlidingWindowState,
  input: LimiterInput<SlidingWindowReceipt>,
  now: number
): Answer => {
  if (input.op === "take") return take(policy, state, input.cost, now)
  return stay(policy, input.op === "refund" ? refund(policy, state, input.receipt) : initial(), now, 0)
}

export const slidingWindow: LimiterKernel<SlidingWindowPolicy, SlidingWindowState, SlidingWindowReceipt> = {
  id: "sliding-window@2",
  initial: initial,
  expiresAt: expiresAt,
  span: span,
  reach: reach,
  takes: takes,
  undo: undo,
  isPolicy: (policy) => isWhole(policy.limit, 1) && isWhole(policy.slice, 1) && isWhole(policy.slices, 1),
  isState: (policy, state) =>
    state.counts.length === policy.slices + 1 || (state.counts.length === 0 && state.start === 0), // the initial one
  rank: (policy, state) =>
    evenly(state.start, totalAt(policy, state, 0), policy.limit, gone(policy, 0), expiresAt(policy, state)),
  step: (policy, state, input, now) =>
    isFarAhead(state.start, now, policy, span)
      ? stepAnew(decided, policy, state, initial(), input, now)
      : decided(policy, state, input, now)
}
