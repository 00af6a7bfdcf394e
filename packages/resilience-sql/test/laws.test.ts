/** The laws of effect-resilience-testing, run on a real PostgreSQL. */
import { describe, it, vi } from "@effect/vitest"
import { Effect, Layer, Random } from "effect"
import * as StoreLaws from "effect-resilience-testing/StoreLaws"
import { SqlStore } from "../src/index.ts"
import { clientOf } from "./servers.ts"
import { missing, skipped, usePostgres } from "./suite.ts"

vi.setConfig({ testTimeout: 300_000 })
/** A busy machine is slow, and does not hang. */
const patience = "60 seconds"
/** `LAWS_SEED` repeats a run. */
const seed = process.env["LAWS_SEED"] ?? Effect.runSync(Random.nextInt)

describe.skipIf(missing)(`the laws of stores hold in PostgreSQL (LAWS_SEED=${seed})${skipped}`, () => {
  const server = usePostgres()
  const layer = Layer.unwrap(Effect.sync(() => SqlStore.layer().pipe(Layer.provide(clientOf(server().url)))))
  const unreachable = SqlStore.layer().pipe(Layer.provide(clientOf("postgres://tests@127.0.0.1:1/postgres")))
  for (const { check, name } of StoreLaws.laws({ layer, seed, shared: true, unreachable, patience, effort: 0.1 }))
    it.live(name, () => check)
})
