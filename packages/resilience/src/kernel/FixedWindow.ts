/**
 * Fixed window: `limit` units in each window `[k * window, (k + 1) * window)` of the clock. A true window: it begins
 * and ends with the clock, whatever is taken in it (a counter whose life is extended by each call lets a paced client
 * take nearly twice the limit).
 *
 * Bound: `limit` in each aligned window; so at most `2 * limit` in any other span of `window` ms, across an edge.
 */
import { isFarAhead, stepAnew } from "./FarAhead.ts"
import type { LimiterDecision, LimiterInput, LimiterKernel } from "./Limiter.ts"
import { NEVER, takes, undo } from "./Limiter.ts"
import { evenly } from "./Rank.ts"
import { isWhole } from "./Whole.ts"

export interface FixedWindowPolicy {
  readonly limit: number
  readonly window: number
}

/** `used` units of the window that begins at `start`. A time, not a window's number: it outlives a new `window`. */
export interface FixedWindowState {
  readonly start: number
  readonly used: number
}

export interface FixedWindowReceipt {
  readonly start: number
  readonly cost: number
}

type Answer = readonly [answer: LimiterDecision<FixedWindowReceipt>, state: FixedWindowState]

const initial = (): FixedWindowState => ({ start: 0, used: 0 })

const span = (policy: FixedWindowPolicy): number => policy.window

const startOf = (policy: FixedWindowPolicy, time: number): number => Math.floor(time / policy.window) * policy.window

/** The window in force: an earlier `now` is read as the newest one seen. */
const windowAt = (policy: FixedWindowPolicy, state: FixedWindowState, now: number): number =>
  startOf(policy, Math.max(now, state.start))

const usedIn = (policy: FixedWindowPolicy, state: FixedWindowState, start: number): number =>
  start === startOf(policy, state.start) ? state.used : 0

const expiresAt = (policy: FixedWindowPolicy, state: FixedWindowState): number =>
  state.used === 0 ? state.start : startOf(policy, state.start) + policy.window

/** `used` is what counts in the window in force. */
const decide = (
  policy: FixedWindowPolicy,
  used: number,
  resetAfter: number,
  retryAfter: number,
  receipt: FixedWindowReceipt
): LimiterDecision<FixedWindowReceipt> => ({
  allowed: retryAfter === 0,
  retryAfter: retryAfter,
  // Less than nothing is left where a larger policy was in force before.
  remaining: Math.max(0, policy.limit - used),
  resetAfter: Math.max(0, resetAfter),
  receipt: receipt
})

/** An answer that changes nothing. */
const stay = (policy: FixedWindowPolicy, state: FixedWindowState, now: number, retryAfter: number): Answer => [
  decide(policy, usedIn(policy, state, windowAt(policy, state, now)), expiresAt(policy, state) - now, retryAfter, {
    start: state.start,
    cost: 0
  }),
  state
]

const take = (policy: FixedWindowPolicy, state: FixedWindowState, cost: number, now: number): Answer => {
  if (cost === 0) return stay(policy, state, now, 0)
  if (cost > policy.limit) return stay(policy, state, now, NEVER)
  const start = windowAt(policy, state, now)
  const used = usedIn(policy, state, start) + cost
  const left = start + policy.window - now
  if (used > policy.limit) return stay(policy, state, now, left)
  return [decide(policy, used, left, 0, { start: start, cost: cost }), { start: start, used: used }]
}

const reach = (policy: FixedWindowPolicy, given: FixedWindowState, units: number, now: number): number => {
  const state = isFarAhead(given.start, now, policy, span) ? initial() : given
  const start = windowAt(policy, state, now)
  const used = Math.min(policy.limit, usedIn(policy, state, start))
  const later = Math.ceil((used + units) / policy.limit) - 1
  return later > 0 ? start + later * policy.window : now
}

/** Only the window a call was counted in can give it back. */
const refund = (state: FixedWindowState, receipt: FixedWindowReceipt): FixedWindowState => {
  const back = state.start === receipt.start ? Math.min(receipt.cost, state.used) : 0
  return back === 0 ? state : { start: state.start, used: state.used - back }
}

const decided = (
  policy: FixedWindowPolicy,
  state: FixedWindowState,
  input: LimiterInput<FixedWindowReceipt>,
  now: number
): Answer => {
  if (input.op === "take") return take(policy, state, input.cost, now)
  return stay(policy, input.op === "refund" ? refund(state, input.receipt) : initial(), now, 0)
}

export const fixedWindow: LimiterKernel<FixedWindowPolicy, FixedWindowState, FixedWindowReceipt> = {
  id: "fixed-window@2",
  initial: initial,
  expiresAt: expiresAt,
  span: span,
  reach: reach,
  takes: takes,
  undo: undo,
  isPolicy: (policy) => isWhole(policy.limit, 1) && isWhole(policy.window, 1),
  rank: (policy, state) => evenly(state.start, state.used, policy.limit, policy.window, expiresAt(policy, state)),
  step: (policy, state, input, now) =>
    isFarAhead(state.start, now, policy, span)
      ? stepAnew(decided, policy, state, initial(), input, now)
      : decided(policy, state, input, now)
}
