/** What is in the table, how many trips it takes, and whose connections they take. */
import { assert, describe, it, vi } from "@effect/vitest"
import { PgMigrator } from "@effect/sql-pg"
import { NodeServices } from "@effect/platform-node"
import { Effect, Layer, Tracer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { Rejection } from "effect-resilience"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import { type AnySpace, Step, Store } from "effect-resilience/Store"
import { SqlStore } from "../src/index.ts"
import { clientOf } from "./servers.ts"
import { missing, skipped, usePostgres } from "./suite.ts"

vi.setConfig({ testTimeout: 180_000 })

const AGES = 2 ** 40
const spaceOf = (name: string, limit = 10, idleTimeToLive = Infinity, window = AGES): AnySpace => ({
  name,
  kernel: fixedWindow,
  policy: { limit, window },
  keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive }
})
const take = (space: AnySpace, key: string, cost = 1) => new Step(space, key, { op: "take", cost } as never) // its input

/** A kernel whose states never end. */
const endless = (name: string, idleTimeToLive: number): AnySpace => ({
  ...spaceOf(name, 2, idleTimeToLive),
  kernel: { ...fixedWindow, id: "endless@1", expiresAt: () => undefined }
})

interface Row {
  readonly space: string
  readonly key: string
  readonly state: string
  readonly expires_at: number | null
}

describe.skipIf(missing)(`the store in PostgreSQL${skipped}`, () => {
  const server = usePostgres()
  const client = Layer.unwrap(Effect.sync(() => clientOf(server().url)))
  const both = Layer.provideMerge(SqlStore.layer(), client)
  const rows = Effect.gen(function* () {
    const sql = yield* SqlClient
    return yield* sql<Row>`SELECT space, key, state, expires_at::float8 FROM effect_resilience ORDER BY space, key`
  })
  const empty = Effect.flatMap(SqlClient, (sql) => sql`DELETE FROM effect_resilience`)

  /** Counts the statements, each of which is a trip. */
  let sent = 0
  const counted = Effect.provideService(
    Tracer.Tracer,
    Tracer.make({
      span: (options) => {
        if (options.kind === "client") sent++
        return new Tracer.NativeSpan(options)
      }
    })
  )
  const tripsOf = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const before = sent
      return Effect.map(self, () => sent - before)
    })

  it.live("an admission takes two trips, a refusal one, and two new keys at once a third", () =>
    Effect.gen(function* () {
      yield* empty
      const { commit, read } = yield* Store
      const [user, tenant] = [spaceOf("user", 3), spaceOf("tenant", 3)]
      assert.strictEqual(yield* tripsOf(commit([take(user, "a"), take(tenant, "a")])), 3)
      assert.strictEqual(yield* tripsOf(commit([take(user, "a"), take(tenant, "a")])), 2)
      assert.strictEqual(yield* tripsOf(commit([take(user, "b"), take(tenant, "a")])), 2)
      assert.strictEqual(yield* tripsOf(commit([take(user, "a"), take(tenant, "a")])), 1, "the tenant's is spent")
      assert.strictEqual(yield* tripsOf(commit([take(user, "a", 0)])), 1, "nothing is taken")
      assert.strictEqual(yield* tripsOf(read(user, "a")), 1)
    }).pipe(Effect.provide(both), counted)
  )

  it.live("a refusal leaves no row, and an admission one a key, which tells what it is", () =>
    Effect.gen(function* () {
      yield* empty
      const { commit } = yield* Store
      const full = spaceOf("full", 1)
      yield* commit([take(full, "a")])
      assert.isFalse((yield* commit([take(spaceOf("new"), "a"), take(full, "a")])).allowed)
      const { now } = yield* commit([take(spaceOf("mäx"), 'a\u0000"\ud800')])
      const start = Math.floor(now / AGES) * AGES
      const ends = start + AGES
      const expires_at = Math.ceil(ends / 10_000) * 10_000
      const all = yield* rows
      assert.deepStrictEqual(
        all.map(({ state: _, ...rest }) => rest),
        [
          { space: '[2,"full","fixed-window@2"]', key: '"a"', expires_at },
          { space: '[2,"m\\u00e4x","fixed-window@2"]', key: '"a\\u0000\\"\\ud800"', expires_at }
        ]
      )
      const policy = { limit: 10, window: AGES }
      assert.deepStrictEqual(JSON.parse(all[1]!.state), [[policy, now, ends, { start, used: 1 }]])
    }).pipe(Effect.provide(both))
  )

  it.live("a long name goes by its hash, and no key can be made to look like one", () =>
    Effect.gen(function* () {
      yield* empty
      const { commit } = yield* Store
      const space = spaceOf("s".repeat(5_000), 1)
      const long = "k".repeat(5_000)
      assert.isTrue((yield* commit([take(space, long)])).allowed)
      const [row] = yield* rows
      assert.match(row!.key, /^sha256:[0-9a-f]{64}$/)
      assert.match(row!.space, /^sha256:[0-9a-f]{64}$/)
      for (const other of [row!.key, `${long}k`, "k".repeat(4_999)]) {
        assert.isTrue((yield* commit([take(space, other)])).allowed, other)
        assert.isFalse((yield* commit([take(space, other)])).allowed, other)
      }
      const longest = "k".repeat(998) // 1,000 with its quotes
      yield* commit([take(space, longest)])
      assert.include(
        (yield* rows).map(({ key }) => key),
        JSON.stringify(longest)
      )
    }).pipe(Effect.provide(both))
  )

  it.live("a database of another encoding keeps every key apart", () =>
    Effect.gen(function* () {
      yield* Effect.provide(
        Effect.flatMap(
          SqlClient,
          (sql) => sql`CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`
        ),
        client
      )
      const latin = clientOf(server().url.replace(/postgres$/, "latin"))
      const layer = SqlStore.layer().pipe(Layer.provide(Layer.effectDiscard(SqlStore.migrate())), Layer.provide(latin))
      yield* Effect.gen(function* () {
        const { commit } = yield* Store
        const space = spaceOf("日本", 1)
        for (const key of ["日", "本", "?", "\ud800", "\udc00", "\u0000", "", "é", "e\u0301"]) {
          assert.isTrue((yield* commit([take(space, key)])).allowed, JSON.stringify(key))
          assert.isFalse((yield* commit([take(space, key)])).allowed, JSON.stringify(key))
        }
      }).pipe(Effect.provide(layer))
    })
  )

  it.live("rows that ended more than a minute ago are swept by commits, and no others", () =>
    Effect.gen(function* () {
      yield* empty
      const sql = yield* SqlClient
      const { commit } = yield* Store
      const { now } = yield* commit([])
      const insert = (key: string, ends: number | null) =>
        sql`INSERT INTO effect_resilience VALUES ('old', ${key}, '{}', ${ends}::float8::bigint)`
      for (let i = 0; i < 300; i++) yield* insert(`ended ${i}`, now - 61_000)
      yield* insert("just ended", now - 30_000)
      yield* insert("lives", now + 60_000)
      yield* insert("endless", null)
      const old = Effect.map(rows, (all) => all.filter(({ space }) => space === "old").map(({ key }) => key))
      const space = spaceOf("busy", 1_000)
      for (let i = 0; i < 64; i++) {
        assert.lengthOf(yield* old, 303, `after ${i} writes`)
        yield* commit([take(space, "a")])
      }
      // beside the commit, which does not wait for it
      yield* Effect.repeat(Effect.delay(old, "20 millis"), { until: (left) => left.length < 303, times: 250 })
      assert.lengthOf(yield* old, 303 - 256)
      for (let i = 0; i < 64; i++) yield* commit([take(space, "a")])
      yield* Effect.repeat(Effect.delay(old, "20 millis"), { until: (left) => left.length < 47, times: 250 })
      assert.deepStrictEqual(yield* old, ["endless", "just ended", "lives"])
    }).pipe(Effect.provide(both))
  )

  it.live("a sweep waits for nobody: a row that somebody holds stays", () =>
    Effect.gen(function* () {
      yield* empty
      const sql = yield* SqlClient
      const { commit } = yield* Store
      yield* sql`INSERT INTO effect_resilience VALUES ('old', 'held', '{}', 0), ('old', 'free', '{}', 0)`
      yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`SELECT FROM effect_resilience WHERE key = 'held' FOR UPDATE`
          for (let i = 0; i < 64; i++) yield* commit([take(spaceOf("busy", 1_000), "a")])
          const keys = Effect.map(rows, (all) => all.map(({ key }) => key))
          const left = yield* Effect.repeat(Effect.delay(keys, "20 millis"), {
            until: (left) => !left.includes("free"),
            times: 250
          })
          assert.deepStrictEqual(left, ['"a"', "held"])
        })
      )
    }).pipe(Effect.provide(both))
  )

  it.live("a state without an end goes when it was not used for a while, and a refusal is a use", () =>
    Effect.gen(function* () {
      yield* empty
      const { commit, read } = yield* Store
      const space = endless("idle", 4_000)
      const first = yield* commit([take(space, "a", 2)])
      const end = Effect.map(rows, ([row]) => JSON.parse(row!.state)[0][2] as number)
      assert.strictEqual(yield* end, first.now + 6_000)
      assert.strictEqual(yield* tripsOf(commit([take(space, "a")])), 1, "used a moment ago")
      let last = first.now
      for (let i = 0; i < 3; i++) {
        yield* Effect.sleep("2400 millis") // and with it the 4 s are not over, also on a busy machine
        const { allowed, now } = yield* commit([take(space, "a")])
        assert.isFalse(allowed, `${now - first.now} ms later, ${now - last} ms after its last use`)
        assert.isAtLeast((yield* end) - now, 4_000)
        last = now
      }
      yield* Effect.sleep("6100 millis")
      assert.isUndefined((yield* read(space, "a")).state)
      assert.isTrue((yield* commit([take(space, "a")])).allowed)
      const forever = endless("forever", Infinity)
      yield* commit([take(forever, "a")])
      assert.deepStrictEqual(
        (yield* rows).map(({ expires_at }) => expires_at === null),
        [true, false]
      )
    }).pipe(Effect.provide(both), counted)
  )

  it.live("inside the user's transaction the store is on its own: nothing is rolled back, and nothing is locked", () =>
    Effect.gen(function* () {
      yield* empty
      const sql = yield* SqlClient
      const { commit, read } = yield* Store
      const space = spaceOf("inside")
      yield* sql
        .withTransaction(
          Effect.gen(function* () {
            assert.isTrue((yield* commit([take(space, "a")])).allowed)
            // another connection can have the row while this transaction is open
            const other = commit([take(space, "a")]).pipe(Effect.provide(Layer.fresh(both)))
            assert.isTrue((yield* other).allowed)
            return yield* Effect.fail("rolled back")
          })
        )
        .pipe(Effect.flip)
      assert.strictEqual(((yield* read(space, "a")).state as { readonly used: number }).used, 2)
    }).pipe(Effect.provide(both))
  )

  it.live("what is forgotten inside the user's transaction stays forgotten when that is rolled back", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const { clear, commit, read } = yield* Store
      const space = spaceOf("cleared inside")
      yield* commit([take(space, "a")])
      yield* Effect.flip(sql.withTransaction(Effect.andThen(clear(space), Effect.fail("rolled back"))))
      assert.isUndefined((yield* read(space, "a")).state)
    }).pipe(Effect.provide(both))
  )

  it.live("calls that share a key go to the database together, and in the order of their arrival", () =>
    Effect.gen(function* () {
      const { commit } = yield* Store
      const space = spaceOf("together", 30)
      let all: ReadonlyArray<{ readonly allowed: boolean }> = []
      const commits = Array.from({ length: 50 }, () => commit([take(space, "a")]))
      const trips = yield* tripsOf(
        Effect.map(Effect.all(commits, { concurrency: "unbounded" }), (answers) => (all = answers))
      )
      assert.strictEqual(trips, 4, "two for the first, two for those that came meanwhile")
      assert.deepStrictEqual(
        all.map(({ allowed }) => allowed),
        Array.from({ length: 50 }, (_, i) => i < 30)
      )
    }).pipe(Effect.provide(both), counted)
  )

  it.live("commits that take the same keys in opposite orders, in several processes' pools, do not deadlock", () =>
    Effect.gen(function* () {
      const spaces = [spaceOf("z", 10_000), spaceOf("a", 10_000), spaceOf("m", 10_000)]
      const steps = (order: number) => {
        const turned = spaces.map((_, i) => take(spaces[(i + order) % 3]!, "hot"))
        return order % 2 === 0 ? turned : turned.toReversed()
      }
      const pool = (seed: number) =>
        Effect.gen(function* () {
          const { commit } = yield* Store
          const commits = Array.from({ length: 40 }, (_, i) => commit(steps(i + seed)))
          return yield* Effect.all(commits, { concurrency: "unbounded" })
        }).pipe(Effect.provide(Layer.fresh(both)))
      const all = (yield* Effect.forEach([0, 1, 2, 3], pool, { concurrency: "unbounded" })).flat()
      assert.isTrue(all.every(({ allowed }) => allowed))
      const { read } = yield* Store
      for (const space of spaces) assert.deepInclude((yield* read(space, "hot")).state, { used: 160 })
      assert.notInclude(server().log, "deadlock detected")
    }).pipe(Effect.provide(both))
  )

  describe("its table", () => {
    it.live("may be made again, by several at once, and as a migration", () =>
      Effect.gen(function* () {
        const many = Array.from({ length: 8 }, () => SqlStore.migrate({ table: "public.made_at_once" }))
        yield* Effect.all(many, { concurrency: "unbounded" })
        const loader = PgMigrator.fromRecord({ "0001_limits": SqlStore.migrate({ table: "Limits_2" }) })
        const run = Effect.provide(PgMigrator.run({ loader }), NodeServices.layer)
        yield* run
        yield* run
        for (const table of ["public.made_at_once", "Limits_2"]) {
          const { commit } = yield* Store.pipe(Effect.provide(Layer.fresh(SqlStore.layer({ table }))))
          assert.isTrue((yield* commit([take(spaceOf("a", 1), "a")])).allowed, table)
          assert.isFalse((yield* commit([take(spaceOf("a", 1), "a")])).allowed, table)
        }
      }).pipe(Effect.provide(client))
    )

    it.live("must be there: a store without it is not built", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.scoped(SqlStore.make({ table: "nowhere" })))
        assert.strictEqual(error._tag, "SqlError")
        assert.include(String(error.reason.cause), "nowhere")
      }).pipe(Effect.provide(client))
    )

    for (const table of ["", "1a", "a b", 'a"b', "a;b", "a.b.c", ".a", "a.", "ä", "a".repeat(41), 7, null]) {
      it.live(`is not called ${JSON.stringify(table)}`, () =>
        Effect.gen(function* () {
          const exit = yield* Effect.exit(SqlStore.migrate({ table: table as string })) // what a program without types may say
          assert.include(String(exit), "table")
          assert.include(String(exit), "InvalidPolicyError")
        }).pipe(Effect.provide(client))
      )
    }
  })
})

describe("a store on a database of another kind", () => {
  it.effect("is refused by name", () =>
    Effect.gen(function* () {
      const sqlite = {
        withoutTransforms: () => sqlite,
        driver: "sqlite-node",
        onDialectOrElse: (on: { readonly orElse: () => unknown }) => on.orElse()
      }
      const error = yield* SqlStore.migrate().pipe(
        Effect.provideService(SqlClient, sqlite as never), // no more of it is looked at
        Effect.catchDefect(Effect.succeed)
      )
      assert.instanceOf(error, Rejection.InvalidPolicyError)
      assert.include(String(error), "sqlite-node")
    })
  )
})
