/**
 * Questions whose call has left: what a late answer took is given back, as its kernel says.
 */
import * as Limiter from "../kernel/Limiter.ts"
import { type AnySpace, Step } from "../StoreModel.ts"
import type { Reply } from "../Policy.ts"

type AnyKernel = AnySpace["kernel"]

/** Who says what is given back of a key: its kernel, or what every limit promises. */
const undoOf = ({ isLimit, kernel }: AnySpace): Pick<AnyKernel, "takes" | "undo"> =>
  kernel.undo === undefined && isLimit === true ? Limiter : kernel

/** Whether an answer may leave something in the store that is the call's: tokens, or the slot of a probe. */
const takesSome = ({ input, space }: Step): boolean => {
  const kernel = undoOf(space)
  return kernel.undo !== undefined && (kernel.takes === undefined || kernel.takes(input))
}

export const takes = (steps: ReadonlyArray<Step>): boolean => steps.some(takesSome)

/** The steps that leave the store as if it had not been asked. */
export const undoing = (steps: ReadonlyArray<Step>, { allowed, answers }: Reply): ReadonlyArray<Step> =>
  steps.flatMap((step, i) => {
    const answer = answers[i] // of this very step
    if (!allowed || answer === undefined || !takesSome(step)) return []
    const input: unknown = undoOf(step.space).undo?.(step.input, answer)
    if (input === undefined) return []
    const back = new Step(step.space, step.key, input)
    back.place = step.place
    return [back]
  })
