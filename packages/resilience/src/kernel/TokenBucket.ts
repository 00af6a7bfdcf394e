/**
 * Token bucket: `limit` tokens per `window`, refilled continuously, at most `burst` at once. The leaky bucket as a
 * meter is this kernel too: both are the GCRA (ITU-T I.371; jameslao.com/post/gcra-rate-limiting; governor `gcra.rs`).
 *
 * Kept as a debt in whole units: a token is `window` units, a millisecond pays back `limit` of them. So nothing is
 * rounded but the answers; in doubles the GCRA admits one fewer than its burst for half of all limits.
 *
 * Bound: what is admitted within any `d` ms costs at most `burst + floor(limit * d / window)`, and a call is refused
 * only where admitting it would break that.
 */
import { isFarAhead, stepAnew } from "./FarAhead.ts"
import { type LimiterDecision, type LimiterInput, type LimiterKernel, NEVER, takes, undo } from "./Limiter.ts"
import { isWhole } from "./Whole.ts"

/** Any numbers of one ratio are one rate: 1 per 10 is 10 per 100. `burst * window` is at most 2^52. */
export interface TokenBucketPolicy {
  readonly limit: number
  readonly window: number
  readonly burst: number
}

/**
 * `debt` units were owed at `at`, the time of the newest admission: a clock that steps back is read as `at`.
 * `refunded` counts what came back since `since`, and calls older than `since` can no longer be told apart.
 */
export interface TokenBucketState {
  readonly at: number
  readonly debt: number
  readonly since: number
  readonly refunded: number
}

/** The states around an admission. */
export interface TokenBucketReceipt {
  readonly cost: number
  readonly before: TokenBucketState
  readonly after: TokenBucketState
}

type Answer = readonly [answer: LimiterDecision<TokenBucketReceipt>, state: TokenBucketState]

const initial = (): TokenBucketState => ({ at: 0, debt: 0, since: 0, refunded: 0 })

const capacity = (policy: TokenBucketPolicy): number => policy.burst * policy.window

const span = (policy: TokenBucketPolicy): number => Math.ceil(capacity(policy) / policy.limit) // from empty to full

const expiresAt = (policy: TokenBucketPolicy, state: TokenBucketState): number =>
  Math.max(state.at + Math.ceil(Math.min(state.debt, capacity(policy)) / policy.limit), state.since)

/**
 * What is owed at `time`. No bucket is worse than empty: a debt above the capacity was left by a larger policy.
 * The product may be rounded above 2^53, but then it exceeds any debt all the same.
 */
const debtAt = (policy: TokenBucketPolicy, state: TokenBucketState, time: number): number =>
  Math.max(0, Math.min(state.debt, capacity(policy)) - (time - state.at) * policy.limit)

const decide = (
  policy: TokenBucketPolicy,
  state: TokenBucketState,
  debt: number,
  now: number,
  retryAfter: number,
  receipt: TokenBucketReceipt
): LimiterDecision<TokenBucketReceipt> => ({
  allowed: retryAfter === 0,
  retryAfter: retryAfter,
  remaining: Math.floor((capacity(policy) - debt) / policy.window),
  resetAfter: Math.max(0, expiresAt(policy, state) - now),
  receipt: receipt
})

/** An answer that changes nothing. */
const stay = (policy: TokenBucketPolicy, state: TokenBucketState, now: number, retryAfter: number): Answer => [
  decide(policy, state, debtAt(policy, state, Math.max(now, state.at)), now, retryAfter, {
    cost: 0,
    before: state,
    after: state
  }),
  state
]

const take = (policy: TokenBucketPolicy, state: TokenBucketState, cost: number, now: number): Answer => {
  if (cost === 0) return stay(policy, state, now, 0)
  if (cost > policy.burst) return stay(policy, state, now, NEVER)
  const time = Math.max(now, state.at)
  const owed = debtAt(policy, state, time)
  const debt = owed + cost * policy.window
  const over = debt - capacity(policy)
  if (over > 0) return stay(policy, state, now, time - now + Math.ceil(over / policy.limit))
  const fresh = owed === 0
  const after = {
    at: time,
    debt: debt,
    since: fresh ? Math.max(time, state.since) : state.since,
    refunded: fresh ? 0 : state.refunded
  }
  return [decide(policy, after, debt, now, 0, { cost: cost, before: state, after: after }), after]
}

/**
 * Exact where no refill is lost: while calls wait, a bucket of more than one token is never full, unless all but one token of
 * it are refilled in a millisecond. A bucket of one token is full at each turn, so each takes a whole number of ms.
 */
const reach = (policy: TokenBucketPolicy, given: TokenBucketState, units: number, now: number): number => {
  const state = isFarAhead(given.at, now, policy, span) ? initial() : given
  const time = Math.max(now, state.at)
  const owed = debtAt(policy, state, time)
  const over = owed + units * policy.window - capacity(policy)
  if (over <= 0) return now
  if (policy.burst > 1) return time + Math.ceil(over / policy.limit)
  return time + Math.ceil(owed / policy.limit) + (units - 1) * Math.ceil(policy.window / policy.limit)
}

const same = (a: TokenBucketState, b: TokenBucketState): boolean =>
  a.at === b.at && a.debt === b.debt && a.since === b.since && a.refunded === b.refunded

/**
 * A call can give back what nobody has paid off yet of its own part of the debt. Debts are paid in the order of
 * admission, so that part is what `after.debt` counted, less what time paid and less what older calls took out of the
 * queue before it. Which refunds came from older calls is not kept: all of them are taken off, which errs on the side
 * of the limit. (Without that, two refunds can free the tokens of a third call: golang/go#56924, #69419.)
 * While nothing was admitted later than the call's own instant, whatever is still owed may be given back.
 */
const refund = (
  policy: TokenBucketPolicy,
  state: TokenBucketState,
  receipt: TokenBucketReceipt,
  now: number
): TokenBucketState => {
  const left = receipt.after
  if (same(state, left)) return receipt.before
  if (left.at > state.at) return state // later than the newest admission: the key was forgotten meanwhile
  const time = Math.max(now, state.at)
  let back = Math.min(receipt.cost * policy.window, debtAt(policy, state, time))
  if (left.at < state.at) {
    if (left.at < state.since) return state
    back = Math.min(back, left.debt - (state.refunded - left.refunded) - (time - left.at) * policy.limit)
  }
  if (back <= 0) return state
  // No receipt counts more than the capacity, so a counter that passes it has nothing left to tell older calls.
  const refunded = state.refunded + back
  const full = refunded > capacity(policy)
  return {
    at: state.at,
    debt: state.debt - back,
    since: full ? Math.max(time, state.since) + 1 : state.since,
    refunded: full ? 0 : refunded
  }
}

const decided = (
  policy: TokenBucketPolicy,
  state: TokenBucketState,
  input: LimiterInput<TokenBucketReceipt>,
  now: number
): Answer => {
  if (input.op === "take") return take(policy, state, input.cost, now)
  return stay(policy, input.op === "refund" ? refund(policy, state, input.receipt, now) : initial(), now, 0)
}

export const tokenBucket: LimiterKernel<TokenBucketPolicy, TokenBucketState, TokenBucketReceipt> = {
  id: "token-bucket@2",
  initial: initial,
  expiresAt: expiresAt,
  span: span,
  reach: reach,
  takes: takes,
  undo: undo,
  isPolicy: ({ burst, limit, window }) => isWhole(limit, 1) && isWhole(window, 1) && isWhole(burst, 1),
  step: (policy, state, input, now) =>
    isFarAhead(state.at, now, policy, span)
      ? stepAnew(decided, policy, state, initial(), input, now)
      : decided(policy, state, input, now)
}
