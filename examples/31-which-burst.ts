/** Which burst? The same traffic meets token buckets that differ in nothing else. */
import { Effect } from "effect"
import { RateLimiter } from "effect-resilience"
import { Dependency, Simulation, Traffic } from "effect-resilience-testing"
import { table, tryEach } from "./choosing/study.ts"

// #region simulate
const simulate = (burst: number) =>
  Effect.map(
    Simulation.run({
      seed: 1,
      duration: "10 minutes",
      traffic: Traffic.poisson({ perSecond: 8 }),
      dependency: Dependency.make({ latency: Dependency.constant("50 millis") }),
      policies: { rateLimiter: RateLimiter.tokenBucket({ limit: 10, window: "1 second", burst }) },
      without: false
    }),
    ({ with: { seconds, totals } }) => ({
      burst,
      refused: totals.refused / totals.offered,
      busiest: Math.max(...seconds.map(({ attempts }) => attempts))
    })
  )
// #endregion

export const study = tryEach([1, 2, 3, 5, 7, 10, 15, 20, 30], simulate, {
  question: "Which burst?",
  scene: '8 calls a second, at random, through tokenBucket({ limit: 10, window: "1 second", burst }), for 10 minutes',
  varied: { name: "burst", of: ({ burst }) => String(burst) },
  panels: [
    { title: "What callers feel", lines: [{ name: "refused", of: ({ refused }) => refused }] },
    {
      title: "What the dependency feels",
      lines: [{ name: "busiest second", of: ({ busiest }) => busiest, unit: "calls" }]
    }
  ]
})

if (import.meta.main) console.log(table(await Effect.runPromise(study)))
