/**
 * What the store asks of a database, in the words of a dialect.
 */
import type * as Effect from "effect/Effect"
import type { SqlError } from "effect/sql/SqlError"

/** Where the state of one step lives. `i` is the step's place in the commit. */
export interface Place {
  readonly i: number
  readonly space: string
  readonly key: string
}

/** A row as it was found. It may have ended: then it means nothing any more. */
export interface Found {
  readonly i: number
  readonly state: string
  /** Milliseconds of the database's clock, not before the end of any state in it; `null` where there is none. */
  readonly expires_at: number | null
}

/** What was found of the places that were asked for, and the database's time, read after that. */
export interface Look {
  readonly now: number
  readonly found: ReadonlyArray<Found>
}

/** One row of a commit, as it was and as it is to be. */
export interface Change extends Place {
  /** `null` for a row that was not there. */
  readonly old: string | null
  /** `null` where nothing is to be written, but what was found must still be so. */
  readonly new: string | null
  readonly expires_at: number | null
}

export interface Dialect {
  readonly migrate: Effect.Effect<void, SqlError>
  /** Fails where the table is missing, or is another one. */
  readonly check: Effect.Effect<void, SqlError>
  readonly look: (places: ReadonlyArray<Place>) => Effect.Effect<Look, SqlError>
  /** `look`, and nobody else writes these rows until the transaction ends. Locks in the order of the keys. */
  readonly lock: (places: ReadonlyArray<Place>) => Effect.Effect<Look, SqlError>
  /** Makes rows that have ended, where there are none: a row can be locked, and an absent one cannot. */
  readonly claim: (places: ReadonlyArray<Place>, now: number) => Effect.Effect<void, SqlError>
  /**
   * All changes or none, in one statement: none where a row is not as it had been found. At most one of them may be of a
   * row that was not there.
   */
  readonly swap: (changes: ReadonlyArray<Change>) => Effect.Effect<boolean, SqlError>
  readonly clear: (space: string) => Effect.Effect<void, SqlError>
  /** Takes a few of the rows that ended a while ago, and waits for nobody. */
  readonly sweep: Effect.Effect<void, SqlError>
}
