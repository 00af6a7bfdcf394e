/**
 * The same, with up to 50 fibers whose turns are short and interleaved: the models are told of decisions in the order
 * of their commits, and everything is compared wherever it comes to rest.
 */
import { describe } from "@effect/vitest"
import { agrees, interleaved, seed, settings } from "./sequences.ts"

describe(`up to 50 fibers, turn by turn (MODEL_SEED=${seed})`, () => {
  agrees("a token bucket", interleaved(settings.tokenBucket, 60), 400)
  agrees("a sliding window", interleaved(settings.slidingWindow, 60), 200)
  agrees("a breaker", interleaved(settings.breaker, 60), 500)
  agrees("a bulkhead", interleaved(settings.bulkhead, 60), 300)
  agrees("a pipeline", interleaved(settings.pipeline, 100), 1_200)
})
