/**
 * When a circuit opens, as plain values. They are exported from `CircuitBreaker`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { between, count, millis, refuse, such } from "../Validate.ts"
import type { Opener, Trip as KernelTrip } from "../kernel/Breaker.ts"
import { type OwnTrips, type TripKernel, withOwn } from "./OwnTrip.ts"

export type { TripInput, TripKernel } from "./OwnTrip.ts"

const TypeId = "~effect-resilience/TripPolicy"

/**
 * When a closed circuit opens.
 *
 * @category models
 * @since 0.1.0
 */
export interface TripPolicy {
  readonly [TypeId]: "TripPolicy"
  /** @internal */
  readonly trips: ReadonlyArray<KernelTrip>
  /** Those of a user's own, and the kernel that knows them: so only what has any bundles it. @internal */
  readonly own?: OwnTrips | undefined
}

/** @internal */
export const tripsOf = (module: string, parameter: string, policy: TripPolicy): TripPolicy =>
  such(module, parameter, policy, typeof policy === "object" && policy !== null && TypeId in policy, "a trip policy")

const made = (...trips: ReadonlyArray<KernelTrip>): TripPolicy => ({ [TypeId]: "TripPolicy", trips })

/**
 * The last so many outcomes, or those of the last span of time (in ten slices).
 *
 * @category models
 * @since 0.1.0
 */
export type Window = { readonly calls: number } | Duration.Input

const isCalls = (window: Window): window is { readonly calls: number } =>
  typeof window === "object" && window !== null && "calls" in window

/**
 * Opens after `failures` failures in a row, of which `within` (default: no bound) is the longest span. With a `within`
 * a run of failures is forgotten in time, and so is the key of a circuit without calls.
 *
 * @category constructors
 * @since 0.1.0
 */
export const consecutive = (
  failures: number,
  options?: { readonly within?: Duration.Input | undefined }
): TripPolicy => {
  const module = "CircuitBreaker.consecutive"
  return made({
    kind: "consecutive",
    failures: count(module, "failures", failures, 1, 1_000),
    within: options?.within === undefined ? 0 : millis(module, "within", options.within)
  })
}

/**
 * Opens at `count` failures within `within`, whatever came between them: for a dependency that fails now and then, and is
 * asked too seldom for a rate. A failure counts for exactly that long, and so does the key of a circuit without calls.
 *
 * **Example** (Three failures in ten minutes, however many calls succeed)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "effect-resilience"
 *
 * const policy = CircuitBreaker.policy({
 *   tripPolicy: CircuitBreaker.failures({ count: 3, within: "10 minutes" }),
 *   openDuration: "1 minute"
 * })
 *
 * const program = Effect.gen(function* () {
 *   const breaker = yield* CircuitBreaker.make(policy)
 *   for (const up of [false, true, false, true, true, false]) {
 *     yield* Effect.ignore(breaker.execute(up ? Effect.void : Effect.fail("503")))
 *   }
 *   const { openedBy, state } = yield* breaker.state()
 *   console.log(state, openedBy) // Open failures
 * })
 *
 * Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const failures = (options: { readonly count: number; readonly within: Duration.Input }): TripPolicy => {
  const module = "CircuitBreaker.failures"
  return made({
    kind: "failures",
    failures: count(module, "count", options.count, 1, 1_000),
    within: millis(module, "within", options.within)
  })
}

const rate = (
  module: string,
  slowAfter: number,
  options: {
    readonly threshold: number
    readonly window: Window
    readonly minimumCalls?: number | undefined
  }
): TripPolicy => {
  const threshold = between(module, "threshold", options.threshold, { above: 0, max: 1 })
  if (!isCalls(options.window)) {
    const window = millis(module, "window", options.window)
    const slices = Math.min(10, window)
    const minimumCalls = count(module, "minimumCalls", options.minimumCalls ?? 20, 1, 1_000_000)
    return made({
      kind: "rate",
      slowAfter,
      threshold,
      minimumCalls,
      calls: 0,
      slice: Math.ceil(window / slices),
      slices
    })
  }
  const calls = count(module, "window.calls", options.window.calls, 1, 10_000)
  // a minimum that the window cannot hold would never be met
  const minimumCalls = count(module, "minimumCalls", options.minimumCalls ?? Math.min(20, calls), 1, calls)
  return made({ kind: "rate", slowAfter, threshold, minimumCalls, calls, slice: 0, slices: 0 })
}

/**
 * Opens when at least `threshold` (0.5: half) of the calls in the window failed, and there were at least `minimumCalls`
 * (default 20). Only a failure opens; a success never does. A fraction is met exactly: `2 / 3` by two of three.
 *
 * @category constructors
 * @since 0.1.0
 */
export const failureRate = (options: {
  readonly threshold: number
  readonly window: Window
  readonly minimumCalls?: number | undefined
}): TripPolicy => rate("CircuitBreaker.failureRate", 0, options)

/**
 * Opens when at least `threshold` of the calls in the window took `slowAfter` or longer. A call counts as slow when the
 * threshold passes, while it is still in flight, so hanging calls open the circuit before they end.
 *
 * @category constructors
 * @since 0.1.0
 */
export const slowCallRate = (options: {
  readonly slowAfter: Duration.Input
  readonly threshold: number
  readonly window: Window
  readonly minimumCalls?: number | undefined
}): TripPolicy => {
  const module = "CircuitBreaker.slowCallRate"
  return rate(module, millis(module, "slowAfter", options.slowAfter), options)
}

/** What no trip policy of one's own is called. */
const names: ReadonlyArray<string> = [
  "none",
  "consecutive",
  "failures",
  "failureRate",
  "slowCallRate",
  "probe"
] satisfies ReadonlyArray<Opener>

/**
 * A trip policy of your own: a pure function of what it has counted so far, and of how one more call ended. It is asked about
 * each call that a closed circuit counts; its state is `initial` again when the circuit opens, closes or is reset.
 *
 * It may stand in `anyOf` beside others. Its `id` is in `CircuitOpen`, in the inspection and in the event of an opening.
 *
 * **Gotchas**
 *
 * It runs in memory. On a remote store, which has no script for it, the layer fails with an `InvalidPolicyError` that names
 * the `id`. What `step` throws, the call that was counted dies with; the circuit stays as it was.
 *
 * **Example** (A score that failures raise by three, and successes lower by one)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "effect-resilience"
 *
 * const score = CircuitBreaker.trip({
 *   id: "score@1",
 *   initial: 0,
 *   step: (points, { outcome }) => {
 *     const next = outcome === "failure" ? points + 3 : Math.max(0, points - 1)
 *     return [next >= 8, next]
 *   },
 *   expiresAt: (points) => (points === 0 ? 0 : undefined)
 * })
 *
 * const program = Effect.gen(function* () {
 *   const breaker = yield* CircuitBreaker.make(CircuitBreaker.policy({ tripPolicy: score, openDuration: "1 minute" }))
 *   for (const up of [false, true, false, false]) {
 *     yield* Effect.ignore(breaker.execute(up ? Effect.void : Effect.fail("503")))
 *   }
 *   const refused = yield* Effect.flip(breaker.execute(Effect.void))
 *   console.log(refused.state, refused.openedBy) // Open score@1
 * })
 *
 * Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const trip = <State>(kernel: TripKernel<State>): TripPolicy => {
  const module = "CircuitBreaker.trip"
  const { expiresAt, id, initial, step } = kernel
  such(module, "id", id, typeof id === "string" && id !== "", "a name")
  if (names.includes(id)) refuse(module, "id", id, "is the name of one of the library's own")
  such(module, "step", step, typeof step === "function", "a function")
  such(module, "expiresAt", expiresAt, typeof expiresAt === "function", "a function")
  return { ...made(), own: { trips: [{ id, initial, step, expiresAt }], kernelOf: withOwn } }
}

/**
 * Opens when any of the policies says so. Each keeps a window of its own.
 *
 * @category combinators
 * @since 0.1.0
 */
export const anyOf = (...policies: ReadonlyArray<TripPolicy>): TripPolicy => {
  if (policies.length === 0) {
    refuse("CircuitBreaker.anyOf", "policies", policies, "must name at least one trip policy")
  }
  for (const policy of policies) tripsOf("CircuitBreaker.anyOf", "policies", policy)
  const all = made(...policies.flatMap(({ trips }) => trips))
  const [first, ...more] = policies.flatMap(({ own }) => (own === undefined ? [] : [own]))
  if (first === undefined) return all
  const trips = [first, ...more].flatMap((own) => own.trips)
  trips.forEach(({ id }, i) => {
    const isSecond = trips.findIndex((other) => other.id === id) < i
    if (isSecond) refuse("CircuitBreaker.anyOf", "policies", id, "is given twice")
  })
  return { ...all, own: { trips, kernelOf: first.kernelOf } }
}
