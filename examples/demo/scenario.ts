/**
 * What happens in both runs: who calls, how often, and what goes wrong at the upstream. Times are milliseconds since
 * the start of a run.
 */
import { Clock, Effect, Random } from "effect"

/** The upstream's documented limit: "at most 20 requests in any second, for all of your users together". */
export const LIMIT = 20

export interface Phase {
  readonly id: "healthy" | "limiting" | "slow" | "storm" | "dead" | "recovery"
  readonly from: number
  /** A name short enough to stand under the chart. */
  readonly short: string
  readonly title: string
  readonly says: string
}

export const phases: readonly [Phase, ...ReadonlyArray<Phase>] = [
  { id: "healthy", from: 0, short: "healthy", title: "HEALTHY", says: "the upstream answers within 50 ms" },
  {
    id: "limiting",
    from: 3_000,
    short: "limiting",
    title: "RATE LIMITING",
    says: "it takes half as much; gus starts an import"
  },
  { id: "slow", from: 5_500, short: "slow", title: "SLOW", says: "each answer takes 2 s" },
  { id: "storm", from: 7_500, short: "503", title: "503 STORM", says: "each answer is an error" },
  { id: "dead", from: 9_000, short: "dead", title: "DEAD SOCKET", says: "connections are dropped, or never answered" },
  { id: "recovery", from: 10_500, short: "repaired", title: "REPAIRED", says: "the fault is gone" }
]

export const phaseAt = (at: number): Phase => phases.findLast((phase) => phase.from <= at) ?? phases[0]

/** The outage: from the first 503 to the repair. */
export const OUTAGE = { from: 7_500, to: 10_500 }

/** Users call until then; calls still on their way may come in for a moment more. */
export const TRAFFIC_ENDS = 16_000
export const RUN_ENDS = 16_800

export interface User {
  readonly name: string
  /** Calls per second on an ordinary day. */
  readonly pace: number
  /** Calls per second during `RUSH`. */
  readonly rush: number
}

export const RUSH = { from: 3_000, to: 5_500 }

export const users: ReadonlyArray<User> = [
  { name: "ada", pace: 1, rush: 1 },
  { name: "ben", pace: 1.5, rush: 1.5 },
  { name: "cleo", pace: 2, rush: 2 },
  { name: "dan", pace: 2, rush: 2 },
  { name: "eve", pace: 2.5, rush: 2.5 },
  { name: "gus", pace: 4, rush: 25 }
]

/** The user who asks for more than his share. */
export const GREEDY = "gus"

export interface Arrival {
  readonly at: number
  readonly user: string
}

/** Every call of a run, in order. The seed makes it the same list for both runs, and for every demo. */
export const arrivals: Effect.Effect<ReadonlyArray<Arrival>> = Effect.gen(function* () {
  const plan: Array<Arrival> = []
  for (const user of users) {
    let at = ((yield* Random.next) * 1_000) / user.pace
    while (at < TRAFFIC_ENDS) {
      plan.push({ at, user: user.name })
      const rushing = at >= RUSH.from && at < RUSH.to
      at += ((0.7 + 0.6 * (yield* Random.next)) * 1_000) / (rushing ? user.rush : user.pace)
    }
  }
  return plan.sort((a, b) => a.at - b.at)
}).pipe(Random.withSeed("effect-resilience"))

/** Milliseconds since the stopwatch was made, from the clock that never steps back. */
export type Stopwatch = () => number

export const makeStopwatch: Effect.Effect<Stopwatch> = Clock.clockWith((clock) =>
  Effect.sync(() => {
    const zero = clock.monotonicTimeNanosUnsafe()
    return () => Number(clock.monotonicTimeNanosUnsafe() - zero) / 1e6
  })
)
