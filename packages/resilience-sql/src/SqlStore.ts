/**
 * Keeps the state of limits and circuits in a table of PostgreSQL, so that all processes share it.
 *
 * Take it where there is a PostgreSQL and no Redis, and some hundreds of admissions a second are enough. An admission
 * takes two trips to the database, whatever number of keys and policies it has: one to look, one to write what was
 * decided. A refusal takes one. Times are the database's, so the clocks of the processes mean nothing.
 *
 * **Example** (One limit for all processes)
 *
 * ```ts
 * import { PgClient } from "@effect/sql-pg"
 * import { Effect, Layer, Redacted } from "effect"
 * import { RateLimiter, Resilience } from "effect-resilience"
 * import { SqlStore } from "effect-resilience-sql"
 *
 * class Mail extends Resilience.Service<Mail>()("app/Mail", {
 *   rateLimiter: RateLimiter.tokenBucket({ limit: 100, window: "1 minute" })
 * }) {}
 *
 * const Database = PgClient.layer({ url: Redacted.make("postgres://app@127.0.0.1:5432/app"), maxConnections: 4 })
 *
 * const StoreLive = SqlStore.layer().pipe(
 *   Layer.provide(Layer.effectDiscard(SqlStore.migrate())), // first: the layer fails where the table is missing
 *   Layer.provide(Database)
 * )
 *
 * const MailLive = Mail.layerFromStore.pipe(Layer.provide(StoreLive))
 *
 * const program = Mail.resilient(Effect.log("sent"), "user:1").pipe(Effect.provide(MailLive))
 * ```
 *
 * **Details**
 *
 * `migrate` makes the one table. Its columns: `space` (the version of this layout, the name of the limit or circuit, and
 * the id and version of its kernel, as JSON), `key` (the key as JSON, a name longer than 1,000 characters by its SHA-256),
 * `state`, and `expires_at` (Unix time in milliseconds, null for a state without an end; where it is ahead, rounded up to
 * 10 seconds, so that most updates touch no index). Ended rows are deleted a few at a time, a minute later at the earliest,
 * by the commits that write. The table may be emptied or dropped at any time: an absent row means a key that is not used.
 *
 * `state` is a list as JSON, of a `[policy, at, ends, state]` for each policy that wrote there, the last four at most, the
 * last writer first: the policy's numbers, when it wrote, when its state may be forgotten (null for never), and the state.
 * So two versions of a service, as during a rolling deployment, decide each on their own state. A policy that has none yet
 * begins with what the last writer had used; `reset`, `isolate` and `close` drop the states of other policies.
 *
 * A row that cannot be read, since something else wrote there, is a `StoreError` with the reason `"damaged"` for the calls
 * that look at it, and for nothing else: `policies.store` says what it means for them, other keys are served in the same
 * trips, and it is no outage. With the default `onError` no call fails and nothing is logged: each process limits that key for
 * itself. No call overwrites it. `reset`, `isolate` and `close` of the key do; `reset` of a limiter without a key deletes all
 * its rows, that one too.
 * Readable means: states have the fields that their kernel begins with, of the same types; of our own kernels those alone,
 * with whole numbers from 0 to 2^53, of a kernel of yours with any finite numbers and any more fields. A row whose
 * `expires_at` is over is absent, whatever is in it.
 *
 * No lock is held while a process decides. A commit writes in one statement, which locks its rows in the order of their
 * keys and writes only where all are as it had found them; one that lost to others three times in a row locks first.
 * Commits of this process that share a key go together, up to 128 in the same two trips, in the order of their arrival;
 * those that share none go side by side, on as many connections as the client has.
 *
 * **Rights**
 *
 * A role needs `USAGE` on the schema and `SELECT, INSERT, UPDATE, DELETE` on the table. `migrate` needs `CREATE` on the
 * schema as well, but only where the table is not there yet:
 *
 * ```sql
 * GRANT USAGE ON SCHEMA app TO program;
 * GRANT SELECT, INSERT, UPDATE, DELETE ON app.effect_resilience TO program;
 * ```
 *
 * **Gotchas**
 *
 * A commit uses a connection of its own, also inside `sql.withTransaction`: what was admitted there stays spent when that
 * transaction rolls back, and the rows are not locked until it ends. So give the store a client of its own: where
 * transactions hold all connections of a pool, an admission inside one waits for another to end.
 *
 * `maxKeys` and `overflow` mean nothing here: the table holds what has not ended.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { InvalidPolicyError } from "effect-resilience/Rejection"
import { Store } from "effect-resilience/Store"
import type { Dialect } from "./internal/dialect.ts"
import { postgres } from "./internal/postgres.ts"
import { makeStore } from "./internal/store.ts"

/**
 * Which table.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Its name: ASCII letters, digits and underscores, at most 40 characters, behind a schema's name and a dot where it
   * is not in the search path. Default: "effect_resilience".
   */
  readonly table?: string | undefined
}

const part = "[A-Za-z_][A-Za-z0-9_]{0,39}"
const tableName = new RegExp(`^(${part}\\.)?${part}$`)

const dialectOf = (client: SqlClient, options: Options): Dialect => {
  const { table = "effect_resilience" } = options
  if (typeof table !== "string" || !tableName.test(table)) {
    const reason = "must be letters, digits and underscores, at most 40, behind a schema and a dot or not"
    throw new InvalidPolicyError({ module: "SqlStore", parameter: "table", value: table, reason })
  }
  const sql = client.withoutTransforms() // the names of the columns are ours
  return sql.onDialectOrElse({
    pg: () => postgres(sql, table),
    orElse: () => {
      const reason = "must be one of PostgreSQL"
      throw new InvalidPolicyError({ module: "SqlStore", parameter: "SqlClient", value: client.driver, reason })
    }
  })
}

/**
 * Makes the table and its index, if they are not there: only then it needs `CREATE` on the schema. To run where the program
 * starts, or as a migration of effect's `Migrator`; several processes may do it at once.
 *
 * **Example** (Among the migrations of the program)
 *
 * ```ts
 * import { PgMigrator } from "@effect/sql-pg"
 * import { SqlStore } from "effect-resilience-sql"
 *
 * const migrations = PgMigrator.layer({
 *   loader: PgMigrator.fromRecord({ "0001_effect_resilience": SqlStore.migrate() })
 * })
 * ```
 *
 * @category migrations
 * @since 0.1.0
 */
export const migrate = (options: Options = {}): Effect.Effect<void, SqlError, SqlClient> =>
  Effect.flatMap(SqlClient, (client) => dialectOf(client, options).migrate)

/**
 * A store in the table. Fails if the table is not there; a database that cannot be reached is no hindrance, since
 * `policies.store` says what that means for calls.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Effect.Effect<Store["Service"], SqlError, SqlClient | Scope.Scope> =>
  Effect.gen(function* () {
    const client = yield* SqlClient
    const dialect = dialectOf(client, options)
    yield* Effect.catchIf(
      dialect.check,
      (error) => error.isRetryable,
      () => Effect.void
    )
    return yield* makeStore(client, dialect)
  })

/**
 * Provides the store that services built with `layerFromStore` ask for.
 *
 * **Example** (Another table)
 *
 * ```ts
 * import { SqlStore } from "effect-resilience-sql"
 *
 * const StoreLive = SqlStore.layer({ table: "app.limits" })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Store, SqlError, SqlClient> =>
  Layer.effect(Store, make(options))
