/**
 * The order in which commits of this process go to the database. Those that share a row go together, in one batch, or one
 * batch after the other, in the order of their arrival; those that share none go side by side.
 *
 * Each row has a queue, and a commit stands in the queues of all its rows. It goes when it is the first in all of them and
 * none of the rows is with the database. So what it costs to come, to go and to leave does not grow with the queue.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { StoreError } from "effect-resilience/Rejection"
import type { Commit } from "./decide.ts"

/** A batch is one look and one write, so its size bounds how long these take. */
const LARGEST = 128

export class Entry<A> implements Commit {
  readonly steps: Commit["steps"]
  readonly rows: Commit["rows"]
  /** The number of its arrival. */
  readonly order: number
  private readonly tell: (exit: Exit.Exit<A, StoreError>) => void
  /** Its place in the queue of each of its rows, until it goes or leaves. */
  places: ReadonlyArray<Place<A>> = []
  batch: Batch<A> | undefined = undefined
  constructor({ rows, steps }: Commit, order: number, tell: (exit: Exit.Exit<A, StoreError>) => void) {
    this.steps = steps
    this.rows = rows
    this.order = order
    this.tell = tell
  }

  /** Never throws: what a caller makes of its answer is in no other caller's way. The process hears of it. */
  resume(exit: Exit.Exit<A, StoreError>): void {
    try {
      this.tell(exit)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }
}

interface Batch<A> {
  /** Those whose callers are still there. */
  readonly waiting: Set<Entry<A>>
  fiber: Fiber.Fiber<void, StoreError> | undefined
}

/** The entries that wait for one row, as a list that any of them can leave at once. */
class Queue<A> {
  readonly row: string
  first: Place<A> | undefined = undefined
  last: Place<A> | undefined = undefined
  /** Whether a batch has the row. */
  busy = false
  constructor(row: string) {
    this.row = row
  }
}

class Place<A> {
  readonly entry: Entry<A>
  readonly queue: Queue<A>
  before: Place<A> | undefined
  behind: Place<A> | undefined = undefined

  constructor(entry: Entry<A>, queue: Queue<A>) {
    this.entry = entry
    this.queue = queue
    this.before = queue.last
    if (queue.last === undefined) queue.first = this
    else queue.last.behind = this
    queue.last = this
  }

  leave(): void {
    const { before, behind, queue } = this
    if (before === undefined) queue.first = behind
    else before.behind = behind
    if (behind === undefined) queue.last = before
    else behind.before = before
  }
}

export class Line<A> {
  private readonly run: (entries: ReadonlyArray<Entry<A>>) => Fiber.Fiber<void, StoreError>
  /** Of the rows that an entry waits for, or a batch has. */
  private readonly queues = new Map<string, Queue<A>>()
  private arrivals = 0

  /** `run` resumes each entry, or fails for all. */
  constructor(run: (entries: ReadonlyArray<Entry<A>>) => Fiber.Fiber<void, StoreError>) {
    this.run = run
  }

  join(commit: Commit): Effect.Effect<A, StoreError> {
    return Effect.callback<A, StoreError>((resume) => {
      const entry = new Entry<A>(commit, this.arrivals++, resume)
      entry.places = Array.from(new Set(commit.rows), (row) => new Place(entry, this.queueOf(row)))
      if (mayGo(entry)) this.start(entry)
      return Effect.sync(() => this.leave(entry))
    })
  }

  private queueOf(row: string): Queue<A> {
    let queue = this.queues.get(row)
    if (queue === undefined) this.queues.set(row, (queue = new Queue(row)))
    return queue
  }

  private leave(entry: Entry<A>): void {
    const { batch } = entry
    if (batch !== undefined) {
      batch.waiting.delete(entry)
      if (batch.waiting.size === 0) batch.fiber?.interruptUnsafe()
      return
    }
    this.startFirst(this.take(entry)) // one behind it may be first in all its queues now
  }

  /** Out of all its queues. */
  private take(entry: Entry<A>): ReadonlyArray<Queue<A>> {
    const { places } = entry
    entry.places = []
    for (const place of places) place.leave()
    return places.map(({ queue }) => queue)
  }

  /** Starts those that can go of the first in some queues. */
  private startFirst(queues: Iterable<Queue<A>>): void {
    const orderOf = ({ first }: Queue<A>) => first?.entry.order ?? Infinity
    for (const queue of Array.from(queues).toSorted((a, b) => orderOf(a) - orderOf(b))) {
      const { busy, first, row } = queue
      if (first !== undefined) {
        if (mayGo(first.entry)) this.start(first.entry)
      } else if (!busy && this.queues.get(row) === queue) {
        this.queues.delete(row)
      }
    }
  }

  /** A batch of an entry that can go, and of those behind it that share a row with it, or with one of them. */
  private start(seed: Entry<A>): void {
    const batch: Batch<A> = { waiting: new Set(), fiber: undefined }
    const rows = new Set<Queue<A>>()
    /** Queues whose next may join: each once for each entry taken, so that none of them fills the batch alone. */
    const open: Array<Queue<A>> = []
    const add = (entry: Entry<A>): void => {
      entry.batch = batch
      batch.waiting.add(entry)
      for (const queue of this.take(entry)) {
        rows.add(queue)
        open.push(queue)
      }
    }
    add(seed)
    for (const { first } of open) {
      if (batch.waiting.size === LARGEST) break
      if (first !== undefined && mayGo(first.entry)) add(first.entry)
    }
    for (const queue of rows) queue.busy = true
    batch.fiber = this.run(Array.from(batch.waiting).toSorted((a, b) => a.order - b.order))
    batch.fiber.addObserver((exit) => {
      for (const queue of rows) queue.busy = false
      if (Exit.isFailure(exit)) for (const entry of batch.waiting) entry.resume(Exit.failCause(exit.cause))
      this.startFirst(rows)
    })
  }
}

/** Whether it is the first in all its queues, and no batch has one of the rows. */
const mayGo = <A>({ places }: Entry<A>): boolean =>
  places.every(({ before, queue }) => before === undefined && !queue.busy)
