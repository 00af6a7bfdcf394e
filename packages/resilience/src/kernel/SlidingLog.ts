/**
 * Sliding log: every admission is remembered until `window` ms later, admissions of one instant as one entry. What was
 * refused is not remembered. Exact, at the price of up to `limit` entries for each key.
 *
 * Bound: each span of `window` ms holds at most `limit`, and a call is refused only where admitting it would break that.
 */
import { isFarAhead, stepAnew } from "./FarAhead.ts"
import type { LimiterDecision, LimiterInput, LimiterKernel } from "./Limiter.ts"
import { NEVER, takes, undo } from "./Limiter.ts"
import { evenly } from "./Rank.ts"
import { isWhole } from "./Whole.ts"

export interface SlidingLogPolicy {
  readonly limit: number
  readonly window: number
}

/** `counts[i]` units, above 0, were taken at `times[i]`, which only grow. `total` is the sum of `counts`. */
export interface SlidingLogState {
  readonly times: ReadonlyArray<number>
  readonly counts: ReadonlyArray<number>
  readonly total: number
}

export interface SlidingLogReceipt {
  readonly time: number
  readonly cost: number
}

type Answer = readonly [answer: LimiterDecision<SlidingLogReceipt>, state: SlidingLogState]

const initial = (): SlidingLogState => ({ times: [], counts: [], total: 0 })

const span = (policy: SlidingLogPolicy): number => policy.window

/** Entry `i`, and 0 where there is none. */
const entry = (list: ReadonlyArray<number>, i: number): number => list[i] ?? 0

/** The time of the newest entry: an earlier `now` is read as this. */
const newest = (state: SlidingLogState): number => entry(state.times, state.times.length - 1)

const expiresAt = (policy: SlidingLogPolicy, state: SlidingLogState): number =>
  state.times.length === 0 ? 0 : newest(state) + policy.window

/** The oldest entry that still counts at `time`. */
const firstAt = (policy: SlidingLogPolicy, state: SlidingLogState, time: number): number => {
  let first = 0
  while (first < state.times.length && entry(state.times, first) + policy.window <= time) first = first + 1
  return first
}

const totalFrom = (state: SlidingLogState, first: number): number => {
  let total = state.total
  for (let i = 0; i < first; i++) total = total - entry(state.counts, i)
  return total
}

const decide = (
  policy: SlidingLogPolicy,
  state: SlidingLogState,
  now: number,
  retryAfter: number,
  receipt: SlidingLogReceipt
): LimiterDecision<SlidingLogReceipt> => ({
  allowed: retryAfter === 0,
  retryAfter: retryAfter,
  // Less than nothing is left where a larger policy was in force before.
  remaining: Math.max(0, policy.limit - totalFrom(state, firstAt(policy, state, Math.max(now, newest(state))))),
  resetAfter: Math.max(0, expiresAt(policy, state) - now),
  receipt: receipt
})

/** An answer that changes nothing. */
const stay = (policy: SlidingLogPolicy, state: SlidingLogState, now: number, retryAfter: number): Answer => [
  decide(policy, state, now, retryAfter, { time: 0, cost: 0 }),
  state
]

/** The entries from `first` on, with `cost` more (or, below 0, less) at `time`; an entry of nothing is dropped. */
const put = (state: SlidingLogState, first: number, time: number, cost: number): SlidingLogState => {
  const times: Array<number> = []
  const counts: Array<number> = []
  let found = false
  for (let i = first; i < state.times.length; i++) {
    const here = entry(state.times, i) === time
    const count = entry(state.counts, i) + (here ? cost : 0)
    found = found || here
    if (count > 0) {
      times[times.length] = entry(state.times, i)
      counts[counts.length] = count
    }
  }
  if (!found) {
    times[times.length] = time
    counts[counts.length] = cost
  }
  return { times: times, counts: counts, total: totalFrom(state, first) + cost }
}

const take = (policy: SlidingLogPolicy, state: SlidingLogState, cost: number, now: number): Answer => {
  if (cost === 0) return stay(policy, state, now, 0)
  if (cost > policy.limit) return stay(policy, state, now, NEVER)
  const time = Math.max(now, newest(state))
  const first = firstAt(policy, state, time)
  // Entries leave from the oldest on; without any of them the cost fits, unless a damaged state has a `total` of more.
  let over = totalFrom(state, first) + cost - policy.limit
  let left = first
  for (; over > 0 && left < state.times.length; left++) over = over - entry(state.counts, left)
  if (left > first) return stay(policy, state, now, entry(state.times, left - 1) + policy.window - now)
  const after = put(state, first, time, cost)
  return [decide(policy, after, now, 0, { time: time, cost: cost }), after]
}

/** Of many units, each goes a `window` after the unit that was `limit` before it. */
const reach = (policy: SlidingLogPolicy, given: SlidingLogState, units: number, now: number): number => {
  const state = isFarAhead(newest(given), now, policy, span) ? initial() : given
  const time = Math.max(now, newest(state))
  const first = firstAt(policy, state, time)
  const rounds = Math.floor((units - 1) / policy.limit)
  let over = totalFrom(state, first) + units - (rounds + 1) * policy.limit
  let left = first
  for (; over > 0 && left < state.times.length; left++) over = over - entry(state.counts, left)
  if (left > first) return entry(state.times, left - 1) + (rounds + 1) * policy.window
  return rounds > 0 ? time + rounds * policy.window : now
}

/** Only the entry a call was counted in can give it back, while it is kept. */
const refund = (state: SlidingLogState, receipt: SlidingLogReceipt): SlidingLogState => {
  for (let i = 0; i < state.times.length; i++) {
    if (entry(state.times, i) === receipt.time) {
      return put(state, 0, receipt.time, -Math.min(receipt.cost, entry(state.counts, i)))
    }
  }
  return state
}

const decided = (
  policy: SlidingLogPolicy,
  state: SlidingLogState,
  input: LimiterInput<SlidingLogReceipt>,
  now: number
): Answer => {
  if (input.op === "take") return take(policy, state, input.cost, now)
  return stay(policy, input.op === "refund" ? refund(state, input.receipt) : initial(), now, 0)
}

export const slidingLog: LimiterKernel<SlidingLogPolicy, SlidingLogState, SlidingLogReceipt> = {
  id: "sliding-log@2",
  initial: initial,
  expiresAt: expiresAt,
  span: span,
  reach: reach,
  takes: takes,
  undo: undo,
  isPolicy: (policy) => isWhole(policy.limit, 1) && isWhole(policy.window, 1),
  isState: (_policy, state) => state.times.length === state.counts.length,
  rank: (policy, state) => evenly(newest(state), state.total, policy.limit, policy.window, expiresAt(policy, state)),
  step: (policy, state, input, now) =>
    isFarAhead(newest(state), now, policy, span)
      ? stepAnew(decided, policy, state, initial(), input, now)
      : decided(policy, state, input, now)
}
