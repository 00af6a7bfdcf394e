/**
 * Every decision, refusal, event and view of the policies, against small models of them, over random commands one after
 * the other.
 */
import { describe } from "@effect/vitest"
import { agrees, seed, sequences, settings } from "./sequences.ts"
import { expected } from "./tally.ts"

const runs = {
  tokenBucket: 2_500,
  fixedWindow: 2_500,
  slidingWindow: 2_500,
  slidingLog: 2_500,
  breaker: 4_000,
  bulkhead: 2_000,
  pipeline: 4_000
}

describe(`commands one after the other (MODEL_SEED=${seed})`, () => {
  for (const [name, numbers] of Object.entries(settings)) {
    agrees(
      `a ${name} does what its model does`,
      sequences(numbers, 40),
      runs[name as keyof typeof runs],
      expected[name]!
    )
  }
})
