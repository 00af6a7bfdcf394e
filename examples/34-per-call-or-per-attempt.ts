/** Per call or per attempt? Whether retries pay the limit, when more and more requests fail. */
import { Effect } from "effect"
import { Backoff, RateLimiter, Retry } from "effect-resilience"
import { Dependency, Simulation, Traffic } from "effect-resilience-testing"
import { table, tryEach } from "./choosing/study.ts"

// #region simulate
const run = (errorRate: number, admission: "call" | "attempt") =>
  Effect.map(
    Simulation.run({
      seed: 1,
      duration: "5 minutes",
      traffic: Traffic.poisson({ perSecond: 40 }),
      dependency: Dependency.make({ latency: Dependency.constant("50 millis"), errorRate }),
      policies: {
        admission,
        rateLimiter: RateLimiter.slidingWindow({ limit: 50, window: "1 second" }),
        retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.exponential({ base: "100 millis" }) })
      },
      without: false
    }),
    ({ with: { seconds, totals } }) => ({
      busiest: Math.max(...seconds.map(({ attempts }) => attempts)),
      succeeded: totals.successRate
    })
  )
// #endregion

const simulate = Effect.fnUntraced(function* (errorRate: number) {
  return { errorRate, call: yield* run(errorRate, "call"), attempt: yield* run(errorRate, "attempt") }
})

export const study = tryEach([0, 0.1, 0.2, 0.4, 0.6, 0.8], simulate, {
  question: "Per call or per attempt?",
  scene:
    '40 calls a second of up to 3 attempts, through slidingWindow({ limit: 50, window: "1 second" }), for 5 minutes',
  varied: { name: "requests that fail", of: ({ errorRate }) => `${Math.round(errorRate * 100)} %` },
  panels: [
    {
      title: "What the dependency sees in its busiest second",
      lines: [
        { name: "per call", of: ({ call }) => call.busiest, unit: "" },
        { name: "per attempt", of: ({ attempt }) => attempt.busiest, unit: "" }
      ]
    },
    {
      title: "Calls that succeeded",
      lines: [
        { name: "per call", of: ({ call }) => call.succeeded },
        { name: "per attempt", of: ({ attempt }) => attempt.succeeded }
      ]
    }
  ]
})

if (import.meta.main) console.log(table(await Effect.runPromise(study)))
