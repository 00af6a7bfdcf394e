/** Sequences that once failed, again. */
import { describe, it } from "@effect/vitest"
import { found, planted } from "./counterexamples.ts"
import { play } from "./play.ts"

for (const [what, sequences] of Object.entries({ found, planted })) {
  describe(`a sequence that once failed: ${what}`, () => {
    for (const [name, sequence] of Object.entries(sequences)) it(`${name}`, () => play(sequence))
  })
}
