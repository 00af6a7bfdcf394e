/**
 * A simulation takes only traffic, errors and keys that its policies understand.
 */
import { RateLimiter, Resilience, Retry } from "effect-resilience"
import { Dependency, Simulation, Traffic } from "effect-resilience-testing"

class Busy {
  readonly _tag = "Busy"
}

const traffic = Traffic.constant({ perSecond: 1 })
const latency = Dependency.constant("80 millis")
const dependency = Dependency.make({ latency })
// => Dependency.Dependency<Dependency.DependencyError>

const busy = Dependency.make({ latency, error: () => new Busy() })
// => Dependency.Dependency<Busy>

const scene = { seed: 1, duration: "1 minute", traffic, dependency } as const
const tokenBucket = RateLimiter.tokenBucket({ limit: 10, window: "1 second" })
const every = RateLimiter.every({ user: tokenBucket, tenant: tokenBucket })
const retryBusy = Retry.policy({ maxAttempts: 2, while: (error: Busy) => error._tag === "Busy" })
class Payments extends Resilience.Service<Payments>()("app/Payments", { rateLimiter: every, retry: retryBusy }) {}

const report = Simulation.run({ ...scene, policies: { rateLimiter: tokenBucket } })
// => Effect<Report, never, never>

// error: 'rateLimter' does not exist in type
Simulation.run({ ...scene, policies: { rateLimter: tokenBucket } })

const keyed = Traffic.keyed(
  traffic,
  Traffic.keysFrom("of one tenant", (n) => ({ user: `u${n}`, tenant: "t" }))
)
// => Traffic.Traffic<{ user: string; tenant: string; }>

Simulation.run({ ...scene, traffic: keyed, dependency: busy, policies: Payments, watch: { user: "u1", tenant: "t" } })

// error: Type 'Traffic<string>' is not assignable to type 'Traffic<
Simulation.run({ ...scene, policies: { rateLimiter: every } })

// error: Type 'Dependency<DependencyError>' is not assignable to type 'Dependency<Busy>'
Simulation.run({ ...scene, policies: { retry: retryBusy } })

// error: Type 'number' is not assignable to type 'string'
Simulation.run({ ...scene, policies: {}, watch: 5 })

// error: 'factor' does not exist in type
Dependency.make({ latency, outages: [{ from: 0, to: 1, mode: "fails", factor: 2 }] })

export type Used = [typeof report, typeof keyed, typeof busy]
