/** The statements, at the moments when another connection holds a row. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { Change } from "../src/internal/dialect.ts"
import { postgres } from "../src/internal/postgres.ts"
import { clientOf } from "./servers.ts"
import { missing, skipped, usePostgres } from "./suite.ts"

describe.skipIf(missing)(`the statements for PostgreSQL${skipped}`, () => {
  const server = usePostgres()
  const client = Layer.unwrap(Effect.sync(() => clientOf(server().url)))

  const table = "effect_resilience"
  const change = (key: string, old: string | null, next: string | null): Change => ({
    i: Number(key),
    space: "s",
    key,
    old,
    new: next,
    expires_at: null
  })
  /** Rows 0, 1, ... with these states, and nothing else. */
  const given = (...states: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      yield* sql`TRUNCATE effect_resilience`
      // the last first: where no order is asked for, rows often come as they were inserted
      for (const [i, state] of Array.from(states.entries()).toReversed()) {
        yield* sql`INSERT INTO effect_resilience VALUES ('s', ${String(i)}, ${state}, NULL)`
      }
      const rows = sql<{ readonly state: string }>`SELECT state FROM effect_resilience ORDER BY key`
      return {
        sql,
        dialect: postgres(sql, table),
        states: Effect.map(rows, (all) => all.map(({ state }) => state))
      }
    })
  /** Somebody waits for a lock. Asked on a connection outside of any transaction. */
  const waiting = Effect.gen(function* () {
    const sql = yield* SqlClient
    const query = sql<{ readonly n: number }>`SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted`
    const [row] = yield* Effect.repeat(Effect.delay(query, "10 millis"), {
      until: ([row]) => row!.n > 0,
      times: 500
    })
    assert.isAbove(row!.n, 0, "nobody waits")
  }).pipe(Effect.provide(Layer.fresh(client)))

  it.live("a swap that waited for a row compares it as it is then, and writes nothing if it is another", () =>
    Effect.gen(function* () {
      const { dialect, sql, states } = yield* given("a", "b", "c")
      const changes = [change("0", "a", "A"), change("1", "b", "B"), change("3", null, "D")]
      for (const [left, ok] of [
        ["b", true],
        ["x", false]
      ] as const) {
        yield* given("a", "b", "c")
        const swap = yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`UPDATE effect_resilience SET state = ${left} WHERE key = '1'`
            const swap = yield* Effect.forkDetach(Effect.provide(dialectSwap(changes), Layer.fresh(client)))
            yield* waiting
            return swap
          })
        )
        assert.strictEqual(yield* Fiber.join(swap), ok)
        assert.deepStrictEqual(yield* states, ok ? ["A", "B", "c", "D"] : ["a", "x", "c"])
      }
      assert.isFalse(yield* dialect.swap([change("0", "other", "A"), change("2", "c", "C")]))
      assert.deepStrictEqual(yield* states, ["a", "x", "c"])
    }).pipe(Effect.provide(client))
  )

  const dialectSwap = (changes: ReadonlyArray<Change>) =>
    Effect.flatMap(SqlClient, (sql) => postgres(sql, table).swap(changes))

  it.live("a swap that inserts a row at the same time as another writes nothing", () =>
    Effect.gen(function* () {
      const { sql, states } = yield* given("a")
      const swap = yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`INSERT INTO effect_resilience VALUES ('s', '1', 'first', NULL)`
          const changes = [change("0", "a", "A"), change("1", null, "second")]
          const swap = yield* Effect.forkDetach(Effect.provide(dialectSwap(changes), Layer.fresh(client)))
          yield* waiting
          return swap
        })
      )
      assert.isFalse(yield* Fiber.join(swap))
      assert.deepStrictEqual(yield* states, ["a", "first"])
    }).pipe(Effect.provide(client))
  )

  it.live("what was only looked at must still be so, and is left as it is", () =>
    Effect.gen(function* () {
      const { dialect, states } = yield* given("a", "b")
      assert.isTrue(yield* dialect.swap([change("0", "a", "a"), change("1", "b", "B"), change("2", null, null)]))
      assert.deepStrictEqual(yield* states, ["a", "B"])
      assert.isFalse(yield* dialect.swap([change("0", null, null), change("1", "B", "C")]))
      assert.deepStrictEqual(yield* states, ["a", "B"])
    }).pipe(Effect.provide(client))
  )

  for (const how of ["swap", "lock", "clear"] as const) {
    it.live(`${how} takes its rows in the order of their keys, whatever order they are asked in`, () =>
      Effect.gen(function* () {
        const { sql, states } = yield* given("a", "b", "c")
        const asked = [change("2", "c", "C"), change("1", "b", "B"), change("0", "a", "A")]
        const ask = Effect.gen(function* () {
          const dialect = postgres(yield* SqlClient, table)
          if (how === "swap") assert.isTrue(yield* dialect.swap(asked))
          else yield* how === "lock" ? dialect.lock(asked) : dialect.clear("s")
        }).pipe(Effect.provide(Layer.fresh(client)))
        const asking = yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`SELECT FROM effect_resilience WHERE key = '0' FOR UPDATE`
            const asking = yield* Effect.forkDetach(ask)
            yield* waiting
            // it waits for the first key, so it has none of the others
            yield* sql`SELECT FROM effect_resilience WHERE key IN ('1', '2') FOR UPDATE NOWAIT`
            return asking
          })
        )
        yield* Fiber.join(asking)
        const left = { swap: ["A", "B", "C"], lock: ["a", "b", "c"], clear: [] }
        assert.deepStrictEqual(yield* states, left[how])
      }).pipe(Effect.provide(client))
    )
  }

  it.live("time is read after the rows are locked", () =>
    Effect.gen(function* () {
      const { sql } = yield* given("a")
      const lock = Effect.flatMap(SqlClient, (sql) => postgres(sql, table).lock([change("0", null, null)]))
      const { before, waited } = yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`SELECT FROM effect_resilience FOR UPDATE`
          const waited = yield* Effect.forkDetach(Effect.provide(lock, Layer.fresh(client)))
          yield* waiting
          yield* Effect.sleep("20 millis")
          const time = sql<{ readonly before: number }>`
            SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::float8 AS before`
          return { before: (yield* time)[0]!.before, waited }
        })
      )
      assert.isAtLeast((yield* Fiber.join(waited)).now, before)
    }).pipe(Effect.provide(client))
  )

  it.live("a claim makes rows that have ended, and leaves those that are there", () =>
    Effect.gen(function* () {
      const { dialect, states } = yield* given("a")
      yield* dialect.claim([change("0", null, null), change("1", null, null)], 5)
      assert.deepStrictEqual(yield* states, ["a", ""])
      const { found } = yield* dialect.look([change("1", null, null)])
      assert.deepInclude(found[0], { i: 1, state: "", expires_at: 5 })
    }).pipe(Effect.provide(client))
  )
})
