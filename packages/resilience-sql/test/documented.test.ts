/** The program that the docs show. */
import { assert, describe, it, vi } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { RateLimiter, Resilience } from "effect-resilience"
import { SqlStore } from "../src/index.ts"
import { clientOf } from "./servers.ts"
import { missing, skipped, usePostgres } from "./suite.ts"

vi.setConfig({ testTimeout: 120_000 })

// #region postgresql
class Mail extends Resilience.Service<Mail>()("app/Mail", {
  rateLimiter: RateLimiter.tokenBucket({ limit: 100, window: "1 hour" })
}) {}

const MailLive = (url: string) => {
  const Database = PgClient.layer({ url: Redacted.make(url), maxConnections: 4 })
  const StoreLive = SqlStore.layer().pipe(
    Layer.provide(Layer.effectDiscard(SqlStore.migrate())), // first: the layer fails where the table is missing
    Layer.provide(Database)
  )
  return Mail.layerFromStore.pipe(Layer.provide(StoreLive))
}
// #endregion

describe.skipIf(missing)(`what the docs show${skipped}`, () => {
  const server = usePostgres()

  it.live("makes its table in an empty database, and keeps its limit there", () =>
    Effect.gen(function* () {
      const empty = Effect.flatMap(SqlClient, (sql) => sql`CREATE DATABASE mail`)
      yield* Effect.provide(empty, clientOf(server().url))
      const url = server().url.replace(/postgres$/, "mail")
      yield* Mail.resilient(Effect.void, "ada").pipe(Effect.provide(MailLive(url)))
      const { rateLimiter } = yield* Mail.inspect("ada").pipe(Effect.provide(MailLive(url)))
      assert.strictEqual(rateLimiter?.remaining, 99)
    })
  )
})
