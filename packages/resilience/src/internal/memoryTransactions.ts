/**
 * What is done in the store of this process inside a user's `Effect.tx`: it commits and rolls back with the transaction.
 *
 * A key that a transaction touches has a cell, which is a transactional reference of Effect's. Cold: composition, never
 * the hot path.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as TxRef from "effect/TxRef"
import type { Decision } from "../kernel/Kernel.ts"
import type { Committed, Step } from "../StoreModel.ts"
import { Cell, Watch } from "./memoryCell.ts"
import { type AnyFiber, type Joined, make, type TableOf } from "./memoryStore.ts"
import { nowOf } from "./time.ts"
import { inTransaction, maybeInTransaction } from "./transaction.ts"

export const transactions = (tableOf: TableOf): Joined => {
  const afterCommit: Joined["afterCommit"] = (effect) =>
    Effect.withFiber((fiber) => {
      if (!maybeInTransaction(fiber)) return effect
      // a reference of this attempt alone: only the attempt that commits writes it
      const outbox = new Cell(undefined)
      const { context } = fiber // as it is here: at the commit the fiber may be elsewhere
      return Effect.flatMap(inTransaction, (inside) => {
        if (!inside) return effect
        outbox.pending.set(outbox, () => Effect.runForkWith(context)(effect))
        return TxRef.set(outbox, undefined)
      })
    })

  /** The steps of a commit, on the journal of the transaction. */
  const onJournal = Effect.fnUntraced(function* <const Steps extends ReadonlyArray<Step>>(
    steps: Steps,
    fiber: AnyFiber
  ) {
    const now = nowOf(fiber)
    const answers: Array<Decision | undefined> = []
    const writes: Array<Effect.Effect<void>> = []
    let allowed = true
    const { journal } = yield* Effect.Transaction
    for (const step of steps) {
      const { space, input } = step
      const table = tableOf(space)
      const known = table.find(step.key)
      if (known === undefined && !table.hasRoom(now, journal)) {
        const [answer, state] = space.kernel.step(space.policy, table.initial, input, now)
        const fresh = table.isFresh(state, now) // as outside of a transaction
        if (!fresh || !answer.allowed) allowed = false
        answers.push(fresh ? answer : undefined)
        continue
      }
      // an absent key is in the journal too: whoever writes it conflicts
      const cell = known === undefined ? table.insertCell(step.key) : table.cell(step.key, now)
      table.used(cell, now)
      yield* afterCommit(Effect.sync(() => table.enforce(nowOf(fiber))))
      const before = yield* TxRef.get(cell)
      table.sweep(now, journal)
      const [answer, state] = space.kernel.step(space.policy, before, input, now)
      answers.push(answer)
      if (!answer.allowed) allowed = false
      if (Object.is(before, state)) continue
      writes.push(TxRef.set(cell, state))
    }
    if (allowed) for (const write of writes) yield* write
    return { now, allowed, answers } as unknown as Committed<Steps> // of these very steps
  })

  return {
    afterCommit,
    commit: (steps, fiber) => Effect.tx(onJournal(steps, fiber)),
    read: (space, key, fiber) => {
      const now = nowOf(fiber)
      const table = tableOf(space)
      const { journal } = Context.getOrUndefined(fiber.context, Effect.Transaction)! // it is asked in one
      const known = table.find(key) !== undefined
      if (!known && !table.hasRoom(now, journal)) return Effect.succeed({ now, state: undefined })
      const cell = known ? table.cell(key, now) : table.insertCell(key) // as in a commit
      return Effect.map(TxRef.get(cell), (state) => ({ now, state: state as never })) // a state of this space's kernel
    },
    clear: (space, fiber) => {
      const table = tableOf(space)
      return Effect.tx(
        Effect.forEach(
          Array.from(table.entries(), ([key]) => table.cell(key, nowOf(fiber))),
          (cell) => TxRef.set(cell, table.initial),
          { discard: true }
        )
      )
    },
    watch: (step, onChange) => {
      const cell = step.place as Cell // `hold` left it
      let active = true
      const watch = new Watch(() => {
        if (!active) return
        cell.pending.set(watch, watch.onChange) // a commit clears what it calls
        onChange()
      })
      cell.pending.set(watch, watch.onChange)
      return () => {
        active = false
        cell.pending.delete(watch)
      }
    }
  }
}

/** The memory of the services that may stand in a transaction. A service's keys are its own: no two spaces share any. */
export const transactionalMemory = /* @__PURE__ */ make(transactions)
