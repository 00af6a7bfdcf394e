/**
 * A commit on states that are known: all or nothing. The script of `scripts` decides alike.
 */
import type { Decision } from "effect-resilience/kernel/Kernel"
import type { Committed, Step } from "effect-resilience/Store"
import type { Cell } from "./cell.ts"
import type { Home } from "./home.ts"

export interface Decided {
  readonly committed: Committed<ReadonlyArray<Step>>
  /** Why a value that was asked cannot be read; then nothing was decided. */
  readonly damage: unknown
  /** Whether all is as it was, so that the same commit is answered the same. */
  readonly isStill: boolean
}

/** Changes nothing: of a limit's kernel, and of the one that leases. */
const LOOK = { op: "take", cost: 0, most: 0 }

export const decide = (
  steps: ReadonlyArray<Step>,
  homes: ReadonlyArray<Home>,
  cells: ReadonlyArray<Cell>,
  now: number
): Decided => {
  const answers = new Array<Decision>(steps.length)
  const after = new Array<unknown>(steps.length)
  let damage: unknown
  let allowed = true
  for (let i = 0; i < steps.length; i++) {
    const { isLimit, kernel, policy } = homes[i]!
    const { input, isCommand } = steps[i]!
    const cell = cells[i]!
    after[i] = cell.state
    if (cell.damage !== undefined && !isCommand) {
      damage ??= cell.damage
      allowed = false
    } else if (isLimit && !cell.isOwn && input.op === "refund") {
      answers[i] = kernel.step(policy, cell.state, LOOK, now)[0] // the state that the receipt is of is gone
      if (!answers[i]!.allowed) allowed = false
    } else {
      cell.look()
      const [answer, state] = kernel.step(policy, cell.state, input, now)
      answers[i] = answer
      after[i] = state
      if (!answer.allowed) allowed = false
    }
  }
  if (!allowed) return { committed: { now, allowed, answers }, damage, isStill: true }
  let isStill = true
  for (let i = 0; i < steps.length; i++) {
    const cell = cells[i]!
    if (steps[i]!.isCommand) cell.command(after[i])
    else if (after[i] !== cell.state) cell.change(after[i])
    else continue
    isStill = false
  }
  return { committed: { now, allowed, answers }, damage, isStill }
}
