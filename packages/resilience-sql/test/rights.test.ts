/** What a role needs, and no more. */
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import { type AnySpace, Step, Store } from "effect-resilience/Store"
import { SqlStore } from "../src/index.ts"
import { clientOf } from "./servers.ts"
import { missing, skipped, usePostgres } from "./suite.ts"

vi.setConfig({ testTimeout: 120_000 })

const spaceOf = (name: string): AnySpace => ({
  name,
  kernel: fixedWindow,
  policy: { limit: 100_000, window: 2 ** 40 },
  keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity }
})
const take = (space: AnySpace, key: string) => new Step(space, key, { op: "take", cost: 1 } as never) // a limit's input

describe.skipIf(missing)(`the rights of a role of PostgreSQL${skipped}`, () => {
  const server = usePostgres()
  const role = (name: string, ...grants: ReadonlyArray<string>) => {
    server().now(`CREATE ROLE ${name} LOGIN; GRANT USAGE ON SCHEMA limits TO ${name}`)
    for (const grant of grants) server().now(`GRANT ${grant} ON limits.effect_resilience TO ${name}`)
    const client = clientOf(server().url.replace("tests@", `${name}@`), 4)
    return { client, store: Layer.provideMerge(SqlStore.layer({ table: "limits.effect_resilience" }), client) }
  }
  const owner = Layer.unwrap(Effect.sync(() => clientOf(server().url, 2)))
  const made = Effect.gen(function* () {
    const sql = yield* SqlClient
    yield* sql`CREATE SCHEMA IF NOT EXISTS limits`
    yield* SqlStore.migrate({ table: "limits.effect_resilience" })
  }).pipe(Effect.provide(owner))

  it.live("USAGE, SELECT, INSERT, UPDATE and DELETE are enough for all that a store does, and for migrate", () =>
    Effect.gen(function* () {
      yield* made
      const { store } = role("app", "SELECT, INSERT, UPDATE, DELETE")
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient
        assert.deepStrictEqual(yield* sql`SELECT has_schema_privilege('limits', 'CREATE') AS may`, [{ may: false }])
        yield* SqlStore.migrate({ table: "limits.effect_resilience" })
        const { clear, commit, read } = yield* Store
        const space = spaceOf("rights")
        yield* sql`INSERT INTO limits.effect_resilience VALUES ('ended', 'a', '', 0)`
        yield* Effect.forEach(
          Array.from({ length: 100 }).keys(),
          (i) => commit([take(space, `${i}`), take(spaceOf("more"), `${i}`)]),
          { concurrency: 4 }
        )
        assert.deepInclude((yield* read(space, "7")).state, { used: 1 })
        // locked, where it loses to another process three times
        let asked = 0
        const meddled: AnySpace = {
          ...space,
          kernel: {
            ...fixedWindow,
            step: (policy, state, input, now) => {
              if (++asked < 4) {
                server().now(`UPDATE limits.effect_resilience SET state = state || ' ' WHERE key = '"7"'`)
              }
              return fixedWindow.step(policy, state, input, now)
            }
          }
        }
        assert.isTrue((yield* commit([take(meddled, "7")])).allowed)
        assert.strictEqual(asked, 4)
        const ended = sql<{ readonly n: number }>`
          SELECT count(*)::int AS n FROM limits.effect_resilience WHERE space = 'ended'`
        const [left] = yield* Effect.repeat(Effect.delay(ended, "20 millis"), {
          until: ([row]) => row!.n === 0,
          times: 250
        })
        assert.strictEqual(left!.n, 0, "what had ended is swept")
        yield* clear(space)
        assert.isUndefined((yield* read(space, "7")).state)
      }).pipe(Effect.provide(store))
    })
  )

  for (const [right, fails] of [
    ["SELECT", "the layer"],
    ["INSERT", "a new key"],
    ["UPDATE", "a key"],
    ["DELETE", "clear"]
  ] as const) {
    it.live(`without ${right}, ${fails} fails`, () =>
      Effect.gen(function* () {
        yield* made
        const others = ["SELECT", "INSERT", "UPDATE", "DELETE"].filter((other) => other !== right)
        const { store } = role(`without_${right.toLowerCase()}`, others.join(", "))
        const all = Effect.gen(function* () {
          const { clear, commit } = yield* Store
          const space = spaceOf(`without ${right}`)
          const first = yield* Effect.exit(commit([take(space, "a")]))
          server().now(
            `INSERT INTO limits.effect_resilience SELECT '[2,"without ${right}","${fixedWindow.id}"]', '"b"', '', 0`
          )
          const second = yield* Effect.exit(commit([take(space, "b")]))
          const cleared = yield* Effect.exit(clear(space))
          return { "a new key": first, "a key": second, clear: cleared }
        }).pipe(Effect.provide(store))
        const exits = yield* Effect.exit(all)
        if (fails === "the layer")
          return assert.isTrue(Exit.isFailure(exits), "a store is built only where it can read")
        assert.isTrue(Exit.isSuccess(exits), String(exits))
        if (Exit.isSuccess(exits)) assert.include(String(exits.value[fails]), "StoreError")
      })
    )
  }

  it.live("a table is made only by a role that may, and one that may not is told", () =>
    Effect.gen(function* () {
      yield* made
      const { client } = role("maker")
      const migrate = SqlStore.migrate({ table: "limits.another" }).pipe(Effect.provide(client))
      const error = yield* Effect.flip(migrate)
      assert.include(String(error.reason.cause), "permission denied for schema limits")
      server().now("GRANT CREATE ON SCHEMA limits TO maker")
      yield* migrate
      yield* migrate
    })
  )
})
