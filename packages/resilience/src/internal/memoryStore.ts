/**
 * The store in this process: one table a space.
 *
 * A key that a transaction touches has a cell. It is a transactional reference of Effect's, so decisions made inside a user's `Effect.tx` commit and roll back
 * with it. Outside of a transaction no journal is needed: JavaScript runs one fiber at a time, so one synchronous step
 * (read, decide, write, bump the version, wake) is atomic, and a transaction that read the cell runs again.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as TxRef from "effect/TxRef"
import type { Decision } from "../kernel/Kernel.ts"
import type { AnySpace, Committed, Step, Store, SyncStore } from "../StoreModel.ts"
import { committed } from "./answers.ts"
import { Cell, Watch } from "./memoryCell.ts"
import { stateOf, Table } from "./memoryTable.ts"
import { nowOf } from "./time.ts"
import { inTransaction, maybeInTransaction } from "./transaction.ts"

export const make = (): Store["Service"] & { readonly sync: SyncStore } => {
  // a space that nobody holds any more takes its keys with it
  const tables = new WeakMap<AnySpace, Table>()

  const tableOf = (space: AnySpace): Table => {
    const home = space.home as Table | undefined // or another store's note, which has not this owner
    if (home?.owner === tables) return home
    let table = tables.get(space)
    if (table === undefined) tables.set(space, (table = new Table(space, tables)))
    space.home = table // of several stores that keep it, the last one asked is found at once
    return table
  }

  /** Asks one step, and tells whether it is allowed. */
  const ask = (step: Step, now: number): boolean => {
    const { input, space } = step
    const table = tableOf(space)
    const entry = (step.place = table.find(step.key))
    const result = space.kernel.step(space.policy, entry === undefined ? table.initial : stateOf(entry), input, now)
    // what leaves an absent key as good as new, as a reset does, makes no key and needs no room
    const room = entry !== undefined || table.hasRoom(now) || table.isFresh(result[1], now)
    step.result = room ? result : undefined
    return room && result[0].allowed
  }

  /** Keeps what was answered, if `write`. */
  const keep = (step: Step, now: number, write: boolean): void => {
    const table = tableOf(step.space)
    const entry = step.place // `ask` left it
    if (write) {
      const next: unknown = step.result![1] // all were allowed
      if (entry === undefined ? !table.isFresh(next, now) : !Object.is(next, stateOf(entry))) {
        step.place = table.write(step.key, entry, next, now)
      }
    }
    table.used(step.place, now)
  }

  const commit = (steps: ReadonlyArray<Step>, now: number, write = true): boolean => {
    let allowed = true
    // first of all: what is decided on a key may be held on it, so the key must not go in between
    for (let i = 0; i < steps.length; i++) tableOf(steps[i]!.space).sweep(now)
    for (let i = 0; i < steps.length; i++) if (!ask(steps[i]!, now)) allowed = false
    for (let i = 0; i < steps.length; i++) keep(steps[i]!, now, allowed && write)
    return allowed
  }

  /** The same, on the journal of the user's transaction. Cold: composition, never the hot path. */
  const commitInTransaction = Effect.fnUntraced(function* <const Steps extends ReadonlyArray<Step>>(
    steps: Steps,
    fiber: Fiber.Fiber<unknown, unknown>
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
        const fresh = table.isFresh(state, now) // as above
        if (!fresh || !answer.allowed) allowed = false
        answers.push(fresh ? answer : undefined)
        continue
      }
      // an absent key is in the journal too: whoever writes it conflicts
      const cell = known === undefined ? table.insertCell(step.key) : table.cell(step.key, now)
      table.used(cell, now)
      yield* sync.afterCommit(Effect.sync(() => table.enforce(nowOf(fiber))))
      const before = yield* TxRef.get(cell)
      table.sweep(now, journal)
      const [answer, state] = space.kernel.step(space.policy, before, input, now)
      answers.push(answer)
      if (!answer.allowed) allowed = false
      if (Object.is(before, state)) continue
      writes.push(TxRef.set(cell, state))
    }
    if (allowed) for (const write of writes) yield* write
    return { now, allowed, answers } as unknown as Committed<Steps> // as above
  })

  const commitNow = <const Steps extends ReadonlyArray<Step>>(steps: Steps, now: number): Committed<Steps> =>
    committed(steps, now, commit(steps, now))

  const sync: SyncStore = {
    commit,
    read: (space, key) => stateOf(tableOf(space).find(key)) as never, // a space's table holds states of its kernel
    look: (step, now) => {
      const table = tableOf(step.space)
      table.sweep(now)
      const entry = (step.place = table.find(step.key))
      table.used(entry, now)
      return stateOf(entry) as never // as above
    },
    held: (step) => (step.place as Cell).value as never, // `hold` left it; and as above
    hold: (step, now) => {
      const cell = (step.place = tableOf(step.space).cell(step.key, now))
      cell.hold()
    },
    release: (step) => {
      const cell = step.place as Cell // `hold` left it
      cell.release()
    },
    isKept: (step) => {
      const kept = tableOf(step.space).find(step.key)
      // of a key without a bound there is but one life, as far as its kernel can tell
      return step.place instanceof Cell ? kept === step.place : kept !== undefined
    },
    watch: (step, onChange) => {
      const cell = step.place as Cell // as above
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
    },
    size: (space) => tableOf(space).size,
    afterCommit: (effect) =>
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
  }

  return {
    sync,
    commit: (steps) =>
      Effect.withFiber((fiber) =>
        maybeInTransaction(fiber)
          ? Effect.tx(commitInTransaction(steps, fiber))
          : Effect.succeed(commitNow(steps, nowOf(fiber)))
      ),
    read: (space, key) =>
      Effect.withFiber((fiber) => {
        const now = nowOf(fiber)
        if (!maybeInTransaction(fiber))
          return Effect.succeed({ now, state: stateOf(tableOf(space).find(key)) as never }) // as above
        const table = tableOf(space)
        const { journal } = Context.getOrUndefined(fiber.context, Effect.Transaction)! // as it said
        const known = table.find(key) !== undefined
        if (!known && !table.hasRoom(now, journal)) return Effect.succeed({ now, state: undefined })
        const cell = known ? table.cell(key, now) : table.insertCell(key) // as in a commit
        return Effect.map(TxRef.get(cell), (state) => ({ now, state: state as never })) // as above
      }),
    clear: (space) =>
      Effect.withFiber((fiber) => {
        const table = tableOf(space)
        if (!maybeInTransaction(fiber)) return Effect.sync(() => table.clear())
        return Effect.tx(
          Effect.forEach(
            Array.from(table.entries(), ([key]) => table.cell(key, nowOf(fiber))),
            (cell) => TxRef.set(cell, table.initial),
            { discard: true }
          )
        )
      })
  }
}

/** The memory of this process. A service's keys are its own: no two spaces share any. */
export const memory = make()
