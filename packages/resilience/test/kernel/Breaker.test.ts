import { assert, describe, it } from "@effect/vitest"
import type { BreakerPolicy } from "../../src/kernel/Breaker.ts"
import * as Laws from "./breakerLaws.ts"

const lives = { policy: Laws.policy, commands: Laws.commands }
const options = { arbitrary: { runs: 300, size: 60 } }

describe("laws", () => {
  const laws = {
    "a step behaves as the step of the settled state, and settling composes over time": Laws.settles,
    "only legal moves, each told once, with growing generations": Laws.movesLegally,
    "a report with an unknown permit changes nothing": Laws.dropsUnknown,
    "a half-open period never lets more than its permitted probes through": Laws.boundsProbes,
    "retryAfter is exact, and no circuit refuses for ever": Laws.tellsRetryAfter,
    "a refusal leaves the very state it was given": Laws.refusesWithoutTrace,
    "a state survives serialisation": Laws.serialises,
    "a circuit that may be forgotten behaves like a new one": Laws.forgets,
    "a slow call counts once, in flight or at its end": Laws.countsSlowOnce
  }
  for (const [name, law] of Object.entries(laws)) {
    it.prop(name, lives, ({ policy, commands }) => law(policy, commands), options)
  }
})
