/**
 * Tokens of a bucket taken ahead: as many as there are, at least `cost` and at most `most`, or none.
 *
 * The state is the token bucket's own, and so is the answer: `receipt.cost` is what was taken.
 */
import type { Kernel } from "./Kernel.ts"
import type { LimiterDecision } from "./Limiter.ts"
import { type TokenBucketPolicy, type TokenBucketReceipt, type TokenBucketState, tokenBucket } from "./TokenBucket.ts"

export interface LeaseInput {
  readonly cost: number
  readonly most: number
}

export const lease: Kernel<TokenBucketPolicy, TokenBucketState, LeaseInput, LimiterDecision<TokenBucketReceipt>> = {
  id: "token-bucket-lease@2",
  initial: tokenBucket.initial,
  expiresAt: tokenBucket.expiresAt,
  span: tokenBucket.span,
  isPolicy: tokenBucket.isPolicy,
  step: (
    policy: TokenBucketPolicy,
    state: TokenBucketState,
    input: LeaseInput,
    now: number
  ): readonly [answer: LimiterDecision<TokenBucketReceipt>, state: TokenBucketState] => {
    const look = tokenBucket.step(policy, state, { op: "take", cost: 0 }, now)
    const cost = Math.max(input.cost, Math.min(input.most, look[0].remaining))
    return tokenBucket.step(policy, state, { op: "take", cost: cost }, now)
  }
}
