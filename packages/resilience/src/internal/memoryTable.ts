/**
 * The keys of one space in the memory of this process, and when they are forgotten.
 *
 * Absent means initial: only a write makes a key, so a refusal leaves none behind and makes no other one go.
 *
 * A key is nothing but its state, until more of it is needed: for a call that waits on it, a transaction, a bound.
 */
import * as Fiber from "effect/Fiber"
import type { AnySpace } from "../StoreModel.ts"
import { isolated } from "./isolated.ts"
import { Candidates, type Touched } from "./memoryCandidates.ts"
import { BoundedCell, Cell, Watch } from "./memoryCell.ts"

/** Calls back whoever waits for a change (`Effect.txRetry`), each from the dispatcher of the fiber that made it. */
const notify = (cell: Cell): void => {
  const pending = cell.extra?.pending
  if (pending === undefined) return
  const dispatcher = Fiber.getCurrent()?.currentDispatcher
  for (const [token, wake] of pending) {
    if (token instanceof Watch) continue
    pending.delete(token)
    // a task that throws ends all others of its dispatcher
    if (dispatcher === undefined) isolated(wake)
    else dispatcher.scheduleTask(() => isolated(wake), 0)
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

/** V8 makes a part of a string of at least so many characters by pointing into the whole. */
const SHORTEST_SLICE = 13

/** A copy that keeps alive no larger string: the key may be cut out of a header or a body. */
const ownCopy = (key: string): string => (key.length < SHORTEST_SLICE ? key : [key.slice(0, 1), key.slice(1)].join(""))

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
  /** Kept only where the number of keys is bounded. */
  private readonly candidates: Candidates | undefined
  /** When each key without a natural end was last used; kept only where an idle time is set. */
  private readonly usedAt: WeakMap<Cell, number> | undefined

  constructor(space: AnySpace, owner?: unknown) {
    this.space = space
    this.owner = owner
    this.initial = space.kernel.initial(space.policy)
    this.candidates = space.keys.maxKeys === undefined ? undefined : this.makeCandidates()
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

  private makeCandidates(): Candidates {
    const { keys, kernel, policy } = this.space
    const { rank } = kernel
    return new Candidates(
      keys.overflow === "evict",
      () => this.size >= keys.maxKeys!, // `makeCandidates` is for a bounded space
      (cell) => this.forgettableAt(cell),
      rank === undefined ? undefined : (cell) => rank(policy, cell.value)
    )
  }

  /** A cell where there was none. */
  insertCell(given: string, value: unknown = this.initial): Cell {
    const key = ownCopy(given)
    const cell = this.candidates?.cell(value, key) ?? new Cell(value)
    this.insert(key, cell)
    if (this.size === 1) this.only = cell
    this.onlyKey = key
    this.usedAt?.set(cell, -Infinity) // the use that makes the cell is noted next: its end then only grows
    this.written(cell)
    return cell
  }

  /** A cell was written, or is new. */
  private written(cell: Cell): void {
    if (cell instanceof BoundedCell) this.candidates!.written(cell) // only a bounded table has such cells
  }

  /** The key's cell, which from now on it has. */
  cell(key: string, now: number): Cell {
    const found = this.find(key)
    if (found instanceof Cell) return found
    if (found !== undefined) {
      const cell = new Cell(found) // a bounded table holds nothing but cells
      this.put(key, cell)
      return cell
    }
    return this.admit(key, this.initial, now)
  }

  /** A cell for a new key, for which another one may have to go. */
  private admit(key: string, value: unknown, now: number): Cell {
    this.keepTo((this.space.keys.maxKeys ?? Infinity) - 1, now)
    return this.insertCell(key, value)
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
    if (known instanceof Cell) {
      this.writeCell(known, next)
      return known
    }
    if (known === undefined && (bounded || this.size === 0)) return this.admit(key, next, now)
    if (known === undefined) this.insert(ownCopy(key), next)
    else this.put(key, next)
    return next
  }

  private writeCell(cell: Cell, next: unknown): void {
    cell.value = next
    cell.changed()
    notify(cell)
    this.written(cell)
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
    this.space.forgotten?.(key, stateOf(entry))
    if (!(entry instanceof Cell)) return
    entry.changed() // who read it looks the key up again
    if (entry instanceof BoundedCell) this.candidates!.drop(entry)
  }

  /** Whether somebody needs the very cell. */
  private isFree(entry: unknown, touched: Touched | undefined): boolean {
    return !(entry instanceof Cell) || (!entry.inUse && touched?.has(entry) !== true)
  }

  /** A few keys each time, more while more than an eighth of them can go: no timer, and no step that is long. */
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

  /** Drops a key that is fresh or, with `evict`, the one of the lowest rank: forgetting it forgives least. */
  private makeRoom(now: number, touched: Touched | undefined): boolean {
    const cell = this.candidates?.next(now, touched)
    if (cell === undefined) return false
    this.drop(cell.key, cell)
    return true
  }

  *entries(): IterableIterator<readonly [string, unknown]> {
    for (const shard of this.shards) if (shard !== undefined) yield* shard
  }

  clear(): void {
    for (const [key, entry] of this.entries()) {
      if (entry instanceof Cell) {
        this.space.forgotten?.(key, entry.value)
        this.writeCell(entry, this.initial)
      }
      if (this.isFree(entry, undefined)) this.drop(key, entry)
    }
  }
}
