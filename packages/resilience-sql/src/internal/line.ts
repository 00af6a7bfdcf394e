/**
 * Who goes to the database next. Commits of this process that share a row go together, in one batch, or one batch after
 * the other, in the order of their arrival; those that share none go side by side.
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
  readonly resume: (exit: Exit.Exit<A, StoreError>) => void
  batch: Batch<A> | undefined = undefined
  constructor(commit: Commit, resume: (exit: Exit.Exit<A, StoreError>) => void) {
    this.steps = commit.steps
    this.rows = commit.rows
    this.resume = resume
  }
}

interface Batch<A> {
  /** Those whose callers are still there. */
  readonly waiting: Set<Entry<A>>
  fiber: Fiber.Fiber<void, StoreError> | undefined
}

export class Line<A> {
  private readonly run: (entries: ReadonlyArray<Entry<A>>) => Fiber.Fiber<void, StoreError>
  private readonly busy = new Set<string>()
  private waiting: Array<Entry<A>> = []

  /** `run` resumes each entry, or fails for all. */
  constructor(run: (entries: ReadonlyArray<Entry<A>>) => Fiber.Fiber<void, StoreError>) {
    this.run = run
  }

  join(commit: Commit): Effect.Effect<A, StoreError> {
    return Effect.callback<A, StoreError>((resume) => {
      const entry = new Entry<A>(commit, resume)
      this.waiting.push(entry)
      this.pump()
      return Effect.sync(() => this.leave(entry))
    })
  }

  private leave(entry: Entry<A>): void {
    const { batch } = entry
    if (batch === undefined) {
      this.waiting = this.waiting.filter((other) => other !== entry)
      return this.pump() // whoever stood behind it may share nothing with the rest
    }
    batch.waiting.delete(entry)
    if (batch.waiting.size === 0) batch.fiber?.interruptUnsafe()
  }

  private pump(): void {
    for (;;) {
      const taken = this.take()
      if (taken.length === 0) return
      this.start(taken)
    }
  }

  /** The first that can go, and those that share a row with it, or with one of them. */
  private take(): ReadonlyArray<Entry<A>> {
    const blocked = new Set(this.busy)
    const taken: Array<Entry<A>> = []
    const rows = new Set<string>()
    const rest: Array<Entry<A>> = []
    for (const entry of this.waiting) {
      const joins = taken.length === 0 || entry.rows.some((row) => rows.has(row))
      const mayGo = taken.length < LARGEST && !entry.rows.some((row) => blocked.has(row))
      if (joins && mayGo) {
        taken.push(entry)
        for (const row of entry.rows) rows.add(row)
        continue
      }
      rest.push(entry)
      // nobody behind it overtakes it
      if (!mayGo) for (const row of entry.rows) blocked.add(row)
    }
    this.waiting = rest
    return taken
  }

  private start(entries: ReadonlyArray<Entry<A>>): void {
    const rows = new Set(entries.flatMap((entry) => entry.rows))
    const batch: Batch<A> = { waiting: new Set(entries), fiber: undefined }
    for (const row of rows) this.busy.add(row)
    for (const entry of entries) entry.batch = batch
    batch.fiber = this.run(entries)
    batch.fiber.addObserver((exit) => {
      for (const row of rows) this.busy.delete(row)
      if (Exit.isFailure(exit)) for (const entry of batch.waiting) entry.resume(Exit.failCause(exit.cause))
      this.pump()
    })
  }
}
