/**
 * Random policies, random things that calls do, and random traffic against random dependencies, for property tests.
 *
 * Numbers are small and times short, so that a short test meets every edge: a burst of 3 is drained by four calls, a
 * circuit that opens for 200 ms is half-open soon. All shrink towards the simplest that still fails your test.
 *
 * **Example** (Whatever the policies, a success comes through unchanged)
 *
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { Resilience } from "effect-resilience"
 * import { Arbitraries } from "effect-resilience-testing"
 *
 * it.effect.prop("the first call passes", { policies: Arbitraries.policies }, ({ policies }) =>
 *   Effect.gen(function* () {
 *     const api = yield* Resilience.make("test/Api", policies)
 *     assert.strictEqual(yield* api.resilient(Effect.succeed(1), "key"), 1)
 *   })
 * )
 * ```
 *
 * **Example** (No call is lost)
 *
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { Retry } from "effect-resilience"
 * import { Arbitraries, Simulation } from "effect-resilience-testing"
 *
 * it.effect.prop(
 *   "every call ends somehow, or still runs",
 *   { traffic: Arbitraries.traffic, dependency: Arbitraries.dependency },
 *   ({ dependency, traffic }) =>
 *     Effect.gen(function* () {
 *       const report = yield* Simulation.run({
 *         seed: 1,
 *         duration: "1 minute",
 *         traffic,
 *         dependency,
 *         policies: { timeout: "5 seconds", retry: Retry.policy({ maxAttempts: 3 }) }
 *       })
 *       const { failed, gaveUp, offered, refused, running, succeeded, timedOut } = report.with.totals
 *       assert.strictEqual(offered, succeeded + failed + timedOut + refused + gaveUp + running)
 *     })
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Backoff from "effect-resilience/Backoff"
import * as Bulkhead from "effect-resilience/Bulkhead"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import type { Outcome } from "effect-resilience/Outcome"
import * as RateLimiter from "effect-resilience/RateLimiter"
import * as Retry from "effect-resilience/Retry"
import * as Dependency from "./Dependency.ts"
import * as Traffic from "./Traffic.ts"

const int = (minimum: number, maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** One of several, and shrinks towards the first. */
const pick = <A>(first: A, ...others: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(int(0, others.length), (i) => [first, ...others][i] ?? first)

const oneOf = <A>(
  first: Arbitrary.Arbitrary<A>,
  ...others: ReadonlyArray<Arbitrary.Arbitrary<A>>
): Arbitrary.Arbitrary<A> => Arbitrary.flatMap(pick(first, ...others), (arbitrary) => arbitrary)

/** Absent half of the time, and shrinks towards absent. */
const optional = <A>(arbitrary: Arbitrary.Arbitrary<A>): Arbitrary.Arbitrary<A | undefined> =>
  oneOf<A | undefined>(Arbitrary.Constant(undefined), arbitrary)

/** A wait, and how many may wait: none at all, or some of both. */
const waiting = Arbitrary.map(Arbitrary.all({ maxWait: int(0, 2_000), maxQueued: int(1, 5) }), (some) =>
  some.maxWait === 0 ? {} : some
)

/**
 * One limit of any kind, waiting or not: up to 10 units in up to 2 seconds.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const limit: Arbitrary.Arbitrary<RateLimiter.Limit> = Arbitrary.all({
  kind: pick("tokenBucket", "leakyBucket", "fixedWindow", "slidingWindow", "slidingLog"),
  limit: int(1, 10),
  window: int(10, 2_000),
  capacity: int(1, 10),
  slices: int(1, 10),
  waiting
}).pipe(
  Arbitrary.map(({ capacity, kind, limit, slices, waiting, window }) => {
    const rate = { limit, window, ...waiting }
    if (kind === "tokenBucket") return RateLimiter.tokenBucket({ ...rate, burst: capacity })
    if (kind === "leakyBucket") return RateLimiter.leakyBucket({ ...rate, capacity })
    if (kind === "fixedWindow") return RateLimiter.fixedWindow(rate)
    return kind === "slidingWindow" ? RateLimiter.slidingWindow({ ...rate, slices }) : RateLimiter.slidingLog(rate)
  })
)

/**
 * A backoff of any kind, from 1 millisecond up, capped at half a minute.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const backoff: Arbitrary.Arbitrary<Backoff.Backoff> = Arbitrary.all({
  kind: pick("constant", "exponential", "linear", "fibonacci", "decorrelated"),
  base: int(1, 1_000),
  cap: int(1_000, 30_000),
  factor: pick(2, 1, 1.5, 3),
  jitter: pick<Backoff.Jitter>("none", "full", "equal")
}).pipe(
  Arbitrary.map(({ base, cap, factor, jitter, kind }): Backoff.Backoff => {
    if (kind === "constant") return Backoff.constant({ delay: base, jitter })
    if (kind === "exponential") return Backoff.exponential({ base, cap, factor, jitter })
    if (kind === "linear") return Backoff.linear({ base, cap, jitter })
    return kind === "fibonacci" ? Backoff.fibonacci({ base, cap, jitter }) : Backoff.decorrelated({ base, cap })
  })
)

const window: Arbitrary.Arbitrary<CircuitBreaker.Window> = oneOf<CircuitBreaker.Window>(
  Arbitrary.map(int(2, 20), (calls) => ({ calls })),
  int(100, 5_000)
)

/**
 * When a circuit opens: failures in a row, so many in a span of time, a rate of failures or of slow calls, or any of two.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const tripPolicy: Arbitrary.Arbitrary<CircuitBreaker.TripPolicy> = Arbitrary.all({
  kind: pick("consecutive", "failures", "failureRate", "slowCallRate", "anyOf"),
  failures: int(1, 5),
  within: optional(int(100, 5_000)),
  threshold: pick(0.5, 0.1, 0.25, 0.9, 1),
  minimumCalls: int(1, 2),
  slowAfter: int(1, 1_000),
  window
}).pipe(
  Arbitrary.map(({ failures, kind, minimumCalls, slowAfter, threshold, window, within }) => {
    const consecutive = CircuitBreaker.consecutive(failures, { within })
    const rate = { threshold, minimumCalls, window }
    if (kind === "consecutive") return consecutive
    if (kind === "failures") return CircuitBreaker.failures({ count: failures, within: within ?? 1_000 })
    if (kind === "failureRate") return CircuitBreaker.failureRate(rate)
    const slow = CircuitBreaker.slowCallRate({ ...rate, slowAfter })
    return kind === "slowCallRate" ? slow : CircuitBreaker.anyOf(consecutive, slow)
  })
)

/**
 * A circuit breaker that opens for up to 5 seconds, or by a backoff, with up to 3 probes. One circuit for all keys.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const circuitBreaker: Arbitrary.Arbitrary<CircuitBreaker.Policy<never>> = Arbitrary.all({
  tripPolicy,
  openDuration: oneOf<number | Backoff.Backoff>(int(1, 5_000), backoff),
  permitted: int(1, 3),
  spare: int(0, 2)
}).pipe(
  Arbitrary.map(({ openDuration, permitted, spare, tripPolicy }) =>
    CircuitBreaker.policy({
      tripPolicy,
      openDuration,
      probes: { permitted, required: Math.max(1, permitted - spare) }
    })
  )
)

/**
 * A bulkhead of up to 5 slots, waiting or not.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const bulkhead: Arbitrary.Arbitrary<Bulkhead.Policy> = Arbitrary.map(
  Arbitrary.all({ maxConcurrent: int(1, 5), waiting }),
  ({ maxConcurrent, waiting }) => Bulkhead.policy({ maxConcurrent, ...waiting })
)

/**
 * Up to 5 attempts, with any backoff. What is left at the end is the last error.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const retry: Arbitrary.Arbitrary<Retry.Policy<unknown, "last">> = Arbitrary.map(
  Arbitrary.all({ maxAttempts: int(1, 5), backoff }),
  (options) => Retry.policy(options)
)

/**
 * What `policies` makes. Times are milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface RandomPolicies {
  readonly timeout: number | undefined
  readonly attemptTimeout: number | undefined
  readonly circuitBreaker: CircuitBreaker.Policy<never> | undefined
  readonly rateLimiter: RateLimiter.Limit | undefined
  readonly bulkhead: Bulkhead.Policy | undefined
  readonly retry: Retry.Policy<unknown, "last"> | undefined
  readonly admission: "call" | "attempt"
}

/**
 * A whole pipeline. Each policy is there or not, so an empty one comes up too. Its key is a string.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const policies: Arbitrary.Arbitrary<RandomPolicies> = Arbitrary.all({
  timeout: optional(int(1, 10_000)),
  attemptTimeout: optional(int(1, 5_000)),
  circuitBreaker: optional(circuitBreaker),
  rateLimiter: optional(limit),
  bulkhead: optional(bulkhead),
  retry: optional(retry),
  admission: pick<"call" | "attempt">("call", "attempt")
})

/**
 * What an effect does: after `millis` it succeeds, fails or dies; `never`: it hangs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Behaviour {
  readonly millis: number
  readonly ends: "success" | "failure" | "defect" | "never"
}

/**
 * What an effect does, as data. `run` makes an effect of it. Shrinks towards a success at once.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const behaviour: Arbitrary.Arbitrary<Behaviour> = Arbitrary.all({
  millis: oneOf(Arbitrary.Constant(0), int(0, 2_000)),
  ends: pick<Behaviour["ends"]>("success", "success", "failure", "failure", "defect", "never")
})

/**
 * An effect that behaves so. It fails with `"failed"`; a defect is the Error `"died"`.
 *
 * @category converting
 * @since 0.1.0
 */
export const run = ({ ends, millis }: Behaviour): Effect.Effect<"done", "failed"> => {
  const end: Effect.Effect<"done", "failed"> =
    ends === "success"
      ? Effect.succeed("done")
      : ends === "failure"
        ? Effect.fail("failed")
        : ends === "defect"
          ? Effect.suspend(() => Effect.die(new Error("died")))
          : Effect.never
  return millis === 0 ? end : Effect.andThen(Effect.sleep(millis), end)
}

/**
 * What a call tells a circuit breaker.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const outcome: Arbitrary.Arbitrary<Outcome> = pick<Outcome>("success", "failure", "throttled", "ignored")

const keys: Arbitrary.Arbitrary<Traffic.Keys> = oneOf<Traffic.Keys>(
  Arbitrary.Constant(Traffic.oneKey("caller")),
  Arbitrary.map(int(1, 20), (count) => Traffic.uniformKeys({ count })),
  Arbitrary.map(int(1, 20), (count) => Traffic.zipfKeys({ count }))
)

const simple: Arbitrary.Arbitrary<Traffic.Traffic> = oneOf<Traffic.Traffic>(
  Arbitrary.map(int(1, 50), (perSecond) => Traffic.constant({ perSecond })),
  Arbitrary.map(int(1, 50), (perSecond) => Traffic.poisson({ perSecond })),
  Arbitrary.map(Arbitrary.all({ size: int(1, 100), seconds: int(1, 20), share: int(0, 100) }), (dice) =>
    Traffic.bursts({ size: dice.size, every: dice.seconds * 1000, within: dice.seconds * 10 * dice.share })
  ),
  Arbitrary.map(Arbitrary.all({ from: int(0, 50), to: int(1, 50), seconds: int(1, 60) }), ({ from, seconds, to }) =>
    Traffic.ramp({ from, to, over: seconds * 1000 })
  ),
  Arbitrary.map(Arbitrary.array(int(0, 60_000), { minLength: 1, maxLength: 200 }), Traffic.recorded)
)

/**
 * Traffic of every kind, alone, one after another, or at the same time, for a few keys.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const traffic: Arbitrary.Arbitrary<Traffic.Traffic> = Arbitrary.map(
  Arbitrary.all({ first: simple, second: simple, how: int(0, 3), seconds: int(1, 30), keys }),
  ({ first, how, keys, second, seconds }) => {
    const cut = Traffic.during(first, seconds * 1000)
    const whole = [
      first,
      cut,
      Traffic.concat(cut, second),
      Traffic.merge(first, Traffic.delayed(second, seconds * 1000))
    ]
    return Traffic.keyed(whole[how]!, keys)
  }
)

const latency: Arbitrary.Arbitrary<Dependency.Latency> = oneOf<Dependency.Latency>(
  Arbitrary.map(int(0, 2_000), Dependency.constant),
  Arbitrary.map(int(0, 1_000), (min) => Dependency.uniform({ min, max: 2 * min })),
  Arbitrary.map(int(1, 1_000), (mean) => Dependency.exponential({ mean })),
  Arbitrary.map(Arbitrary.all({ median: int(1, 500), times: int(1, 10) }), ({ median, times }) =>
    Dependency.lognormal({ median, p99: median * times })
  )
)

/**
 * An outage of any kind within the first minute.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const outage: Arbitrary.Arbitrary<Dependency.OutageOptions> = Arbitrary.map(
  Arbitrary.all({
    kind: int(0, 2),
    from: int(0, 40_000),
    length: int(1, 20_000),
    share: int(1, 100),
    recovery: oneOf(Arbitrary.Constant(0), int(1, 10_000)),
    factor: int(2, 20)
  }),
  ({ factor, from, kind, length, recovery, share }): Dependency.OutageOptions => {
    const span = { from, to: from + length, share: share / 100, recovery }
    if (kind === 0) return { ...span, mode: "fails" }
    return kind === 1 ? { ...span, mode: "slow", factor } : { ...span, mode: "hangs" }
  }
)

/**
 * A dependency, with or without an end to its capacity, that fails now and then and has up to three outages.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const dependency: Arbitrary.Arbitrary<Dependency.Dependency> = Arbitrary.map(
  Arbitrary.all({
    latency,
    errors: oneOf(Arbitrary.Constant(0), int(0, 100)),
    concurrency: int(0, 20),
    queue: int(0, 50),
    outages: Arbitrary.array(outage, { maxLength: 3 })
  }),
  ({ concurrency, errors, latency, outages, queue }) =>
    Dependency.make({
      latency,
      errorRate: errors / 100,
      capacity: concurrency === 0 ? undefined : { concurrency, queue },
      outages
    })
)
