/**
 * The statements for PostgreSQL. Each has one text whatever the number of rows, so each is prepared once a connection:
 * the rows come as one JSON parameter. All rely on `READ COMMITTED`, the default.
 */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Dialect, Found, Look } from "./dialect.ts"

/** How many rows one sweep takes, and for how long they must have ended: a key in use keeps its row. */
const SWEPT = 256
const GRACE = 60_000

/** With `i` null: the row that tells the time, and no more. */
type LookRow = { readonly now: number } & (Found | { readonly i: null })

/** The last row's time was read last, but the order of the rows is nobody's promise. */
const lookOf = (rows: ReadonlyArray<LookRow>): Look => ({
  now: Math.max(...rows.map(({ now }) => now)),
  found: rows.flatMap((row) => (row.i === null ? [] : [row]))
})

export const postgres = (sql: SqlClient, name: string): Dialect => {
  const table = sql(name)
  const index = `${name.split(".").at(-1)}_expires_at`
  // microseconds, as whole milliseconds in a double, which holds them exactly
  const clock = sql.literal("floor(extract(epoch FROM clock_timestamp()) * 1000)::float8")
  const looked = sql`
    found AS MATERIALIZED (SELECT count(*) FROM rows)
    SELECT rows.i, rows.state, rows.expires_at::float8 AS expires_at, ${clock} AS now
    FROM found LEFT JOIN rows ON true`
  const places = (text: string) => sql`json_to_recordset(${text}::text::json) AS place(i int, space text, key text)`
  const rows = (text: string) => sql`
    SELECT place.i, held.state, held.expires_at
    FROM ${places(text)} JOIN ${table} AS held USING (space, key)`

  return {
    migrate: sql.withTransaction(
      Effect.gen(function* () {
        // two processes that start at the same time: CREATE TABLE IF NOT EXISTS is not enough, both may try
        yield* sql`SELECT pg_advisory_xact_lock(hashtext(${name}))`
        // where it is made, nothing is asked of the role that only an owner may do: IF NOT EXISTS asks for that all the same
        const quoted = name.replaceAll(/[^.]+/g, '"$&"')
        const [made] = yield* sql<{ readonly table: boolean; readonly index: boolean }>`
          SELECT held.oid IS NOT NULL AS "table", EXISTS (
            SELECT FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
            WHERE indrelid = held.oid AND relname = ${index}
          ) AS "index"
          FROM to_regclass(${quoted}) AS held(oid)`
        if (!made!.table) {
          yield* sql`CREATE TABLE ${table} (
            space text COLLATE "C" NOT NULL,
            key text COLLATE "C" NOT NULL,
            state text NOT NULL,
            expires_at bigint,
            PRIMARY KEY (space, key)
          ) WITH (fillfactor = 80)` // room for the next version of a row beside it: no index is written then
        }
        if (!made!.index) yield* sql`CREATE INDEX ${sql(index)} ON ${table} (expires_at) WHERE expires_at IS NOT NULL`
      })
    ),

    check: Effect.asVoid(sql`SELECT space, key, state, expires_at FROM ${table} LIMIT 0`),

    look: (asked) =>
      Effect.map(sql<LookRow>`WITH rows AS MATERIALIZED (${rows(JSON.stringify(asked))}), ${looked}`, lookOf),

    lock: (asked) =>
      Effect.map(
        sql<LookRow>`WITH rows AS MATERIALIZED (
          ${rows(JSON.stringify(asked))} ORDER BY held.space, held.key FOR UPDATE OF held
        ), ${looked}`,
        lookOf
      ),

    claim: (asked, now) =>
      Effect.asVoid(sql`
        INSERT INTO ${table} (space, key, state, expires_at)
        SELECT space, key, '', ${now}::float8::bigint FROM ${places(JSON.stringify(asked))} ORDER BY space, key
        ON CONFLICT DO NOTHING`),

    // Rows that exist are locked, in order, and compared as they are then: FOR UPDATE reads what was committed last. If
    // all are right, the one that was absent is inserted, which fails if it is there by now; if that went well, the
    // others are updated. So all are written or none, with nothing to roll back.
    swap: (changes) =>
      Effect.map(
        sql<{ readonly ok: boolean }>`
          WITH asked AS MATERIALIZED (
            SELECT * FROM json_to_recordset(${JSON.stringify(changes)}::text::json)
              AS asked(i int, space text, key text, old text, new text, expires_at bigint)
          ), rows AS MATERIALIZED (
            SELECT asked.i, held.state
            FROM asked JOIN ${table} AS held USING (space, key)
            ORDER BY held.space, held.key FOR UPDATE OF held
          ), same AS MATERIALIZED (
            SELECT NOT EXISTS (
              SELECT FROM asked LEFT JOIN rows USING (i) WHERE asked.old IS DISTINCT FROM rows.state
            ) AS ok
          ), added AS (
            INSERT INTO ${table} (space, key, state, expires_at)
            SELECT asked.space, asked.key, asked.new, asked.expires_at
            FROM asked, same WHERE same.ok AND asked.old IS NULL AND asked.new IS NOT NULL
            ON CONFLICT DO NOTHING RETURNING 1
          ), written AS MATERIALIZED (
            SELECT same.ok AND (SELECT count(*) FROM added) =
              (SELECT count(*) FROM asked WHERE old IS NULL AND new IS NOT NULL) AS ok
            FROM same
          ), changed AS (
            UPDATE ${table} AS held SET state = asked.new, expires_at = asked.expires_at
            FROM asked, written
            WHERE written.ok AND asked.old IS NOT NULL AND asked.new IS NOT NULL
              AND held.space = asked.space AND held.key = asked.key
          )
          SELECT ok FROM written`,
        ([written]) => written!.ok // it is one row
      ),

    clear: (space) =>
      // in order, like all who lock
      Effect.asVoid(sql`
        DELETE FROM ${table} WHERE space = ${space} AND key IN (
          SELECT key FROM ${table} WHERE space = ${space} ORDER BY key FOR UPDATE
        )`),

    sweep: Effect.asVoid(sql`
      WITH ended AS MATERIALIZED (
        SELECT space, key FROM ${table} WHERE expires_at <= ${clock} - ${GRACE}::float8
        ORDER BY expires_at LIMIT ${SWEPT}::int FOR UPDATE SKIP LOCKED
      )
      DELETE FROM ${table} AS held USING ended WHERE held.space = ended.space AND held.key = ended.key`)
  }
}
