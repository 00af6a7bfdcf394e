/** Tests that need a PostgreSQL: `describe.skipIf(missing)(`...${skipped}`, () => { const server = usePostgres() ... })`. */
import { afterAll, beforeAll } from "@effect/vitest"
import { Effect } from "effect"
import { SqlStore } from "../src/index.ts"
import { clientOf, missing as reason, Postgres } from "./servers.ts"

export const missing = reason !== undefined

/** Where there is no PostgreSQL, what is skipped says so in its name. */
export const skipped = reason === undefined ? "" : ` (SKIPPED: ${reason})`

/** One server for the suite, with the table in it. */
export const usePostgres = (): (() => Postgres) => {
  let server: Postgres | undefined
  beforeAll(async () => {
    server = await Postgres.start()
    await Effect.runPromise(Effect.provide(SqlStore.migrate(), clientOf(server.url)))
  }, 120_000)
  afterAll(() => server?.stop())
  return () => server!
}
