/**
 * A store in this process leaves its answers on the steps; one elsewhere sends them.
 */
import type { Committed, Step } from "../StoreModel.ts"

/** What a store in this process left on the steps, as a store elsewhere answers. */
export const committed = <const Steps extends ReadonlyArray<Step>>(
  steps: Steps,
  now: number,
  allowed: boolean
): Committed<Steps> => ({
  now,
  allowed,
  answers: steps.map(({ result }) => result?.[0]) as unknown as Committed<Steps>["answers"] // of these very steps
})

/** And the other way round. */
export const heard = <Steps extends ReadonlyArray<Step>>(
  steps: Steps,
  { allowed, answers }: Pick<Committed<Steps>, "allowed" | "answers">
): boolean => {
  steps.forEach((step, i) => {
    const answer = answers[i]
    step.result = answer === undefined ? undefined : [answer, undefined]
  })
  return allowed
}
