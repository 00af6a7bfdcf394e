/**
 * Which key of a bounded space goes for a new one. Keys in use, and those that a transaction which looks for room has
 * touched, are not among them, so what an eviction costs does not grow with their number.
 */
import { pop, push, remove } from "./heap.ts"
import { BoundedCell, type Candidate, type Settles } from "./memoryCell.ts"

/** The references in a transaction's journal. It grows until all of it is cleared. */
export type Touched = Pick<ReadonlyMap<unknown, unknown>, "has">

/** All free cells by one number of their states, which no passing of time changes. */
class Order {
  private readonly heap: Array<Candidate> = []
  private readonly numberOf: (cell: BoundedCell) => number

  constructor(numberOf: (cell: BoundedCell) => number) {
    this.numberOf = numberOf
  }

  /** In the heap, a number is at most what it should be: most only grow, and are looked at again once they are the first. */
  enter(one: Candidate): void {
    const at = this.numberOf(one.cell)
    if (one.index >= 0) {
      if (at >= one.at) return
      remove(this.heap, one)
    }
    one.at = at
    push(this.heap, one)
  }

  leave(one: Candidate): void {
    if (one.index < 0) return
    remove(this.heap, one)
    one.index = -1
  }

  /** The cell of the lowest number, if that is at most `most`. */
  first(most: number): BoundedCell | undefined {
    for (let first = this.heap[0]; first !== undefined && first.at <= most; first = this.heap[0]) {
      const at = this.numberOf(first.cell)
      if (at <= first.at) return first.cell
      pop(this.heap)
      first.at = at
      push(this.heap, first)
    }
    return undefined
  }
}

export class Candidates implements Settles {
  private readonly byEnd: Order
  /** Absent where only keys that are fresh may go, or the kernel has no `rank`: then the ends are the ranks. */
  private readonly byRank: Order | undefined
  private readonly evicts: boolean
  private readonly aside = new Set<BoundedCell>()
  private asideFor: Touched | undefined = undefined

  constructor(
    evicts: boolean,
    endOf: (cell: BoundedCell) => number,
    rankOf: ((cell: BoundedCell) => number) | undefined
  ) {
    this.evicts = evicts
    this.byEnd = new Order(endOf)
    this.byRank = evicts && rankOf !== undefined ? new Order(rankOf) : undefined
  }

  cell(value: unknown, key: string): BoundedCell {
    return new BoundedCell(value, key, this, this.byRank !== undefined)
  }

  /** Puts the cell where it belongs, after all that may have changed that. */
  settle(cell: BoundedCell): void {
    if (cell.gone) return
    if (cell.inUse) return this.leave(cell)
    this.aside.delete(cell)
    this.byEnd.enter(cell.byEnd)
    if (cell.byRank !== undefined) this.byRank!.enter(cell.byRank) // it has one where there is the order
  }

  /** The key is forgotten. */
  drop(cell: BoundedCell): void {
    this.leave(cell)
    cell.gone = true
  }

  private leave(cell: BoundedCell): void {
    this.aside.delete(cell)
    this.byEnd.leave(cell.byEnd)
    if (cell.byRank !== undefined) this.byRank!.leave(cell.byRank) // as above
  }

  /** The free cell to go first: one that is fresh at `now`; else, where new keys make known ones go, that of the lowest rank. */
  next(now: number, touched: Touched | undefined): BoundedCell | undefined {
    this.takeBack(touched)
    for (;;) {
      const fresh = this.byEnd.first(now)
      const cell = fresh ?? (this.evicts ? this.lowest() : undefined)
      if (cell === undefined || touched?.has(cell) !== true) return cell
      this.leave(cell)
      this.aside.add(cell)
    }
  }

  /** A rank of `Infinity` says never. An end of `Infinity` only says that the key is not forgotten without need. */
  private lowest(): BoundedCell | undefined {
    return this.byRank === undefined ? this.byEnd.first(Infinity) : this.byRank.first(Number.MAX_VALUE)
  }

  /** What one transaction has touched may go for the next one, and for itself once it has begun anew. */
  private takeBack(touched: Touched | undefined): void {
    const [first] = this.aside
    if (first !== undefined && (touched !== this.asideFor || touched?.has(first) !== true)) {
      for (const cell of Array.from(this.aside)) this.settle(cell)
    }
    this.asideFor = touched
  }
}
