/**
 * The store in this process: one table a space, one cell a key.
 *
 * A cell is a transactional reference of Effect's, so decisions made inside a user's `Effect.tx` commit and roll back
 * with it. Outside of a transaction no journal is needed: JavaScript runs one fiber at a time, so one synchronous step
 * (read, decide, write, bump the version, wake) is atomic, and a transaction that read the cell runs again.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { pipeArguments } from "effect/Pipeable"
import * as TxRef from "effect/TxRef"
import type { Decision } from "../kernel/Kernel.ts"
import type { AnySpace, Committed, Step, Store, SyncStore } from "../Store.ts"
import { pop, push, type Timed } from "./heap.ts"
import { nowOf } from "./time.ts"
import { inTransaction, maybeInTransaction } from "./transaction.ts"

/** What only few cells need. */
interface Extra {
  /** Calls that wait on the key, or hold a permit of it. */
  holds: number
  pending: Map<unknown, () => void> | undefined
}

/** Marks our own subscriptions among `pending`: a write of the store itself does not call them. */
class Watch {
  readonly onChange: () => void
  constructor(onChange: () => void) {
    this.onChange = onChange
  }
}

const txRefTypeId = "~effect/TxRef" as const

/** Half the size of Effect's own reference, which would be most of what a key costs. Absent means initial. */
export class Cell implements TxRef.TxRef<unknown> {
  declare readonly [txRefTypeId]: typeof txRefTypeId
  version = 0
  value: unknown
  extra: Extra | undefined = undefined

  constructor(value: unknown) {
    this.value = value
  }

  get pending(): Map<unknown, () => void> {
    return (this.more().pending ??= new Map())
  }

  more(): Extra {
    return (this.extra ??= { holds: 0, pending: undefined })
  }

  pipe() {
    return pipeArguments(this, arguments)
  }
}
// on the prototype: one string for all cells
Object.defineProperty(Cell.prototype, txRefTypeId, { value: txRefTypeId })

const inUse = (cell: Cell): boolean => {
  const extra = cell.extra
  return extra !== undefined && (extra.holds > 0 || (extra.pending !== undefined && extra.pending.size > 0))
}

/** Calls back whoever waits for a change (`Effect.txRetry`), each from the dispatcher of the fiber that made it. */
const notify = (cell: Cell, own: boolean): void => {
  const pending = cell.extra?.pending
  if (pending === undefined || pending.size === 0) return
  const dispatcher = Fiber.getCurrent()?.currentDispatcher
  for (const [token, wake] of pending) {
    if (own && token instanceof Watch) continue
    pending.delete(token)
    if (dispatcher === undefined) wake()
    else dispatcher.scheduleTask(wake, 0)
  }
}

const SHARDS = 64
/** A key's last characters differ most; a hash over all of a hostile key would cost more than the decision. */
const shardOf = (key: string): number => {
  let hash = key.length
  for (let i = Math.max(0, key.length - 8); i < key.length; i++) hash = (hash * 31 + key.charCodeAt(i)) | 0
  return (hash ^ (hash >>> 11)) & (SHARDS - 1)
}

/** The references in a transaction's journal. */
type Touched = Pick<ReadonlyMap<unknown, unknown>, "has">

interface Candidate extends Timed {
  readonly key: string
  readonly cell: Cell
}

/** The cells of one space. Sharded, so that no insert pays for the rehash of a million keys at once. */
class Table {
  readonly space: AnySpace
  readonly initial: unknown
  size = 0
  private readonly shards: Array<Map<string, Cell> | undefined> = new Array<undefined>(SHARDS).fill(undefined)
  private sweepShard = 0
  private sweeping: IterableIterator<[string, Cell]> | undefined
  private sweepBudget = 1
  /** A lazy heap by the time of forgetting, kept only where the number of keys is bounded. */
  private readonly candidates: Array<Candidate> | undefined
  /** When each key without a natural end was last used; kept only where an idle time is set. */
  private readonly usedAt: WeakMap<Cell, number> | undefined

  constructor(space: AnySpace) {
    this.space = space
    this.initial = space.kernel.initial(space.policy)
    this.candidates = space.keys.maxKeys === undefined ? undefined : []
    this.usedAt = space.keys.idleTimeToLive === Infinity ? undefined : new WeakMap()
  }

  find(key: string): Cell | undefined {
    return this.shards[shardOf(key)]?.get(key)
  }

  /**
   * `undefined` when there is no room. What a transaction has touched already (`touched`) makes no room for what it
   * touches next: that would be a conflict with itself, for ever.
   */
  findOrMake(key: string, now: number, touched?: Touched): Cell | undefined {
    const index = shardOf(key)
    const shard = (this.shards[index] ??= new Map())
    const found = shard.get(key)
    if (found !== undefined) return found
    while (this.candidates !== undefined && this.size >= this.space.keys.maxKeys!) {
      if (this.makeRoom(now, touched)) continue
      if (this.space.keys.overflow === "reject") return undefined
      break // every key is in use: as many calls are there, and they bound it
    }
    const cell = new Cell(this.initial)
    shard.set(key, cell)
    this.size++
    if (this.candidates !== undefined) push(this.candidates, { key, cell, at: -Infinity })
    return cell
  }

  write(key: string, cell: Cell, next: unknown): void {
    const before = cell.value
    cell.value = next
    cell.version++
    if (cell.extra !== undefined) notify(cell, true)
    // the heap only survives expiries that grow; a refund shortens one
    if (this.candidates !== undefined && this.expiry(next) < this.expiry(before)) {
      push(this.candidates, { key, cell, at: this.expiry(next) })
    }
  }

  used(cell: Cell, now: number): void {
    this.usedAt?.set(cell, now)
  }

  private expiry(value: unknown): number {
    return this.space.kernel.expiresAt(this.space.policy, value) ?? Infinity
  }

  /** When the key may be forgotten, if nobody uses it. A state without an end ends only by the user's idle time. */
  private forgettableAt(cell: Cell): number {
    const natural = this.expiry(cell.value)
    return natural === Infinity ? (this.usedAt?.get(cell) ?? Infinity) + this.space.keys.idleTimeToLive : natural
  }

  private drop(key: string, cell: Cell): void {
    const shard = this.shards[shardOf(key)]
    if (shard?.get(key) !== cell) return
    shard.delete(key)
    this.size--
    cell.version++ // a transaction that read it looks the key up again
  }

  /** A few cells each time, more while there is much to forget: no timer, and no step that is long. */
  sweep(now: number): void {
    let dropped = 0
    for (let i = 0; i < this.sweepBudget; i++) {
      if (this.sweeping === undefined) {
        this.sweepShard = (this.sweepShard + 1) % SHARDS
        const shard = this.shards[this.sweepShard]
        if (shard === undefined || shard.size === 0) continue
        this.sweeping = shard.entries()
      }
      const entry = this.sweeping.next()
      if (entry.done === true) {
        this.sweeping = undefined
        continue
      }
      const [key, cell] = entry.value
      if (this.forgettableAt(cell) <= now && !inUse(cell)) {
        this.drop(key, cell)
        dropped++
      }
    }
    this.sweepBudget =
      dropped * 2 > this.sweepBudget ? Math.min(64, this.sweepBudget * 2) : Math.max(1, this.sweepBudget - 1)
  }

  /** Drops the key that is nearest to fresh: forgetting it forgives least. */
  private makeRoom(now: number, touched: Touched | undefined): boolean {
    const heap = this.candidates!
    const spared: Array<Candidate> = []
    let room = false
    while (!room && heap.length > 0) {
      const nearest = pop(heap)
      if (this.find(nearest.key) !== nearest.cell) continue
      const at = this.forgettableAt(nearest.cell)
      if (inUse(nearest.cell) || touched?.has(nearest.cell) === true) {
        spared.push({ ...nearest, at })
      } else if (at > nearest.at && at > (heap[0]?.at ?? Infinity)) {
        nearest.at = at
        push(heap, nearest)
      } else if (at <= now || this.space.keys.overflow === "evict") {
        this.drop(nearest.key, nearest.cell)
        room = true
      } else {
        spared.push({ ...nearest, at })
        break
      }
    }
    for (const candidate of spared) push(heap, candidate)
    return room
  }

  *cells(): IterableIterator<readonly [string, Cell]> {
    for (const shard of this.shards) if (shard !== undefined) yield* shard
  }

  clear(): void {
    for (const [key, cell] of this.cells()) {
      if (!Object.is(cell.value, this.initial)) this.write(key, cell, this.initial)
      const pending = cell.extra?.pending
      if (pending !== undefined) for (const token of pending.keys()) if (token instanceof Watch) token.onChange()
      if (!inUse(cell)) this.drop(key, cell)
    }
  }
}

export const make = (): Store["Service"] => {
  // a space that nobody holds any more takes its keys with it
  const tables = new WeakMap<AnySpace, Table>()

  const tableOf = (space: AnySpace): Table => {
    let table = tables.get(space)
    if (table === undefined) tables.set(space, (table = new Table(space)))
    return table
  }

  const cellOf = (step: Step, now: number): Cell | undefined => {
    const table = tableOf(step.space)
    const known = step.place
    if (known instanceof Cell && known.extra !== undefined && known.extra.holds > 0) return known
    const cell = table.findOrMake(step.key, now)
    step.place = cell
    return cell
  }

  const commit = <const Steps extends ReadonlyArray<Step>>(
    steps: Steps,
    now: number,
    write = true
  ): Committed<Steps> => {
    const answers: Array<Decision | undefined> = new Array<undefined>(steps.length)
    const states: Array<unknown> = new Array<undefined>(steps.length)
    let allowed = true
    for (let i = 0; i < steps.length; i++) {
      const { space, input } = steps[i]!
      const cell = cellOf(steps[i]!, now)
      if (cell === undefined) {
        allowed = false
        continue
      }
      const [answer, state] = space.kernel.step(space.policy, cell.value, input, now)
      answers[i] = answer
      states[i] = state
      if (!answer.allowed) allowed = false
    }
    for (let i = 0; i < steps.length; i++) {
      const step = steps[i]!
      const cell = step.place
      if (!(cell instanceof Cell)) continue
      const table = tableOf(step.space)
      if (allowed && write && !Object.is(states[i], cell.value)) table.write(step.key, cell, states[i])
      table.used(cell, now)
      table.sweep(now)
    }
    // the answers were produced by the kernels of these very steps
    return { now, allowed, answers: answers as unknown as Committed<Steps>["answers"] }
  }

  /** The same, on the journal of the user's transaction. Cold: composition, never the hot path. */
  const commitInTransaction = Effect.fnUntraced(function* <const Steps extends ReadonlyArray<Step>>(
    steps: Steps,
    now: number
  ) {
    const answers: Array<Decision | undefined> = []
    const writes: Array<Effect.Effect<void>> = []
    let allowed = true
    const { journal } = yield* Effect.Transaction
    for (const step of steps) {
      const { space, input } = step
      const table = tableOf(space)
      const cell = table.findOrMake(step.key, now, journal)
      if (cell === undefined) {
        allowed = false
        answers.push(undefined)
        continue
      }
      table.used(cell, now)
      const before = yield* TxRef.get(cell)
      const [answer, state] = space.kernel.step(space.policy, before, input, now)
      answers.push(answer)
      if (!answer.allowed) allowed = false
      if (!Object.is(before, state)) writes.push(TxRef.set(cell, state))
    }
    if (allowed) for (const write of writes) yield* write
    return { now, allowed, answers } as unknown as Committed<Steps> // as above
  })

  const sync: SyncStore = {
    commit,
    read: (space, key) => tableOf(space).find(key)?.value as never, // a cell of this space holds states of its kernel
    hold: (step, now) => {
      const cell = cellOf(step, now)
      if (cell !== undefined) cell.more().holds++
    },
    release: (step) => {
      if (step.place instanceof Cell && step.place.extra !== undefined) step.place.extra.holds--
    },
    watch: (step, onChange) => {
      const cell = step.place
      if (!(cell instanceof Cell)) return () => {}
      let active = true
      const watch = new Watch(() => {
        if (!active) return
        cell.pending.set(watch, watch.onChange) // a commit clears what it calls
        onChange()
      })
      cell.pending.set(watch, watch.onChange)
      return () => {
        active = false
        cell.extra?.pending?.delete(watch)
      }
    },
    size: (space) => tableOf(space).size,
    afterCommit: (effect) =>
      Effect.withFiber((fiber) => {
        if (!maybeInTransaction(fiber)) return effect
        // a reference of this attempt alone: only the attempt that commits writes it
        const outbox = new Cell(false)
        const { context } = fiber // as it is here: at the commit the fiber may be elsewhere
        return Effect.flatMap(inTransaction, (inside) => {
          if (!inside) return effect
          outbox.pending.set(outbox, () => Effect.runForkWith(context)(effect))
          return TxRef.set(outbox, true)
        })
      })
  }

  return {
    sync,
    commit: (steps) =>
      Effect.withFiber((fiber) =>
        maybeInTransaction(fiber)
          ? Effect.tx(commitInTransaction(steps, nowOf(fiber)))
          : Effect.succeed(commit(steps, nowOf(fiber)))
      ),
    read: (space, key) =>
      Effect.withFiber((fiber) => {
        const now = nowOf(fiber)
        if (!maybeInTransaction(fiber)) return Effect.succeed({ now, state: tableOf(space).find(key)?.value as never }) // as above
        // an absent key is read as well: whoever writes it conflicts
        const cell = tableOf(space).findOrMake(
          key,
          now,
          Context.getOrUndefined(fiber.context, Effect.Transaction)?.journal
        )
        if (cell === undefined) return Effect.succeed({ now, state: undefined })
        return Effect.map(TxRef.get(cell), (state) => ({ now, state: state as never })) // as above
      }),
    clear: (space) =>
      Effect.withFiber((fiber) => {
        const table = tableOf(space)
        if (!maybeInTransaction(fiber)) return Effect.sync(() => table.clear())
        return Effect.tx(
          Effect.forEach(Array.from(table.cells()), ([, cell]) => TxRef.set(cell, table.initial), { discard: true })
        )
      })
  }
}

/** The memory of this process. A service's keys are its own: no two spaces share any. */
export const memory = make()
