/**
 * The store in this process: one table a space.
 *
 * No journal is needed: JavaScript runs one fiber at a time, so one synchronous step (read, decide, write, bump the
 * version, wake) is atomic, and a transaction that read the cell runs again. What is done inside a transaction is in
 * `memoryTransactions`.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import {
  type AnySpace,
  type Committed,
  type Local,
  opening,
  type StateOf,
  type Step,
  type Store,
  type SyncStore
} from "../StoreModel.ts"
import { committed } from "./answers.ts"
import { stateOf, Table } from "./memoryTable.ts"
import { nowOf } from "./time.ts"
import { Cell } from "./memoryCell.ts"
import { maybeInTransaction } from "./transaction.ts"

export type AnyFiber = Fiber.Fiber<unknown, unknown>

export type TableOf = (space: AnySpace) => Table

/** What a memory needs to join the transaction that it is asked in. */
export interface Joined extends Pick<SyncStore, "afterCommit" | "watch"> {
  readonly commit: <const Steps extends ReadonlyArray<Step>>(
    steps: Steps,
    fiber: AnyFiber
  ) => Effect.Effect<Committed<Steps>>
  readonly read: <S extends AnySpace>(
    space: S,
    key: string,
    fiber: AnyFiber
  ) => Effect.Effect<{ readonly now: number; readonly state: StateOf<S> | undefined }>
  readonly clear: (space: AnySpace, fiber: AnyFiber) => Effect.Effect<void>
}

/** `transactions`, of `memoryTransactions`, or nothing: so that a memory which none can stand in does not bundle them. */
export const make = (transactions?: (tableOf: TableOf) => Joined): Store["Service"] & Local => {
  // a space that nobody holds any more takes its keys with it
  const tables = new WeakMap<AnySpace, Table>()

  const tableOf: TableOf = (space) => {
    const home = space.home as Table | undefined // or another store's note, which has not this owner
    if (home?.owner === tables) return home
    let table = tables.get(space)
    if (table === undefined) tables.set(space, (table = new Table(space, tables)))
    space.home = table // of several stores that keep it, the last one asked is found at once
    return table
  }

  const joined = transactions?.(tableOf)

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
      return stateOf(entry) as never // as in `read`
    },
    held: (step) => (step.place as Cell).value as never, // `hold` left it; typed as in `read`
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
    size: (space) => tableOf(space).size,
    entries: (space) => Array.from(tableOf(space).entries(), ([key, entry]) => [key, stateOf(entry) as never]), // as in `read`
    watch: joined?.watch ?? (() => () => {}),
    afterCommit: joined?.afterCommit ?? ((effect) => effect)
  }

  const isJoined = (fiber: AnyFiber): boolean => joined !== undefined && maybeInTransaction(fiber)

  return {
    sync,
    commit: (steps) =>
      Effect.withFiber((fiber) =>
        isJoined(fiber) ? joined!.commit(steps, fiber) : Effect.succeed(commitNow(steps, nowOf(fiber)))
      ),
    read: (space, key) =>
      Effect.withFiber((fiber) =>
        isJoined(fiber)
          ? joined!.read(space, key, fiber)
          : Effect.succeed({ now: nowOf(fiber), state: sync.read(space, key) })
      ),
    clear: (space) =>
      Effect.withFiber((fiber) =>
        isJoined(fiber) ? joined!.clear(space, fiber) : Effect.sync(() => tableOf(space).clear())
      ),
    [opening]() {
      return this
    }
  }
}

/** The memory of this process, where nothing can stand in a transaction. A service's keys are its own: no two spaces share any. */
export const memory = /* @__PURE__ */ make()
