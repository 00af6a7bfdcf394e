/**
 * Questions that nobody waits for any more: what a late answer took is given back.
 */
import type { BreakerDecision, BreakerInput } from "../kernel/Breaker.ts"
import type { LimiterDecision, LimiterInput } from "../kernel/Limiter.ts"
import { Step } from "../StoreModel.ts"
import type { Reply } from "../Policy.ts"

/** What the kernels of services are asked. */
type Asked = LimiterInput<unknown> | BreakerInput
type Answered = LimiterDecision<unknown> | BreakerDecision

const inputOf = (step: Step): Asked => step.input // a service has no other kernels

/** Whether an answer may leave something in the store that is this call's: tokens, or the slot of a probe. */
export const takes = (steps: ReadonlyArray<Step>): boolean =>
  steps.some((step) => inputOf(step).op === "take" || inputOf(step).op === "admit")

export const resets = (steps: ReadonlyArray<Step>): boolean => steps.some((step) => inputOf(step).op === "reset")

const undo = (input: Asked, answer: Answered): Asked | undefined => {
  if (input.op === "take" && "receipt" in answer) return { op: "refund", receipt: answer.receipt }
  // where nothing but a probe leaves a trace, nothing else is told
  if (input.op !== "admit" || !("probe" in answer) || answer.probe === 0) return undefined
  const { generation, probe } = answer
  return { op: "record", generation, probe, outcome: "ignored", duration: 0, slowFed: 0, retryAfter: 0, draw: 0 }
}

/** The steps that leave the store as if it had not been asked. */
export const undoing = (steps: ReadonlyArray<Step>, { allowed, answers }: Reply): ReadonlyArray<Step> =>
  steps.flatMap((step, i) => {
    const answer = answers[i] as Answered | undefined // of this very step
    const input = allowed && answer !== undefined ? undo(inputOf(step), answer) : undefined
    if (input === undefined) return []
    const back = new Step(step.space, step.key, input)
    back.place = step.place
    return [back]
  })
