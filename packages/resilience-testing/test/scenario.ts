/** A scenario with something of everything: the same text must come out of every run of it, in every process. */
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Retry } from "effect-resilience"
import { Dependency, Simulation, Traffic } from "../src/index.ts"

export const everything = (seed: number | string) =>
  Simulation.run({
    title: "Everything at once",
    seed,
    duration: "90 seconds",
    traffic: Traffic.merge(
      Traffic.concat(
        Traffic.ramp({ from: 5, to: 60, over: "20 seconds", spacing: "poisson" }),
        Traffic.poisson({ perSecond: 60 })
      ).pipe(Traffic.keyed(Traffic.zipfKeys({ count: 8 }))),
      Traffic.bursts({ size: 60, every: "30 seconds" }).pipe(Traffic.keyed(Traffic.oneKey("job")))
    ),
    dependency: Dependency.make({
      latency: Dependency.lognormal({ median: 60, p99: 400 }),
      errorRate: 0.02,
      capacity: { concurrency: 12, queue: 60 },
      outages: [
        { from: "30 seconds", to: "45 seconds", mode: "slow", factor: 8, recovery: "5 seconds" },
        { from: "70 seconds", to: "75 seconds", mode: "hangs", share: 0.5 }
      ]
    }),
    patience: "4 seconds",
    policies: {
      timeout: "3 seconds",
      attemptTimeout: "1 second",
      circuitBreaker: CircuitBreaker.policy({
        tripPolicy: CircuitBreaker.failureRate({ threshold: 0.5, window: "5 seconds" }),
        openDuration: Backoff.exponential({ base: "3 seconds", cap: "10 seconds", jitter: "equal" })
      }),
      rateLimiter: RateLimiter.tokenBucket({ limit: 15, window: "1 second", burst: 30, maxWait: "500 millis" }),
      bulkhead: Bulkhead.policy({ maxConcurrent: 20, maxQueued: 5, maxWait: "200 millis" }),
      retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.exponential({ base: "100 millis" }) })
    }
  })
