/** What a simulation found, as plain data. Exported from `Report`. */
import type { CircuitState } from "effect-resilience/Event"
import type { Outage } from "../Dependency.ts"

/**
 * Times that 50, 90, 99 and 100 of a hundred do not exceed, exactly, by nearest rank. Milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/**
 * How calls ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Endings {
  /** The caller got what it wanted. */
  readonly succeeded: number
  /** The caller got the dependency's failure, or `RetryExhausted`. */
  readonly failed: number
  /** The caller got a `TimeoutExceeded`, of the call or of its last attempt. */
  readonly timedOut: number
  /** The caller got a rejection. */
  readonly refused: number
  /** The caller lost its patience and left. */
  readonly gaveUp: number
}

/**
 * One second.
 *
 * @category models
 * @since 0.1.0
 */
export interface Second extends Endings {
  /** Its beginning, in seconds from the beginning of the simulation. */
  readonly second: number
  /** Calls that arrived. */
  readonly offered: number
  /** Admissions: of calls, or of attempts where policies admit each attempt. Without policies, all calls. */
  readonly admitted: number
  /** Requests that reached the dependency. */
  readonly attempts: number
  /** Of these, those that were not the first of their call. */
  readonly retries: number
  /** Refused admissions, by the error's tag: each tag that occurs in the run, in every second. */
  readonly rejections: { readonly [tag: string]: number }
  /** How long the calls took that ended in this second and were not refused; `undefined` if there was none. */
  readonly latency: Percentiles | undefined
  /** Calls on their way, at the end of the second. */
  readonly running: number
  /** The dependency at the end of the second: requests at work, and in line for it. */
  readonly upstream: { readonly running: number; readonly queued: number }
  /** The circuit of the watched key, at the end of the second; `undefined` without a circuit breaker. */
  readonly circuit: CircuitState | undefined
  /** What the rate limiter would let the watched key take at once, at the end of the second; `undefined` without one. */
  readonly tokens: number | undefined
}

/**
 * The whole.
 *
 * @category models
 * @since 0.1.0
 */
export interface Totals extends Endings {
  readonly offered: number
  readonly admitted: number
  readonly attempts: number
  readonly retries: number
  /** Calls that had not ended when the simulation did. */
  readonly running: number
  /** Successes a second. A caller who gave up had none, so each came within the caller's patience. */
  readonly goodput: number
  /** Successes for each call offered, 0 to 1. */
  readonly successRate: number
  /** Requests to the dependency beyond the first of each call, for each first one: 0.5 is half as much again. */
  readonly extraLoad: number
  /** Requests that the dependency worked on to the end when the caller had already gone. */
  readonly wasted: number
  /** How long calls took that were not refused; `undefined` if none ended. */
  readonly latency: Percentiles | undefined
  /** Admissions that had waited, and how long. Milliseconds. */
  readonly wait: { readonly count: number; readonly mean: number; readonly max: number }
  /** Refused admissions by tag and reason, as in `"RateLimitExceeded limit"`. */
  readonly rejections: { readonly [reason: string]: number }
  /** How often a circuit opened, of all circuits. */
  readonly openings: number
  /**
   * Jain's index over the keys' success rates: 1 when all keys fare alike, `1 / n` when one of n gets everything. 1 when
   * no call of any key succeeds.
   */
  readonly fairness: number
  /** How many keys called. */
  readonly keys: number
}

/**
 * What became of the calls of one key.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeyTotals {
  /** As events name it: a key of several dimensions as JSON. */
  readonly key: string
  readonly offered: number
  readonly succeeded: number
  readonly refused: number
}

/**
 * The same traffic and the same dependency, through one pipeline.
 *
 * @category models
 * @since 0.1.0
 */
export interface Run {
  /** The policies in words. */
  readonly policies: string
  readonly totals: Totals
  /** The twenty keys that called most. */
  readonly keys: ReadonlyArray<KeyTotals>
  readonly seconds: ReadonlyArray<Second>
}

/**
 * What a simulation found.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly title: string
  readonly seed: string
  /** Milliseconds. */
  readonly duration: number
  /** Milliseconds; `undefined` where callers wait for ever. */
  readonly patience: number | undefined
  /** In words. */
  readonly traffic: string
  /** In words. */
  readonly dependency: string
  readonly outages: ReadonlyArray<Outage>
  /** The key whose circuit and tokens were looked at. */
  readonly watched: string
  readonly with: Run
  /** The run to compare with: without policies, or with others. */
  readonly without: Run | undefined
}
