/** Wait or refuse? A line helps against bursts, and not against too much. */
import { Effect } from "effect"
import { RateLimiter } from "effect-resilience"
import { Dependency, Simulation, Traffic } from "effect-resilience-testing"
import { table, tryEach } from "./choosing/study.ts"

// #region simulate
const run = (maxWait: number, perSecond: number) =>
  Effect.map(
    Simulation.run({
      seed: 1,
      duration: "5 minutes",
      traffic: Traffic.poisson({ perSecond }),
      dependency: Dependency.make({ latency: Dependency.constant("50 millis") }),
      policies: {
        rateLimiter: RateLimiter.tokenBucket({ limit: 50, window: "1 second", burst: 10, maxWait })
      },
      without: false
    }),
    ({ with: { totals } }) => ({
      refused: totals.refused / totals.offered,
      p99: totals.latency?.p99 ?? 0
    })
  )
// #endregion

const simulate = Effect.fnUntraced(function* (maxWait: number) {
  return { maxWait, bursts: yield* run(maxWait, 45), tooMuch: yield* run(maxWait, 65) }
})

export const study = tryEach([0, 50, 100, 250, 500, 1_000, 2_000], simulate, {
  question: "Wait or refuse?",
  scene: 'Calls at random, through tokenBucket({ limit: 50, window: "1 second", burst: 10, maxWait }), for 5 minutes',
  varied: { name: "maxWait, ms", of: ({ maxWait }) => String(maxWait) },
  panels: [
    {
      title: "Refused",
      lines: [
        { name: "45 calls a second", of: ({ bursts }) => bursts.refused },
        { name: "65 calls a second", of: ({ tooMuch }) => tooMuch.refused }
      ]
    },
    {
      title: "Time of the slowest hundredth",
      lines: [
        { name: "45 calls a second", of: ({ bursts }) => bursts.p99, unit: "ms" },
        { name: "65 calls a second", of: ({ tooMuch }) => tooMuch.p99, unit: "ms" }
      ]
    }
  ]
})

if (import.meta.main) console.log(table(await Effect.runPromise(study)))
