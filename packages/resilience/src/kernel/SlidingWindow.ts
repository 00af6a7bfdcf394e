/**
 * Sliding window of `slices` slices of `slice` ms: the current slice and the `slices` before it count, each whole.
 * Slices lie at fixed places of the clock (`floor(now / slice)`, as in Sentinel's LeapArray), so they never drift. The
 * usual two-counter estimate weighs the oldest part and lets through up to twice the limit; counting it whole does not.
 *
 * Bound: any `slices * slice` ms hold at most `limit`. The price: a unit comes back up to one slice late.
 */
import type { LimiterDecision, LimiterInput, LimiterKernel } from "./Limiter.ts"
import { NEVER } from "./Limiter.ts"

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

/** The number of the slice in force: an earlier `now` is read as the newest slice seen. */
const sliceAt = (policy: SlidingWindowPolicy, state: SlidingWindowState, now: number): number =>
  Math.floor(Math.max(now, state.start) / policy.slice)

/** The units in slice number `slice`; 0 where it is not kept. */
const countIn = (policy: SlidingWindowPolicy, state: SlidingWindowState, slice: number): number => {
  const count = state.counts[Math.floor(state.start / policy.slice) - slice]
  return count === undefined ? 0 : count
}

/** The units that count while slice number `slice` is in force. */
const totalAt = (policy: SlidingWindowPolicy, state: SlidingWindowState, slice: number): number => {
  let total = 0
  for (let i = slice - policy.slices; i <= slice; i++) total = total + countIn(policy, state, i)
  return total
}

/** When slice number `slice` no longer counts. */
const gone = (policy: SlidingWindowPolicy, slice: number): number => (slice + policy.slices + 1) * policy.slice

const expiresAt = (policy: SlidingWindowPolicy, state: SlidingWindowState): number => {
  const newest = Math.floor(state.start / policy.slice)
  for (let i = newest; i >= newest - policy.slices; i--) {
    if (countIn(policy, state, i) > 0) return gone(policy, i)
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
  remaining: Math.max(0, policy.limit - totalAt(policy, state, sliceAt(policy, state, now))),
  resetAfter: Math.max(0, expiresAt(policy, state) - now),
  receipt: receipt
})

/** An answer that changes nothing. */
const stay = (policy: SlidingWindowPolicy, state: SlidingWindowState, now: number, retryAfter: number): Answer => [
  decide(policy, state, now, retryAfter, { start: state.start, cost: 0 }),
  state
]

/** The state while slice number `slice` is in force, with `cost` more in slice number `place`. */
const put = (
  policy: SlidingWindowPolicy,
  state: SlidingWindowState,
  slice: number,
  place: number,
  cost: number
): SlidingWindowState => {
  const counts: Array<number> = []
  for (let i = 0; i <= policy.slices; i++) {
    counts[i] = countIn(policy, state, slice - i) + (slice - i === place ? cost : 0)
  }
  return { start: slice * policy.slice, counts: counts }
}

const take = (policy: SlidingWindowPolicy, state: SlidingWindowState, cost: number, now: number): Answer => {
  if (cost === 0) return stay(policy, state, now, 0)
  if (cost > policy.limit) return stay(policy, state, now, NEVER)
  const slice = sliceAt(policy, state, now)
  // Slices leave from the oldest on; without any of them the cost fits.
  let over = totalAt(policy, state, slice) + cost - policy.limit
  let left = slice - policy.slices
  for (; over > 0 && left <= slice; left++) over = over - countIn(policy, state, left)
  if (left > slice - policy.slices) return stay(policy, state, now, gone(policy, left - 1) - now)
  const after = put(policy, state, slice, slice, cost)
  return [decide(policy, after, now, 0, { start: after.start, cost: cost }), after]
}

/** Only the slice a call was counted in can give it back, while it is kept. */
const refund = (
  policy: SlidingWindowPolicy,
  state: SlidingWindowState,
  receipt: SlidingWindowReceipt
): SlidingWindowState => {
  const place = Math.floor(receipt.start / policy.slice)
  const back = Math.min(receipt.cost, countIn(policy, state, place))
  return back === 0 ? state : put(policy, state, Math.floor(state.start / policy.slice), place, -back)
}

export const slidingWindow: LimiterKernel<SlidingWindowPolicy, SlidingWindowState, SlidingWindowReceipt> = {
  id: "sliding-window@1",
  initial: initial,
  expiresAt: expiresAt,
  step: (
    policy: SlidingWindowPolicy,
    state: SlidingWindowState,
    input: LimiterInput<SlidingWindowReceipt>,
    now: number
  ): Answer => {
    if (input.op === "take") return take(policy, state, input.cost, now)
    return stay(policy, input.op === "refund" ? refund(policy, state, input.receipt) : initial(), now, 0)
  }
}
