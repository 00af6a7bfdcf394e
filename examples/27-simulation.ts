/** A slow minute, simulated twice: with retries alone it never ends, with a circuit breaker it ends with the minute. */
import { writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { Backoff, CircuitBreaker, Retry } from "effect-resilience"
import { Dependency, Report, Simulation, Traffic } from "effect-resilience-testing"

// #region scenario
const retries = {
  attemptTimeout: "1 second",
  retry: Retry.policy({ maxAttempts: 4, backoff: Backoff.exponential({ base: "200 millis" }) })
} as const

export const simulation = Simulation.run({
  title: "A slow minute",
  seed: 1,
  duration: "5 minutes",
  traffic: Traffic.poisson({ perSecond: 50 }),
  dependency: Dependency.make({
    latency: Dependency.lognormal({ median: "80 millis", p99: "400 millis" }),
    capacity: { concurrency: 8, queue: 1_000 },
    outages: [{ from: "1 minute", to: "2 minutes", mode: "slow", factor: 4, recovery: "15 seconds" }]
  }),
  policies: {
    ...retries,
    circuitBreaker: CircuitBreaker.policy({
      tripPolicy: CircuitBreaker.failureRate({ threshold: 0.5, window: "10 seconds" }),
      openDuration: "10 seconds"
    })
  },
  without: retries
})
// #endregion

const tell = (name: string, { seconds, totals }: Report.Run) => {
  const lastMinute = seconds.slice(-60).reduce((sum, { succeeded }) => sum + succeeded, 0)
  console.log(`${name}: ${totals.succeeded} of ${totals.offered} calls succeeded, ${lastMinute} in the last minute`)
  console.log(`  ${totals.attempts} requests, ${totals.wasted} of them for callers who had gone`)
}

if (import.meta.main) {
  const report = await Effect.runPromise(simulation)
  tell("with a circuit breaker", report.with)
  if (report.without !== undefined) tell("with retries alone", report.without)

  const file = "effect-resilience-simulation.svg"
  writeFileSync(join(tmpdir(), file), Report.toSvg(report))
  console.log(`and a picture, ${file}`)
}
