/**
 * A scripted dependency for a simulation: how long it takes, how often it fails, how much it can do at once, and what
 * goes wrong with it when.
 *
 * It behaves like a server behind a network. A caller that gives up is not noticed there: the request goes on, in the
 * queue and at work, and its answer is lost. So timeouts and retries make an overloaded dependency do more, not less.
 *
 * **Example** (Twenty workers, and two minutes in which all is ten times slower)
 *
 * ```ts
 * import { Dependency } from "effect-resilience-testing"
 *
 * const upstream = Dependency.make({
 *   latency: Dependency.lognormal({ median: "80 millis", p99: "400 millis" }),
 *   errorRate: 0.001,
 *   capacity: { concurrency: 20, queue: 200 },
 *   outages: [{ from: "2 minutes", to: "4 minutes", mode: "slow", factor: 10, recovery: "30 seconds" }]
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Draw } from "./internal/streams.ts"
import { count, madeBy, millis, number, refuse, such } from "./internal/validate.ts"
import { digits, percent, time } from "./internal/words.ts"

const TypeId = "~effect-resilience-testing/Dependency"
const LatencyTypeId = "~effect-resilience-testing/Dependency/Latency"

/**
 * How long a request takes once somebody works on it, in whole milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Latency {
  readonly [LatencyTypeId]: typeof LatencyTypeId
  readonly description: string
  /** @internal Milliseconds, not rounded. */
  readonly draw: (draw: Draw) => number
}

const latency = (description: string, draw: Latency["draw"]): Latency => ({
  [LatencyTypeId]: LatencyTypeId,
  description,
  draw
})

/**
 * Always the same time.
 *
 * @category latencies
 * @since 0.1.0
 */
export const constant = (duration: Duration.Input): Latency => {
  const value = millis("Dependency.constant", "duration", duration, 0)
  return latency(time(value), () => value)
}

/**
 * Any time between two, each as likely.
 *
 * @category latencies
 * @since 0.1.0
 */
export const uniform = (options: { readonly min: Duration.Input; readonly max: Duration.Input }): Latency => {
  const module = "Dependency.uniform"
  const min = millis(module, "min", options.min, 0)
  const max = millis(module, "max", options.max, 0)
  if (max < min) refuse(module, "max", options.max, "is shorter than min")
  return latency(`${time(min)} to ${time(max)}`, (draw) => min + (max - min) * draw())
}

/**
 * Mostly short, sometimes long: the time until an event that may come at any moment. Its p99 is 4.6 times its mean.
 *
 * @category latencies
 * @since 0.1.0
 */
export const exponential = (options: { readonly mean: Duration.Input }): Latency => {
  const mean = millis("Dependency.exponential", "mean", options.mean)
  return latency(`exponential, mean ${time(mean)}`, (draw) => -mean * Math.log(1 - draw()))
}

/** The number of standard deviations below which 99 % of a normal distribution lie. */
const Z99 = 2.3263478740408408

/**
 * What measured latencies mostly look like: a hump and a long tail, given by the median and the 99th percentile.
 *
 * @category latencies
 * @since 0.1.0
 */
export const lognormal = (options: { readonly median: Duration.Input; readonly p99: Duration.Input }): Latency => {
  const module = "Dependency.lognormal"
  const median = millis(module, "median", options.median)
  const p99 = millis(module, "p99", options.p99)
  if (p99 < median) refuse(module, "p99", options.p99, "is shorter than the median")
  const sigma = Math.log(p99 / median) / Z99
  return latency(`median ${time(median)}, p99 ${time(p99)}`, (draw) => {
    // two uniform numbers make a normal one (Box and Muller)
    const normal = Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw())
    return median * Math.exp(sigma * normal)
  })
}

/**
 * One of these measured times, in milliseconds, each as likely.
 *
 * @category latencies
 * @since 0.1.0
 */
export const recorded = (times: ReadonlyArray<number>): Latency => {
  const module = "Dependency.recorded"
  such(module, "times", times, Array.isArray(times), "a list of milliseconds")
  if (times.length === 0) refuse(module, "times", times, "must hold a time")
  times.forEach((each, i) => number(module, `times[${i}]`, each, { min: 0 }))
  return latency(`${digits(times.length)} recorded times`, (draw) => times[Math.floor(draw() * times.length)]!)
}

interface Span {
  /** When it begins, from the beginning of the simulation. */
  readonly from: Duration.Input
  /** When it ends. */
  readonly to: Duration.Input
  /** The part of the requests that meet it. Default: 1, all. */
  readonly share?: number | undefined
  /** For each request it is over at a time of its own, evenly spread over so long after `to`. Default: 0. */
  readonly recovery?: Duration.Input | undefined
}

/**
 * A time in which something is wrong. Requests meet it when work on them begins.
 *
 * - `fails`: they fail, after their usual time or `after`.
 * - `slow`: they take `factor` times as long.
 * - `hangs`: nothing happens until it is over for them, and then they take their time.
 *
 * @category models
 * @since 0.1.0
 */
export type OutageOptions =
  | (Span & { readonly mode: "fails"; readonly after?: Duration.Input | undefined })
  | (Span & { readonly mode: "slow"; readonly factor: number })
  | (Span & { readonly mode: "hangs" })

/**
 * An outage as it was understood. Times are milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Outage {
  readonly mode: "fails" | "slow" | "hangs"
  readonly from: number
  readonly to: number
  readonly share: number
  readonly recovery: number
  /** Of `slow`; 1 otherwise. */
  readonly factor: number
  /** Of `fails`, where it was given. */
  readonly after: number | undefined
}

/**
 * Why a request failed. `full`: all were at work and the queue was full.
 *
 * @category models
 * @since 0.1.0
 */
export type Reason = "error" | "outage" | "full"

/**
 * What the dependency fails with, unless `make` was given an `error` of its own.
 *
 * @category errors
 * @since 0.1.0
 */
export class DependencyError {
  readonly _tag = "DependencyError"
  readonly reason: Reason
  constructor(reason: Reason) {
    this.reason = reason
  }
}

/**
 * A validated dependency. `E` is what its requests fail with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dependency<out E = DependencyError> {
  readonly [TypeId]: { readonly _Error: (_: never) => E }
  /** In words. A picture says it. */
  readonly description: string
  readonly latency: Latency
  readonly errorRate: number
  readonly capacity: { readonly concurrency: number; readonly queue: number } | undefined
  readonly outages: ReadonlyArray<Outage>
  /** @internal */
  readonly error: (reason: Reason) => E
}

/** @category models @since 0.1.0 */
export interface Options {
  readonly latency: Latency
  /** The part of the requests that fail, at any time. Default: 0. */
  readonly errorRate?: number | undefined
  /**
   * How many requests it works on at once, and how many it keeps waiting in line for that (default: 1,000); what comes
   * beyond fails at once. Default: no end to either.
   */
  readonly capacity?: { readonly concurrency: number; readonly queue?: number | undefined } | undefined
  /** Where several meet a request, the first of them counts. */
  readonly outages?: ReadonlyArray<OutageOptions> | undefined
}

/**
 * Whether a value is a dependency.
 *
 * @category guards
 * @since 0.1.0
 */
export const isDependency = (u: unknown): u is Dependency<unknown> => madeBy(TypeId, u)

const outageOf = (module: string, field: string, options: OutageOptions): Outage => {
  const { mode } = options
  const from = millis(module, `${field}.from`, options.from, 0)
  const to = millis(module, `${field}.to`, options.to)
  if (to <= from) refuse(module, `${field}.to`, options.to, "must be later than from")
  such(module, `${field}.mode`, mode, ["fails", "slow", "hangs"].includes(mode), '"fails", "slow" or "hangs"')
  return {
    mode,
    from,
    to,
    share: number(module, `${field}.share`, options.share ?? 1, { above: 0, max: 1 }),
    recovery: millis(module, `${field}.recovery`, options.recovery ?? 0, 0),
    factor: mode === "slow" ? number(module, `${field}.factor`, options.factor, { above: 0 }) : 1,
    after:
      mode === "fails" && options.after !== undefined ? millis(module, `${field}.after`, options.after, 0) : undefined
  }
}

const words = { fails: "fails", slow: "is slow", hangs: "hangs" }

const describeOutage = ({ factor, from, mode, recovery, share, to }: Outage): string =>
  [
    `${words[mode]} from ${time(from)} to ${time(to)}`,
    mode === "slow" ? [` (×\u00a0${digits(factor)})`] : [],
    share === 1 ? [] : [` for ${percent(share)} of requests`],
    recovery === 0 ? [] : [`, recovers over ${time(recovery)}`]
  ]
    .flat()
    .join("")

const describe = ({
  capacity,
  errorRate,
  latency,
  outages
}: Omit<Dependency, "description" | "error" | typeof TypeId>) =>
  [
    latency.description,
    errorRate === 0 ? [] : [`${percent(errorRate)} errors`],
    capacity === undefined ? [] : [`${digits(capacity.concurrency)} at once and ${digits(capacity.queue)} in line`],
    outages.map(describeOutage)
  ]
    .flat()
    .join("; ")

/**
 * A dependency. With `error`, its requests fail with errors of yours, so that your policies can judge them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: {
  <E>(options: Options & { readonly error: (reason: Reason) => E }): Dependency<E>
  (options: Options): Dependency
} = <E>(options: Options & { readonly error?: (reason: Reason) => E }): Dependency<E | DependencyError> => {
  const module = "Dependency.make"
  const { capacity, error = (reason: Reason) => new DependencyError(reason), outages = [] } = options
  such(module, "latency", options.latency, madeBy(LatencyTypeId, options.latency), "a latency of this module")
  such(module, "error", error, typeof error === "function", "a function")
  such(module, "outages", outages, Array.isArray(outages), "a list of outages")
  const validated = {
    latency: options.latency,
    errorRate: number(module, "errorRate", options.errorRate ?? 0, { min: 0, max: 1 }),
    capacity:
      capacity === undefined
        ? undefined
        : {
            concurrency: count(module, "capacity.concurrency", capacity.concurrency),
            queue: count(module, "capacity.queue", capacity.queue ?? 1_000, 0)
          },
    outages: outages.map((outage, i) => outageOf(module, `outages[${i}]`, outage))
  }
  return { [TypeId]: { _Error: (_: never) => _ }, description: describe(validated), ...validated, error }
}
