/**
 * How commits are made: look, decide, and write if all is still so.
 *
 * No lock is ever held while this process decides, so one that is paused there is in nobody's way. Commits that share a
 * row go together, and so do not lose to each other. Who loses to other processes again and again locks first, and
 * then looks.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import { isSqlError, SerializationError, SqlError } from "effect/sql/SqlError"
import { StoreError } from "effect-resilience/Rejection"
import * as RemoteStore from "effect-resilience/RemoteStore"
import type { Committed, Step } from "effect-resilience/Store"
import { type Decided, Draft, stateIn } from "./decide.ts"
import type { Change, Dialect, Look, Place } from "./dialect.ts"
import { type Entry, Line } from "./line.ts"
import { nameOfKey, nameOfSpace } from "./names.ts"

/** How often a batch may lose to other processes before it locks. */
const PATIENCE = 3
/** How often the database may break off a transaction in favour of another. */
const RETRIES = 10
/** A sweep for so many rows written. It takes more than that, so the table does not grow. */
const SWEEP_EVERY = 64

interface Answer extends Decided {
  readonly now: number
}
/** A kernel that throws is its caller's own bug, and a row that cannot be read is the error of those who look at it. */
type Outcome = Exit.Exit<Answer, StoreError>

const isAbsent = ({ new: next, old }: Change): boolean => old === null && next !== null

/** The database chose another transaction over this one. */
const isBrokenOff = (error: SqlError): boolean =>
  error.reason._tag === "DeadlockError" || error.reason._tag === "SerializationError"

/** A row that had ended went between claim and lock: so seldom that beginning again is the remedy. */
const swept = new SqlError({ reason: new SerializationError({ cause: "swept", message: "A row was swept" }) })

const unavailable = (cause: unknown) => Effect.fail(new StoreError({ reason: "unavailable", cause }))

const asked = <A>(question: Effect.Effect<A, SqlError>): Effect.Effect<A, StoreError> =>
  question.pipe(
    Effect.retry({ times: RETRIES, while: isBrokenOff }),
    Effect.catch(unavailable),
    // a connection that goes in the middle of a transaction cannot roll back, of which the client dies
    Effect.catchDefect((defect) => (isSqlError(defect) ? unavailable(defect) : Effect.die(defect)))
  )

/** Asks each commit in turn, on what those before it left. */
const decide = (draft: Draft, entries: ReadonlyArray<Entry<Answer>>): ReadonlyArray<Outcome> =>
  entries.map((entry) => {
    try {
      return Exit.map(draft.commit(entry), (decided) => ({ ...decided, now: draft.now }))
    } catch (defect) {
      return Exit.die(defect)
    }
  })

const placeOf = ({ key, space }: Pick<Step, "key" | "space">) => ({ space: nameOfSpace(space), key: nameOfKey(key) })

export const makeStore = Effect.fnUntraced(function* (sql: SqlClient, dialect: Dialect) {
  // On connections of its own: what a user's transaction does later, and when, is no business of others.
  const context = Context.omit(sql.transactionService)(yield* Effect.context<never>())
  const alone = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.updateContext(self, (context: Context.Context<never>) => Context.omit(sql.transactionService)(context))
  const scope = yield* Effect.scope
  const running = new Set<Fiber.Fiber<unknown, unknown>>()
  yield* Scope.addFinalizer(
    scope,
    Effect.suspend(() => Fiber.interruptAll(running))
  )
  const fork = <E>(self: Effect.Effect<void, E>): Fiber.Fiber<void, E> => {
    const fiber = Effect.runForkWith(context)(self)
    running.add(fiber)
    fiber.addObserver(() => running.delete(fiber))
    return fiber
  }

  let written = 0
  let sweeping = false
  const wrote = (rows: number): void => {
    written += rows
    if (written < SWEEP_EVERY || sweeping) return
    written = 0
    sweeping = true
    fork(Effect.ignoreCause(dialect.sweep)).addObserver(() => (sweeping = false))
  }

  /** Whether it was written: not if the draft was made on what is no more. */
  const write = (changes: ReadonlyArray<Change>, now: number): Effect.Effect<boolean, SqlError> => {
    if (changes.length === 0) return Effect.succeed(true)
    const absent = changes.filter(isAbsent)
    if (absent.length <= 1) return dialect.swap(changes)
    const claimed = changes.map((change) => (isAbsent(change) ? { ...change, old: "" } : change))
    return Effect.andThen(dialect.claim(absent, now), dialect.swap(claimed))
  }

  const decideAll = Effect.fnUntraced(function* (entries: ReadonlyArray<Entry<Answer>>) {
    const places = new Map<string, Place>()
    for (const { rows, steps } of entries) {
      rows.forEach((name, i) => {
        if (!places.has(name)) places.set(name, { i: places.size, ...placeOf(steps[i]!) })
      })
    }
    const all = Array.from(places.values())
    const attempt = Effect.fnUntraced(function* (look: Look) {
      const draft = new Draft(places, look)
      const outcomes = decide(draft, entries)
      const { changes } = draft
      if (!(yield* write(changes, draft.now))) return undefined
      wrote(changes.length)
      return outcomes
    })
    let now = 0
    for (let lost = 0; lost < PATIENCE; lost++) {
      const look = yield* dialect.look(all)
      const outcomes = yield* attempt(look)
      if (outcomes !== undefined) return outcomes
      now = look.now
    }
    const locked = Effect.andThen(dialect.claim(all, now), Effect.flatMap(dialect.lock(all), attempt))
    return (yield* sql.withTransaction(locked)) ?? (yield* Effect.fail(swept))
  })

  const line = new Line<Answer>((entries) =>
    fork(
      Effect.map(asked(decideAll(entries)), (outcomes) => {
        entries.forEach((entry, i) => entry.resume(outcomes[i]!))
      })
    )
  )

  return RemoteStore.make({
    commit: <const Steps extends ReadonlyArray<Step>>(steps: Steps) =>
      Effect.suspend(() => {
        const rows = steps.map((step) => {
          const { key, space } = placeOf(step)
          return `${space} ${key}`
        })
        // the answers are produced by the kernels of these very steps
        return line.join({ steps, rows }) as unknown as Effect.Effect<Committed<Steps>, StoreError>
      }),
    read: (space, key) =>
      Effect.flatMap(alone(asked(dialect.look([{ i: 0, ...placeOf({ space, key }) }]))), ({ found, now }) =>
        // a row of this space holds states of its kernel
        Exit.map(stateIn(space, found[0], now), (state) => ({ now, state: state as never }))
      ),
    clear: (space) => alone(asked(dialect.clear(nameOfSpace(space))))
  })
})
