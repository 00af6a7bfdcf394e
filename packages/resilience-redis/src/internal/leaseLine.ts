/**
 * What one process holds of one bucket: a pure machine. Times are milliseconds of this process, but where the server's are
 * named.
 *
 * **The bound.** Tokens are debited at the server, by the token bucket with `burst' = burst - ceil(limit * d / window)`.
 * Those of a lease that was debited at `t` are spent in [t, t + d): the process counts `d` from before it asked, so from
 * no later than `t`. What is spent within any `w` was then debited within `w + d`, which is at most
 *
 *     burst' + floor(limit * (w + d) / window) <= burst + floor(limit * w / window)
 *
 * since floor(a + b) <= floor(a) + ceil(b). No count of processes or of leases is in it. What is given back was never
 * spent, and the bucket takes it back only where it is still owed.
 */
import type { LimiterDecision } from "effect-resilience/kernel/Limiter"
import type { LeaseInput } from "effect-resilience/kernel/Lease"
import {
  type TokenBucketPolicy,
  type TokenBucketReceipt,
  type TokenBucketState,
  tokenBucket
} from "effect-resilience/kernel/TokenBucket"
import type { Lease as Terms } from "effect-resilience/Store"

/** Two clocks do not go at one pace: a thousandth of each lease is left unused for that. */
const PACE = 0.999

export class Lease {
  left: number
  /** Of what was not given back. */
  receipt: TokenBucketReceipt
  readonly endsAt: number
  constructor(receipt: TokenBucketReceipt, endsAt: number) {
    this.left = receipt.cost
    this.receipt = receipt
    this.endsAt = endsAt
  }

  /**
   * The receipt of some of the tokens, to be given back. Of tokens that were taken at once it does not matter which came
   * last, so these did, and the others are what was taken before them.
   */
  split(cost: number, { window }: TokenBucketPolicy): TokenBucketReceipt {
    const { after, before, cost: all } = this.receipt
    const rest = cost === all ? before : { ...after, debt: after.debt - cost * window }
    this.receipt = { cost: all - cost, before, after: rest }
    return { cost, before: rest, after }
  }
}

/** What a call spent, and of which leases: the receipt of its admission. */
export class Spent {
  readonly line: Line
  readonly parts: ReadonlyArray<readonly [lease: Lease, cost: number]>
  constructor(line: Line, parts: Spent["parts"]) {
    this.line = line
    this.parts = parts
  }
}

export type Answer = LimiterDecision<Spent | undefined>

/** The bucket as the server had it at `at`, asked from here at `sentAt`. */
interface Known {
  readonly state: TokenBucketState
  readonly at: number
  readonly sentAt: number
  /** It had no more than it gave. */
  readonly scarce: boolean
}

/** What was asked, and how much of it calls wait for. */
export interface Question extends LeaseInput {
  readonly sentAt: number
}

export class Line {
  readonly policy: TokenBucketPolicy
  private readonly life: number
  private readonly share: number
  /** Oldest first. */
  private leases: Array<Lease> = []
  private known: Known | undefined = undefined
  /** How many tokens to take ahead: as many as were of use. */
  private ahead = 0

  constructor(policy: TokenBucketPolicy, { duration, share }: Terms) {
    this.policy = policy
    this.life = duration * PACE
    this.share = share
  }

  /** Of what is held; `fresh` may be spent whatever the time: the server has decided it for these calls. */
  take(cost: number, now: number, fresh?: Lease): Spent | undefined {
    const parts: Array<readonly [Lease, number]> = []
    let need = cost
    for (const lease of this.leases) {
      if (need === 0) break
      if (lease.left === 0 || (now >= lease.endsAt && lease !== fresh)) continue
      const part = Math.min(lease.left, need)
      parts.push([lease, part])
      need -= part
    }
    if (need > 0) return undefined
    for (const [lease, part] of parts) lease.left -= part
    return new Spent(this, parts)
  }

  /** What to ask for, where calls that wait need this much each. */
  ask(costs: ReadonlyArray<number>, now: number, mayTakeAhead: boolean): Question {
    const possible = costs.filter((cost) => cost <= this.policy.burst)
    const sum = possible.reduce((sum, cost) => sum + cost, 0)
    // tokens that came in this lease's time are all spent: more were of use
    const last = this.leases.at(-1)
    if (last !== undefined && last.left === 0) this.ahead = Math.min(this.share, Math.max(1, 2 * this.ahead))
    return { cost: Math.min(...costs), most: sum + (mayTakeAhead ? this.ahead : 0), sentAt: now }
  }

  /** What the server answered. */
  hear({ most, sentAt }: Question, answer: LimiterDecision<TokenBucketReceipt>, at: number): Lease | undefined {
    const { receipt } = answer
    const taken = answer.allowed ? receipt.cost : 0
    this.known = { state: receipt.after, at, sentAt, scarce: taken < most }
    if (taken === 0) return undefined
    const lease = new Lease(receipt, sentAt + this.life)
    this.leases.push(lease)
    return lease
  }

  /** When it is there, at the latest. */
  serverTime(now: number): number | undefined {
    return this.known === undefined ? undefined : Math.floor(this.known.at + now - this.known.sentAt)
  }

  /**
   * The refusal of a call that the server would refuse, as far as is known. Where there were too few tokens, it also waits
   * until there can be as many as are of use; but what is known is forgotten after the time of a lease.
   */
  refuse(cost: number, now: number): Answer | undefined {
    const { known, policy } = this
    if (cost > policy.burst) return this.answer(cost, now)
    if (known === undefined || now >= known.sentAt + this.life) return undefined
    const answer = this.answer(cost, now)
    const worthwhile = known.scarce ? this.answer(Math.max(cost, Math.min(policy.burst, this.ahead + 1)), now) : answer
    if (worthwhile.retryAfter === 0) return undefined
    const forgotten = Math.ceil(known.sentAt + this.life - now)
    const retryAfter = Math.max(1, answer.retryAfter, Math.min(worthwhile.retryAfter, forgotten))
    return { ...answer, allowed: false, retryAfter }
  }

  /** The refusal of a call that the server has just not let through. */
  refused(cost: number, now: number): Answer {
    const answer = this.refuse(cost, now) ?? this.answer(cost, now)
    return { ...answer, allowed: false, retryAfter: answer.retryAfter === 0 ? 1 : answer.retryAfter }
  }

  private answer(cost: number, now: number): Answer {
    const state = this.known?.state ?? tokenBucket.initial(this.policy)
    const [answer] = tokenBucket.step(this.policy, state, { op: "take", cost }, this.serverTime(now) ?? 0)
    return { ...answer, receipt: undefined }
  }

  allowed(spent: Spent, now: number): Answer {
    let remaining = 0
    for (const lease of this.leases) if (now < lease.endsAt) remaining += lease.left
    const { known, policy } = this
    const resetAfter =
      known === undefined ? 0 : Math.max(0, tokenBucket.expiresAt(policy, known.state)! - this.serverTime(now)!)
    return { allowed: true, retryAfter: 0, remaining, resetAfter, receipt: spent }
  }

  /** Takes back what a call did not use. What it cannot spend any more is the server's: the receipts. */
  giveBack({ parts }: Spent, now: number): ReadonlyArray<TokenBucketReceipt> {
    const receipts: Array<TokenBucketReceipt> = []
    for (const [lease, cost] of parts) {
      if (now < lease.endsAt && this.leases.includes(lease)) lease.left += cost
      else receipts.push(lease.split(cost, this.policy))
    }
    if (receipts.length > 0) this.known = undefined
    return receipts
  }

  /** Ends the leases whose time is over, or all. What is left of them is the server's. */
  end(now: number): ReadonlyArray<TokenBucketReceipt> {
    const ended = this.leases.filter(({ endsAt }) => now >= endsAt)
    if (ended.length > 0) this.leases = this.leases.filter((lease) => !ended.includes(lease))
    const receipts: Array<TokenBucketReceipt> = []
    for (const lease of ended) {
      if (lease.left === 0) continue
      const used = lease.receipt.cost - lease.left
      this.ahead = Math.min(this.share, Math.max(0, used - 1))
      receipts.push(lease.split(lease.left, this.policy))
      this.known = undefined
    }
    if (this.known !== undefined && now >= this.known.sentAt + this.life) this.known = undefined
    return receipts
  }

  /** The bucket was made new. */
  forget(): void {
    this.leases = []
    this.known = undefined
  }

  /** When there is something to end; `undefined` where there is nothing. */
  get endsAt(): number | undefined {
    let first = this.known === undefined ? Infinity : this.known.sentAt + this.life
    for (const { endsAt } of this.leases) first = Math.min(first, endsAt)
    return first === Infinity ? undefined : first
  }
}
