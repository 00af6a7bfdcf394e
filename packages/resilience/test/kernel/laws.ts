/**
 * The laws of effect-resilience-testing, run on the kernels of this package.
 */
import { describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Random, Schema } from "effect"
import * as KernelLaws from "effect-resilience-testing/KernelLaws"

/** `LAWS_SEED` repeats a run; each suite has its seed in its name. */
const seed = process.env["LAWS_SEED"] === undefined ? Effect.runSync(Random.nextInt) : Number(process.env["LAWS_SEED"])
/** `LAWS_RUNS`: a factor. */
const effort = Number(process.env["LAWS_RUNS"] ?? 1)

export const int = (minimum: number, maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

export const limiterLaws = <Policy, State, Receipt>(
  specimen: KernelLaws.LimiterSpecimen<Policy, State, Receipt>
): void => {
  describe(`the laws of ${specimen.kernel.id} (LAWS_SEED=${seed})`, () => {
    for (const { check, name } of KernelLaws.limiter(specimen, { seed, effort })) it.effect(name, () => check)
  })
}
