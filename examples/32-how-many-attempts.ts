/** How many attempts? Once against errors that come by chance, once against a dependency that has too much to do. */
import { Effect } from "effect"
import { Backoff, CircuitBreaker, Retry } from "effect-resilience"
import { Dependency, Simulation, Traffic } from "effect-resilience-testing"
import { table, tryEach } from "./choosing/study.ts"

// #region scenes
const latency = Dependency.exponential({ mean: "100 millis" })

/** One request in ten fails, whatever we do. */
const flaky = Dependency.make({ latency, errorRate: 0.1 })

/** It can do 200 requests a second, and is ten times slower for half a minute: then every retry is one more in its line. */
const overloaded = Dependency.make({
  latency,
  capacity: { concurrency: 20, queue: 500 },
  outages: [{ from: "1 minute", to: "90 seconds", mode: "slow", factor: 10 }]
})

const breaker = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.failureRate({ threshold: 0.5, window: "10 seconds" }),
  openDuration: "5 seconds"
})

const run = (maxAttempts: number, dependency: Dependency.Dependency, circuitBreaker?: CircuitBreaker.Policy<never>) =>
  Effect.map(
    Simulation.run({
      seed: 1,
      duration: "3 minutes",
      traffic: Traffic.poisson({ perSecond: 120 }),
      dependency,
      policies: {
        attemptTimeout: "1 second",
        retry: Retry.policy({ maxAttempts, backoff: Backoff.exponential({ base: "100 millis" }) }),
        circuitBreaker
      },
      without: false
    }),
    (report) => report.with.totals
  )
// #endregion

const simulate = Effect.fnUntraced(function* (attempts: number) {
  return {
    attempts,
    flaky: yield* run(attempts, flaky),
    overloaded: yield* run(attempts, overloaded),
    guarded: yield* run(attempts, overloaded, breaker)
  }
})

export const study = tryEach([1, 2, 3, 4, 6], simulate, {
  question: "How many attempts?",
  scene: "120 calls a second, for 3 minutes. Flaky: 10 % of requests fail. Overloaded: half a minute ten times slower",
  varied: { name: "maxAttempts", of: ({ attempts }) => String(attempts) },
  panels: [
    {
      title: "Calls that failed",
      lines: [
        { name: "flaky", of: ({ flaky }) => 1 - flaky.successRate },
        { name: "overloaded", of: ({ overloaded }) => 1 - overloaded.successRate },
        { name: "overloaded, with a breaker", of: ({ guarded }) => 1 - guarded.successRate, dashed: true }
      ]
    },
    {
      title: "Requests beyond the first of each call",
      lines: [
        { name: "flaky", of: ({ flaky }) => flaky.extraLoad },
        { name: "overloaded", of: ({ overloaded }) => overloaded.extraLoad },
        { name: "overloaded, with a breaker", of: ({ guarded }) => guarded.extraLoad, dashed: true }
      ]
    }
  ]
})

if (import.meta.main) console.log(table(await Effect.runPromise(study)))
