/**
 * A commit on states that are known: all or nothing.
 */
import type { Decision } from "effect-resilience/kernel/Kernel"
import type { Committed, Step } from "effect-resilience/Store"
import type { Home } from "./home.ts"

export interface Decided {
  readonly committed: Committed<ReadonlyArray<Step>>
  /** What the states have become: the very ones from before, where nothing changed. */
  readonly after: ReadonlyArray<unknown>
}

export const decide = (
  steps: ReadonlyArray<Step>,
  homes: ReadonlyArray<Home>,
  before: ReadonlyArray<unknown>,
  now: number
): Decided => {
  const answers = new Array<Decision>(steps.length)
  const after = new Array<unknown>(steps.length)
  let allowed = true
  for (let i = 0; i < steps.length; i++) {
    const { kernel, policy } = homes[i]!
    const [answer, state] = kernel.step(policy, before[i], steps[i]!.input, now)
    answers[i] = answer
    after[i] = state
    if (!answer.allowed) allowed = false
  }
  return { committed: { now, allowed, answers }, after: allowed ? after : before }
}
