/**
 * The same, with up to 50 fibers whose turns are short and interleaved: the models are told of decisions in the order
 * of their commits, and everything is compared wherever it comes to rest.
 */
import { describe } from "@effect/vitest"
import { agrees, backoffs, interleaved, seed, settings } from "./sequences.ts"
import { expected } from "./tally.ts"

const all = { ...settings, backoff: backoffs }
const runs = {
  tokenBucket: 400,
  slidingWindow: 200,
  breaker: 500,
  bulkhead: 300,
  backoff: 800,
  pipeline: 1_200
} as const

describe(`up to 50 fibers, turn by turn (MODEL_SEED=${seed})`, () => {
  for (const [name, times] of Object.entries(runs)) {
    const length = name === "pipeline" ? 120 : 60
    const back = ["breaker", "bulkhead", "backoff"].includes(name) ? [] : ["given back"]
    const came = [...expected[name]!, ...back, "50 fibers"].filter((what) => what !== "forgotten" && what !== "evicted")
    agrees(`a ${name}`, interleaved(all[name as keyof typeof runs], length), times, came)
  }
})
