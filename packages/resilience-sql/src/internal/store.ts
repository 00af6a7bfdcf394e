/**
 * How a commit is made: look, decide, and write if all is still so.
 *
 * No lock is ever held while this process decides, so one that is paused there is in nobody's way. Who loses to others
 * again and again stands in line instead: it locks its rows, decides, and writes.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { StoreError } from "effect-resilience/Rejection"
import type { Committed, Step, Store } from "effect-resilience/Store"
import { type Decided, decide, placesOf, stateOf } from "./decide.ts"
import type { Change, Dialect, Look, Place } from "./dialect.ts"
import { nameOfKey, nameOfSpace } from "./names.ts"

/** How often a commit may lose to others before it stands in line. */
const PATIENCE = 3
/** How often the database may break off a transaction in favour of another. */
const RETRIES = 10
/** A sweep for so many rows written. It takes more than that, so the table does not grow. */
const SWEEP_EVERY = 64

const isAbsent = ({ new: next, old }: Change): boolean => old === null && next !== null

/** The database chose another transaction over this one. */
const isBrokenOff = (error: SqlError): boolean =>
  error.reason._tag === "DeadlockError" || error.reason._tag === "SerializationError"

export const makeStore = (sql: SqlClient, dialect: Dialect, scope: Scope.Scope): Store["Service"] => {
  let writes = 0
  let sweeping = false

  const sweep = Effect.suspend(() => {
    if (writes < SWEEP_EVERY || sweeping) return Effect.void
    writes = 0
    sweeping = true
    const ended = Effect.sync(() => (sweeping = false))
    return Effect.forkIn(Effect.ensuring(Effect.ignoreCause(dialect.sweep), ended), scope)
  })

  /** Writes what was decided. What is there instead, if that was decided on what is no more. */
  const write = ({ changes, now }: Decided): Effect.Effect<Look | undefined, SqlError> => {
    const absent = changes.filter(isAbsent)
    if (absent.length <= 1) return Effect.map(dialect.swap(changes), (swap) => (swap.ok ? undefined : swap))
    const claimed = changes.map((change) => (isAbsent(change) ? { ...change, old: "" } : change))
    return Effect.flatMap(dialect.claim(absent, now), () =>
      Effect.map(dialect.swap(claimed), (swap) => (swap.ok ? undefined : swap))
    )
  }

  const inTurn = (steps: ReadonlyArray<Step>, places: ReadonlyArray<Place>, now: number) =>
    sql.withTransaction(
      Effect.gen(function* () {
        yield* dialect.claim(places, now)
        const decided = decide(steps, places, yield* dialect.lock(places))
        if (decided.changes.length > 0) yield* write(decided)
        return decided
      })
    )

  const commit = Effect.fnUntraced(function* (steps: ReadonlyArray<Step>) {
    const places = placesOf(steps)
    let look = yield* dialect.look(places)
    for (let lost = 0; lost < PATIENCE; lost++) {
      const decided = decide(steps, places, look)
      if (decided.changes.length === 0) return decided
      const instead = yield* write(decided)
      // a refusal stands, whether or not it could be noted that the key was asked
      if (instead === undefined || !decided.allowed) return decided
      look = instead
    }
    return yield* inTurn(steps, places, look.now)
  })

  /** On a connection of its own: what the user's transaction does later, and when, is no business of others. */
  const alone = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.updateContext(self, (context: Context.Context<never>) => Context.omit(sql.transactionService)(context))

  const unavailable = (cause: unknown) => Effect.fail(new StoreError({ reason: "unavailable", cause }))

  const ask = <A>(question: Effect.Effect<A, SqlError>): Effect.Effect<A, StoreError> =>
    question.pipe(
      Effect.retry({ times: RETRIES, while: isBrokenOff }),
      Effect.catch(unavailable),
      // a connection that goes in the middle of a transaction cannot roll back, of which the client dies
      Effect.catchDefect((defect) => (isSqlError(defect) ? unavailable(defect) : Effect.die(defect))),
      alone
    )

  return {
    sync: undefined,
    commit: <const Steps extends ReadonlyArray<Step>>(steps: Steps) =>
      Effect.flatMap(ask(commit(steps)), ({ allowed, answers, changes, now }) => {
        writes += changes.length
        // the answers were produced by the kernels of these very steps
        return Effect.as(sweep, { allowed, answers, now } as unknown as Committed<Steps>)
      }),
    read: (space, key) => {
      const place = { i: 0, space: nameOfSpace(space), key: nameOfKey(key) }
      return Effect.map(ask(dialect.look([place])), ({ found, now }) => ({
        now,
        state: stateOf(found[0], now) as never // a row of this space holds states of its kernel
      }))
    },
    clear: (space) => ask(dialect.clear(nameOfSpace(space)))
  }
}
