/**
 * What the laws of stores commit: two kernels of their own, for what only a kernel can see, and ours with policies of
 * every size. All are written in the small language that every store can run.
 */
import { breaker, type BreakerPolicy } from "effect-resilience/kernel/Breaker"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import type { Decision, Kernel } from "effect-resilience/kernel/Kernel"
import { slidingLog } from "effect-resilience/kernel/SlidingLog"
import { slidingWindow } from "effect-resilience/kernel/SlidingWindow"
import { tokenBucket } from "effect-resilience/kernel/TokenBucket"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"

export interface LedgerPolicy {
  readonly initial: number
  readonly limit: number
}
export interface LedgerState {
  readonly count: number
}
export interface LedgerInput {
  readonly add: number
}
export interface LedgerAnswer extends Decision {
  readonly count: number
  /** The time that the step was given. */
  readonly at: number
}

/** A sum that must not pass a limit. It never expires. */
export const ledger: Kernel<LedgerPolicy, LedgerState, LedgerInput, LedgerAnswer> = {
  id: "laws-ledger@1",
  initial: (policy) => ({ count: policy.initial }),
  step: (policy, state, input, now) => {
    const count = state.count + input.add
    if (count > policy.limit) return [{ allowed: false, count: state.count, at: now }, state]
    return [{ allowed: true, count: count, at: now }, input.add === 0 ? state : { count: count }]
  },
  expiresAt: (policy, state) => (state.count === policy.initial ? 0 : undefined)
}

/** One of everything that a state may hold. */
export interface Content {
  readonly whole: number
  readonly text: string
  readonly flag: boolean
  readonly numbers: ReadonlyArray<number>
  readonly texts: ReadonlyArray<string>
  readonly rows: ReadonlyArray<{ readonly id: number; readonly flag: boolean }>
}
export interface ContentInput {
  readonly keep: boolean
  readonly content: Content
}
export interface ContentAnswer extends Decision {
  readonly content: Content
}

/** Keeps what it is given. The policy is the initial content. */
export const keeper: Kernel<Content, Content, ContentInput, ContentAnswer> = {
  id: "laws-keeper@1",
  initial: (policy) => policy,
  step: (_policy, state, input) => {
    const content = input.keep ? input.content : state
    return [{ allowed: true, content: content }, content]
  },
  expiresAt: () => undefined
}

export const nothing: Content = { whole: 0, text: "", flag: false, numbers: [], texts: [], rows: [] }

// oxlint-disable-next-line typescript/no-explicit-any -- a store holds all kinds, and so does a list of them
type AnyKernel = Kernel<any, any, any, any>

/** A limiter and the numbers to run it with: `most` units in `window` ms. */
export interface Limiter {
  readonly kernel: AnyKernel
  readonly policy: (most: number, window: number) => unknown
}

export const limiters: ReadonlyArray<Limiter> = [
  { kernel: tokenBucket, policy: (most, window) => ({ limit: most, window, burst: most }) },
  { kernel: fixedWindow, policy: (most, window) => ({ limit: most, window }) },
  { kernel: slidingWindow, policy: (most, window) => ({ limit: most, slice: Math.ceil(window / 4), slices: 4 }) },
  { kernel: slidingLog, policy: (most, window) => ({ limit: most, window }) }
]

/** So long that no window ends and no token returns while a law looks. */
export const AGES = 2 ** 40

const circuit = (size: number): BreakerPolicy => ({
  trips: [
    size % 7 === 3
      ? { kind: "failures", failures: 1 + (size % 3), within: 40 }
      : size % 2 === 0
        ? { kind: "consecutive", failures: 1 + (size % 3), within: size % 5 === 0 ? 40 : 0 }
        : {
            kind: "rate",
            slowAfter: 0,
            threshold: size % 4 === 1 ? 0.5 : 2 / 3,
            minimumCalls: 2,
            calls: size % 3 === 0 ? 0 : 4,
            slice: 10,
            slices: 4
          }
  ],
  openLow: [10, 20],
  openHigh: [10, 60],
  openGrowth: 0,
  openCap: 100,
  permitted: 2,
  required: 2,
  lease: 30
})

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Plain numbers, which shrink well; what they mean depends on what they are read against. */
const Dice = Schema.Struct({
  which: between(0, 99),
  key: between(0, 2),
  what: between(0, 99),
  size: between(0, 999),
  pick: between(0, 999)
})
export type Dice = typeof Dice.Type
export const dice: Arbitrary.Arbitrary<Dice> = Arbitrary.schema(Dice)
export const rolls = (maxLength: number, minLength = 0): Arbitrary.Arbitrary<ReadonlyArray<Dice>> =>
  Arbitrary.array(dice, { minLength, maxLength })

/** A kernel under a policy, and what it can be told, given what it answered before. */
export interface Subject {
  readonly kernel: AnyKernel
  readonly policy: unknown
  readonly input: (roll: Dice, answers: ReadonlyArray<unknown>) => unknown
}

interface Permit {
  readonly generation: number
  readonly probe: number
}

const limiterInput =
  (most: number): Subject["input"] =>
  ({ pick, size, what }, answers) => {
    if (what < 20 && answers.length > 0) {
      // admitted by the law that keeps them: a refusal has no receipt
      return { op: "refund", receipt: (answers[pick % answers.length] as { readonly receipt: unknown }).receipt }
    }
    if (what < 25) return { op: "reset" }
    return { op: "take", cost: what < 70 ? 1 : what < 75 ? most : what < 80 ? most + 1 : size % (most + 1) }
  }

const breakerInput: Subject["input"] = ({ pick, size, what }, answers) => {
  if (what < 40) return { op: "admit", draw: size * 1_000_000 }
  if (what >= 90) return { op: what < 93 ? "isolate" : what < 97 ? "close" : "reset" }
  const known = answers[pick % Math.max(1, answers.length)]
  const { generation, probe } = (known as Permit | undefined) ?? { generation: pick, probe: 0 } // a breaker's answer
  const outcome = what < 60 ? "failure" : what < 66 ? "throttled" : what < 82 ? "success" : "ignored"
  return { op: "record", generation, probe, outcome, duration: size, slowFed: 0, retryAfter: size % 7, draw: size }
}

/** Whether an answer may be the base of a later input: a receipt, or a permit. */
export const isKept = (input: unknown): boolean => {
  const { op } = input as { readonly op?: string } // of whichever kernel
  return op === "take" || op === "admit"
}

export const subjectOf = ({ size, what, which }: Dice): Subject => {
  if (which < 10) {
    return { kernel: ledger, policy: { initial: size, limit: size + 5 }, input: ({ size: add }) => ({ add: add % 4 }) }
  }
  if (which < 40) return { kernel: breaker, policy: circuit(size), input: breakerInput }
  if (which < 50) {
    const burst = 2 ** 26
    return { kernel: tokenBucket, policy: { limit: 1 + what, window: 2 ** 26, burst }, input: limiterInput(burst) }
  }
  const { kernel, policy } = limiters[which % limiters.length]!
  const most = 1 + (size % 6)
  return { kernel, policy: policy(most, 5 + what), input: limiterInput(most) }
}
