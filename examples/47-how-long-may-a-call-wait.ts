/** How long may a call wait? Ten slots, twice the calls that they have room for, and a second for each call. */
import { Effect } from "effect"
import { Bulkhead } from "effect-resilience"
import { Dependency, Simulation, Traffic } from "effect-resilience-testing"
import { table, tryEach } from "./choosing/study.ts"

// #region simulate
/** A call ends after a second: by the timeout of its service, or by one that its caller sets around it. */
const run = (maxWait: number, by: { readonly service?: "1 second"; readonly caller?: "1 second" }) =>
  Effect.map(
    Simulation.run({
      seed: 1,
      duration: "2 minutes",
      traffic: Traffic.poisson({ perSecond: 130 }),
      patience: by.caller,
      dependency: Dependency.make({ latency: Dependency.lognormal({ median: "130 millis", p99: "420 millis" }) }),
      policies: { timeout: by.service, bulkhead: Bulkhead.policy({ maxConcurrent: 10, maxWait }) },
      without: false
    }),
    ({ with: { totals } }) => ({
      succeeded: totals.goodput,
      cutOff: totals.wasted / totals.attempts
    })
  )

const simulate = Effect.fnUntraced(function* (maxWait: number) {
  return {
    maxWait,
    service: yield* run(maxWait, { service: "1 second" }),
    caller: yield* run(maxWait, { caller: "1 second" })
  }
})
// #endregion

export const study = tryEach([0, 100, 250, 500, 750, 850, 1000], simulate, {
  question: "How long may a call wait?",
  scene: "130 calls a second for ten slots of 150 ms each, which is room for half of them. A call ends after 1 s",
  varied: { name: "maxWait, ms", of: ({ maxWait }) => String(maxWait) },
  panels: [
    {
      title: "Calls that succeed, in a second",
      lines: [
        { name: "by the service", of: ({ service }) => service.succeeded, unit: "" },
        { name: "by the caller", of: ({ caller }) => caller.succeeded, unit: "", dashed: true }
      ]
    },
    {
      title: "Requests that were cut off",
      lines: [
        { name: "by the service", of: ({ service }) => service.cutOff },
        { name: "by the caller", of: ({ caller }) => caller.cutOff, dashed: true }
      ]
    }
  ]
})

if (import.meta.main) console.log(table(await Effect.runPromise(study)))
