/** Which threshold? Too low, and the circuit opens for nothing; too high, and it never notices half an outage. */
import { Effect } from "effect"
import { CircuitBreaker } from "effect-resilience"
import { Dependency, Simulation, Traffic } from "effect-resilience-testing"
import { table, tryEach } from "./choosing/study.ts"

// #region simulate
const simulate = (threshold: number) =>
  Effect.map(
    Simulation.run({
      seed: 1,
      duration: "30 minutes",
      traffic: Traffic.poisson({ perSecond: 20 }),
      dependency: Dependency.make({
        latency: Dependency.lognormal({ median: "50 millis", p99: "300 millis" }),
        errorRate: 0.05,
        outages: [
          { from: "10 minutes", to: "12 minutes", mode: "fails", share: 0.6 },
          { from: "20 minutes", to: "22 minutes", mode: "fails" }
        ]
      }),
      policies: {
        circuitBreaker: CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.failureRate({ threshold, window: "10 seconds", minimumCalls: 20 }),
          openDuration: "5 seconds"
        })
      },
      without: false
    }),
    ({ with: { seconds } }) => {
      const between = (from: number, to: number) => seconds.slice(from * 60, to * 60)
      const sum = (all: typeof seconds, of: (second: (typeof seconds)[number]) => number) =>
        all.reduce((total, second) => total + of(second), 0)
      const healthy = [...between(0, 10), ...between(13, 20), ...between(23, 30)]
      const requests = (from: number, to: number) =>
        sum(between(from, to), ({ attempts }) => attempts) / sum(between(from, to), ({ offered }) => offered)
      return {
        threshold,
        refusedForNothing: sum(healthy, ({ refused }) => refused) / sum(healthy, ({ offered }) => offered),
        half: requests(10, 12),
        whole: requests(20, 22)
      }
    }
  )
// #endregion

export const study = tryEach([0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9], simulate, {
  question: "Which threshold?",
  scene: "20 calls a second, 5 % of requests always fail. Two minutes in which 60 % more do, and two in which all do",
  varied: { name: "threshold", of: ({ threshold }) => `${Math.round(threshold * 100)} %` },
  panels: [
    {
      title: "While all is well",
      lines: [{ name: "refused for nothing", of: ({ refusedForNothing }) => refusedForNothing }]
    },
    {
      title: "Calls that still reached it",
      lines: [
        { name: "in half an outage", of: ({ half }) => half },
        { name: "in an outage", of: ({ whole }) => whole }
      ]
    }
  ]
})

if (import.meta.main) console.log(table(await Effect.runPromise(study)))
