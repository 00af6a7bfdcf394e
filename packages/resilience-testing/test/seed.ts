import { Effect, Random } from "effect"

/** `LAWS_SEED` repeats a run; each suite has its seed in its name. */
export const seed: number =
  process.env["LAWS_SEED"] === undefined ? Effect.runSync(Random.nextInt) : Number(process.env["LAWS_SEED"])
