/** The laws of effect-resilience-testing, run on the store of this process. */
import { describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import * as StoreLaws from "effect-resilience-testing/StoreLaws"
import { Store } from "../../src/index.ts"

/** `LAWS_SEED` repeats a run. */
const seed = process.env["LAWS_SEED"] ?? Effect.runSync(Random.nextInt)

describe(`the laws of stores hold in memory (LAWS_SEED=${seed})`, () => {
  for (const { check, name } of StoreLaws.laws({ layer: Store.layerMemory, seed, boundsKeys: true })) {
    it.effect(name, () => check)
  }
})
