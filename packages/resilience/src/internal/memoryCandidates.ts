/**
 * Which key of a bounded space goes for a new one.
 *
 * Once the space is full, keys in use are not among the candidates, and neither is what a transaction which looks for room
 * has touched: so what an eviction costs does not grow with their number. A key that is taken into use before is found
 * out at most once, so that a space with room pays nothing for calls that come and go.
 */
import { pop, push, remove, type Timed } from "./heap.ts"
import { BoundedCell, type Ranked, type Settles } from "./memoryCell.ts"

/** A transaction's journal: an object for each reference that this attempt has touched, another one in each attempt. */
export type Touched = Pick<ReadonlyMap<unknown, unknown>, "get" | "has">

/** All free cells by one number of their states, which no passing of time changes. */
class Order<T extends Timed> {
  private readonly heap: Array<T> = []
  private readonly numberOf: (one: T) => number

  constructor(numberOf: (one: T) => number) {
    this.numberOf = numberOf
  }

  /** In the heap, a number is at most what it should be: most only grow, and are looked at again once they are the first. */
  enter(one: T): void {
    const at = this.numberOf(one)
    if (one.index >= 0) {
      if (at >= one.at) return
      remove(this.heap, one)
    }
    one.at = at
    push(this.heap, one)
  }

  leave(one: T): void {
    if (one.index < 0) return
    remove(this.heap, one)
    one.index = -1
  }

  /** The one of the lowest number, if that is at most `most`. */
  first(most: number): T | undefined {
    for (let first = this.heap[0]; first !== undefined && first.at <= most; first = this.heap[0]) {
      const at = this.numberOf(first)
      if (at <= first.at) return first
      pop(this.heap)
      first.at = at
      push(this.heap, first)
    }
    return undefined
  }
}

export class Candidates implements Settles {
  private readonly byEnd: Order<BoundedCell>
  /** Absent where only keys that are fresh may go, or the kernel has no `rank`: then the ends are the ranks. */
  private readonly byRank: Order<Ranked> | undefined
  private readonly evicts: boolean
  private readonly isFull: () => boolean
  /** What one attempt of a transaction has touched, each with what its journal said of it; some may have a place again. */
  private readonly aside = new Map<BoundedCell, unknown>()

  constructor(
    evicts: boolean,
    isFull: () => boolean,
    endOf: (cell: BoundedCell) => number,
    rankOf: ((cell: BoundedCell) => number) | undefined
  ) {
    this.evicts = evicts
    this.isFull = isFull
    this.byEnd = new Order(endOf)
    this.byRank = evicts && rankOf !== undefined ? new Order(({ cell }) => rankOf(cell)) : undefined
  }

  cell(value: unknown, key: string): BoundedCell {
    return new BoundedCell(value, key, this, this.byRank !== undefined)
  }

  written(cell: BoundedCell): void {
    if (!cell.gone && (cell.index >= 0 || !cell.inUse)) this.enter(cell)
  }

  taken(cell: BoundedCell): void {
    if (this.isFull()) this.leave(cell)
  }

  freed(cell: BoundedCell): void {
    if (!cell.gone && cell.index < 0 && !cell.inUse) this.enter(cell)
  }

  private enter(cell: BoundedCell): void {
    this.byEnd.enter(cell)
    if (cell.ranked !== undefined) this.byRank!.enter(cell.ranked) // it has one where there is the order
  }

  /** The key is forgotten. */
  drop(cell: BoundedCell): void {
    this.leave(cell)
    cell.gone = true
  }

  private leave(cell: BoundedCell): void {
    this.byEnd.leave(cell)
    if (cell.ranked !== undefined) this.byRank!.leave(cell.ranked) // only that heap ranks cells
  }

  /** The free cell to go first: one that is fresh at `now`; else, where new keys make known ones go, that of the lowest rank. */
  next(now: number, touched: Touched | undefined): BoundedCell | undefined {
    this.takeBack(touched)
    for (;;) {
      const fresh = this.byEnd.first(now)
      const cell = fresh ?? (this.evicts ? this.lowest() : undefined)
      if (cell === undefined) return undefined
      const touch = touched?.get(cell)
      if (touch === undefined && !cell.inUse) return cell
      this.leave(cell)
      if (touch !== undefined) this.aside.set(cell, touch)
    }
  }

  /** A rank of `Infinity` says never. An end of `Infinity` only says that the key is not forgotten without need. */
  private lowest(): BoundedCell | undefined {
    return this.byRank === undefined ? this.byEnd.first(Infinity) : this.byRank.first(Number.MAX_VALUE)?.cell
  }

  /** What one attempt has touched may go for another transaction, and for its own next attempt, which may touch less. */
  private takeBack(touched: Touched | undefined): void {
    const [first] = this.aside
    if (first === undefined || touched?.get(first[0]) === first[1]) return
    for (const cell of this.aside.keys()) this.freed(cell)
    this.aside.clear()
  }
}
