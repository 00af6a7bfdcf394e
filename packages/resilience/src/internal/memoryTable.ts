/**
 * The keys of one space in the memory of this process, and when they are forgotten.
 *
 * Absent means initial: only a write makes a key, so a refusal leaves none behind and makes no other one go.
 *
 * A key is nothing but its state, until somebody needs more of it: a call that waits on it, a transaction, a bound.
 */
import * as Fiber from "effect/Fiber"
import { pipeArguments } from "effect/Pipeable"
import type * as TxRef from "effect/TxRef"
import type { AnySpace } from "../StoreModel.ts"
import { pop, push, type Timed } from "./heap.ts"

/** What only few cells need. */
interface Extra {
  /** Counts the writes. Nobody has seen the version of a cell that has no `Extra`, so it need not be counted. */
  version: number
  /** Calls that wait on the key, or hold a permit of it. */
  holds: number
  pending: Map<unknown, () => void> | undefined
}

/** Marks our own subscriptions among `pending`: a write of the store itself does not call them. */
export class Watch {
  readonly onChange: () => void
  constructor(onChange: () => void) {
    this.onChange = onChange
  }
}

const txRefTypeId = "~effect/TxRef" as const

/** Half the size of Effect's own reference, which would be most of what a key costs. Absent means initial. */
export class Cell implements TxRef.TxRef<unknown> {
  declare readonly [txRefTypeId]: typeof txRefTypeId
  declare value: unknown
  declare extra: Extra | undefined

  constructor(value: unknown) {
    this.value = value
    this.extra = undefined
  }

  get pending(): Map<unknown, () => void> {
    return (this.more().pending ??= new Map())
  }

  get version(): number {
    return this.more().version
  }

  set version(version: number) {
    this.more().version = version
  }

  more(): Extra {
    return (this.extra ??= { version: 0, holds: 0, pending: undefined })
  }

  /** A transaction that read the cell runs again. */
  changed(): void {
    if (this.extra !== undefined) this.extra.version++
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
const notify = (cell: Cell): void => {
  const pending = cell.extra?.pending
  if (pending === undefined) return
  const dispatcher = Fiber.getCurrent()?.currentDispatcher
  for (const [token, wake] of pending) {
    if (token instanceof Watch) continue
    pending.delete(token)
    if (dispatcher === undefined) wake()
    else dispatcher.scheduleTask(wake, 0)
  }
}

/** A sweep comes with every 16th commit: what it costs to begin is paid less often. */
const SWEEP_EVERY = 16
/** So many keys a sweep looks at. */
const LEAST_A_SWEEP = 4
const MOST_A_SWEEP = 512
const SHARDS = 64
/** A key's last characters differ most; a hash over all of a hostile key would cost more than the decision. */
const shardOf = (key: string): number => {
  let hash = key.length
  for (let i = Math.max(0, key.length - 8); i < key.length; i++) hash = (hash * 31 + key.charCodeAt(i)) | 0
  return (hash ^ (hash >>> 11)) & (SHARDS - 1)
}

/** What a table keeps of a key: a cell, or nothing but the state. */
export const stateOf = (entry: unknown): unknown => (entry instanceof Cell ? entry.value : entry)

/** The references in a transaction's journal. */
type Touched = Pick<ReadonlyMap<unknown, unknown>, "has">

interface Candidate extends Timed {
  readonly key: string
  readonly cell: Cell
}

/** The cells of one space. Sharded, so that no insert pays for the rehash of a million keys at once. */
export class Table {
  readonly space: AnySpace
  /** Whose table it is. */
  readonly owner: unknown
  readonly initial: unknown
  size = 0
  private readonly shards: Array<Map<string, unknown> | undefined> = []
  /** Where there is but one key, as of a circuit or of a limit that all share, it is found without a look at the map. */
  private only: Cell | undefined = undefined
  private onlyKey = ""
  private sweepShard = 0
  private sweeping: IterableIterator<[string, unknown]> | undefined
  private sweepBudget = LEAST_A_SWEEP
  private untilSweep = 1
  /** A lazy heap by the time of forgetting, kept only where the number of keys is bounded. */
  private readonly candidates: Array<Candidate> | undefined
  /** When each key without a natural end was last used; kept only where an idle time is set. */
  private readonly usedAt: WeakMap<Cell, number> | undefined

  constructor(space: AnySpace, owner?: unknown) {
    this.space = space
    this.owner = owner
    this.initial = space.kernel.initial(space.policy)
    this.candidates = space.keys.maxKeys === undefined ? undefined : []
    this.usedAt = space.keys.idleTimeToLive === Infinity ? undefined : new WeakMap()
  }

  /** A cell, a state, or `undefined` where the key is absent. */
  find(key: string): unknown {
    if (this.only !== undefined && key === this.onlyKey) return this.only
    return this.shards[shardOf(key)]?.get(key)
  }

  /**
   * Whether a new key may come. Where too many are refused (`reject`), one that is as good as new goes for it; but what
   * a transaction has touched already (`touched`) does not go for what it touches next, which would be a conflict with
   * itself, for ever.
   */
  hasRoom(now: number, touched?: Touched): boolean {
    const { maxKeys, overflow } = this.space.keys
    return maxKeys === undefined || overflow === "evict" || this.size < maxKeys || this.makeRoom(now, touched)
  }

  private put(key: string, entry: unknown): void {
    const index = shardOf(key)
    ;(this.shards[index] ??= new Map()).set(key, entry)
  }

  private insert(key: string, entry: unknown): void {
    this.put(key, entry)
    this.size++
    this.only = undefined
  }

  /** A cell where there was none. */
  insertCell(key: string): Cell {
    const cell = new Cell(this.initial)
    this.insert(key, cell)
    if (this.size === 1) this.only = cell
    this.onlyKey = key
    this.suggest(key, cell, -Infinity)
    return cell
  }

  /** The key's cell, which from now on it has. */
  cell(key: string, now: number): Cell {
    const found = this.find(key)
    if (found instanceof Cell) return found
    if (found !== undefined) {
      const cell = new Cell(found)
      this.put(key, cell)
      return cell
    }
    this.keepTo((this.space.keys.maxKeys ?? Infinity) - 1, now)
    return this.insertCell(key)
  }

  /** Forgets keys above the bound, but for those in use: as many calls are there, and they bound them. */
  enforce(now: number): void {
    this.keepTo(this.space.keys.maxKeys ?? Infinity, now)
  }

  private keepTo(bound: number, now: number): void {
    while (this.size > bound && this.makeRoom(now, undefined)) {
      /* one key less */
    }
  }

  /** What is kept of the key after a write. `entry` is what was kept before. */
  write(key: string, entry: unknown, next: unknown, now: number): unknown {
    const known = entry ?? this.find(key) // which may have come with this very commit
    // a bound needs to know more of each key; and an only key is found at once, if it has a cell
    const bounded = this.candidates !== undefined || this.usedAt !== undefined
    if (known instanceof Cell || (known === undefined && (bounded || this.size === 0))) {
      const cell = known ?? this.cell(key, now)
      this.writeCell(key, cell, next)
      return cell
    }
    if (known === undefined) this.insert(key, next)
    else this.put(key, next)
    return next
  }

  private writeCell(key: string, cell: Cell, next: unknown): void {
    const before = this.candidates === undefined ? 0 : this.forgettableAt(cell)
    cell.value = next
    cell.changed()
    notify(cell)
    if (this.candidates === undefined) return
    // the heap only survives ends that grow; a refund shortens one
    const after = this.forgettableAt(cell)
    if (after < before) this.suggest(key, cell, after)
  }

  /** The key may be forgotten from `at` on, or later. */
  suggest(key: string, cell: Cell, at: number): void {
    const heap = this.candidates
    if (heap === undefined) return
    if (heap.length > 2 * this.size + 64) {
      // most of it is about keys that are gone
      heap.length = 0
      for (const [key, entry] of this.entries()) {
        if (entry instanceof Cell) push(heap, { key, cell: entry, at: this.forgettableAt(entry), index: 0 })
      }
    }
    push(heap, { key, cell, at, index: 0 })
  }

  used(entry: unknown, now: number): void {
    if (this.usedAt !== undefined && entry instanceof Cell) this.usedAt.set(entry, now)
  }

  /** Then it need not be remembered. */
  isFresh(value: unknown, now: number): boolean {
    return value === this.initial || this.expiry(value) <= now
  }

  private expiry(value: unknown): number {
    return this.space.kernel.expiresAt(this.space.policy, value) ?? Infinity
  }

  /** When the key may be forgotten, if nobody uses it. A state without an end ends only by the user's idle time. */
  private forgettableAt(entry: unknown): number {
    const natural = this.expiry(stateOf(entry))
    if (natural < Infinity || !(entry instanceof Cell)) return natural
    return (this.usedAt?.get(entry) ?? Infinity) + this.space.keys.idleTimeToLive
  }

  private drop(key: string, entry: unknown): void {
    this.shards[shardOf(key)]!.delete(key)
    this.size--
    this.only = undefined
    if (entry instanceof Cell) entry.changed() // who read it looks the key up again
  }

  /** Whether somebody needs the very cell. */
  private isFree(entry: unknown, touched: Touched | undefined): boolean {
    return !(entry instanceof Cell) || (!inUse(entry) && touched?.has(entry) !== true)
  }

  /** A few keys each time, more while an eighth of them can go: no timer, and no step that is long. */
  sweep(now: number, touched?: Touched): void {
    if (--this.untilSweep > 0 || this.only !== undefined) return
    this.untilSweep = SWEEP_EVERY
    let dropped = 0
    for (let i = 0; i < this.sweepBudget; i++) {
      if (this.sweeping === undefined) {
        this.sweepShard = (this.sweepShard + 1) % SHARDS
        const shard = this.shards[this.sweepShard]
        if (shard === undefined) continue
        this.sweeping = shard.entries()
      }
      const entry = this.sweeping.next()
      if (entry.done === true) {
        this.sweeping = undefined
        continue
      }
      const [key, kept] = entry.value
      if (this.forgettableAt(kept) <= now && this.isFree(kept, touched)) {
        this.drop(key, kept)
        dropped++
      }
    }
    this.sweepBudget =
      dropped * 8 > this.sweepBudget
        ? Math.min(MOST_A_SWEEP, this.sweepBudget * 2)
        : Math.max(LEAST_A_SWEEP, this.sweepBudget - SWEEP_EVERY)
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
      if (!this.isFree(nearest.cell, touched)) {
        spared.push({ ...nearest, at })
      } else if (at > (heap[0]?.at ?? Infinity)) {
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

  *entries(): IterableIterator<readonly [string, unknown]> {
    for (const shard of this.shards) if (shard !== undefined) yield* shard
  }

  clear(): void {
    for (const [key, entry] of this.entries()) {
      if (entry instanceof Cell) this.writeCell(key, entry, this.initial)
      if (this.isFree(entry, undefined)) this.drop(key, entry)
    }
  }
}
