/**
 * What the memory store keeps of a key, where its state alone is not enough: a call waits on it, holds a permit of it or
 * has read it in a transaction, or the keys of its space are bounded.
 */
import { pipeArguments } from "effect/Pipeable"
import type * as TxRef from "effect/TxRef"
import type { Timed } from "./heap.ts"

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
    return (this.more().pending ??= this.noPending())
  }

  protected noPending(): Map<unknown, () => void> {
    return new Map()
  }

  get version(): number {
    return this.more().version
  }

  set version(version: number) {
    this.more().version = version
  }

  private more(): Extra {
    return (this.extra ??= { version: 0, holds: 0, pending: undefined })
  }

  /** A transaction that read the cell runs again. */
  changed(): void {
    if (this.extra !== undefined) this.extra.version++
  }

  /** While a cell is held, its key is not forgotten. */
  hold(): void {
    this.more().holds++
  }

  release(): void {
    this.more().holds--
  }

  /** Whether a call holds the cell or waits for a change of it. */
  get inUse(): boolean {
    const { extra } = this
    return extra !== undefined && (extra.holds > 0 || (extra.pending !== undefined && extra.pending.size > 0))
  }

  pipe() {
    return pipeArguments(this, arguments)
  }
}
// on the prototype: one string for all cells
Object.defineProperty(Cell.prototype, txRefTypeId, { value: txRefTypeId })

/** What a bounded table is told of its cells. */
export interface Settles {
  readonly written: (cell: BoundedCell) => void
  readonly taken: (cell: BoundedCell) => void
  /** It may still be in use by others. */
  readonly freed: (cell: BoundedCell) => void
}

/** The place of a cell among all by their ranks. */
export class Ranked implements Timed {
  declare readonly cell: BoundedCell
  declare at: number
  declare index: number

  constructor(cell: BoundedCell) {
    this.cell = cell
    this.at = 0
    this.index = -1
  }
}

/**
 * The cell of a key that may have to go for another one: it says when it changes, and when it is free. `at` and `index` are
 * its place among all by their ends; an index of -1 says that it has none.
 */
export class BoundedCell extends Cell implements Timed {
  declare readonly key: string
  declare readonly candidates: Settles
  /** Whether the key is forgotten. */
  declare gone: boolean
  declare at: number
  declare index: number
  declare readonly ranked: Ranked | undefined

  constructor(value: unknown, key: string, candidates: Settles, hasRank: boolean) {
    super(value)
    this.key = key
    this.candidates = candidates
    this.gone = false
    this.at = 0
    this.index = -1
    this.ranked = hasRank ? new Ranked(this) : undefined
  }

  protected override noPending(): Map<unknown, () => void> {
    return new Pending(this)
  }

  override hold(): void {
    super.hold()
    this.candidates.taken(this)
  }

  override release(): void {
    super.release()
    this.candidates.freed(this)
  }
}

/** The calls that wait for a change of a cell. Transactions of Effect's enter it, leave it, and clear it after a write. */
class Pending extends Map<unknown, () => void> {
  private readonly cell: BoundedCell

  constructor(cell: BoundedCell) {
    super()
    this.cell = cell
  }

  override set(token: unknown, wake: () => void): this {
    super.set(token, wake)
    this.cell.candidates.taken(this.cell)
    return this
  }

  override delete(token: unknown): boolean {
    const had = super.delete(token)
    this.cell.candidates.freed(this.cell)
    return had
  }

  override clear(): void {
    super.clear()
    this.cell.candidates.written(this.cell)
  }
}
