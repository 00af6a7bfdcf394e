/**
 * Traffic that once took place. Exported from `Traffic`.
 *
 * @since 0.1.0
 */
import * as recordings from "./internal/recordings.ts"
import type { LogEntry } from "./internal/recordings.ts"
import { type Arrival, CALLER, make, type Traffic } from "./internal/traffic.ts"
import { number, refuse, such } from "./internal/validate.ts"
import { digits } from "./internal/words.ts"

export type { LogEntry } from "./internal/recordings.ts"

/**
 * Calls that once took place: at these times, in milliseconds, in any order. The earliest is the beginning.
 *
 * @category constructors
 * @since 0.1.0
 */
export const recorded = (times: ReadonlyArray<number>): Traffic => {
  const module = "Traffic.recorded"
  such(module, "times", times, Array.isArray(times), "a list of milliseconds")
  times.forEach((each, i) => number(module, `times[${i}]`, each, {}))
  if (times.length === 0) refuse(module, "times", times, "must hold a call")
  return replay(
    `${digits(times.length)} recorded calls`,
    times.map((at) => ({ at, key: CALLER }))
  )
}

/** The earliest call is the beginning, and the last is the end. */
const replay = (description: string, calls: ReadonlyArray<Arrival>): Traffic => {
  const begin = calls.reduce((least, { at }) => Math.min(least, at), Infinity)
  const arrivals = calls
    .map(({ at, key }): Arrival => ({ at: Math.floor(at - begin), key }))
    .sort((a, b) => a.at - b.at)
  return make(description, (arrivals.at(-1)?.at ?? 0) + 1, () => {
    let n = 0
    return () => arrivals[n++]
  })
}

/**
 * Calls from a CSV file with a header line, as RFC 4180 has it. One row is one call.
 *
 * **Example** (A file with a column of times and one of users)
 *
 * ```ts
 * import { Traffic } from "effect-resilience-testing"
 *
 * const csv = "when,user\n2026-03-01T09:00:00Z,ada\n2026-03-01T09:00:00.250Z,bob\n"
 * const traffic = Traffic.fromCsv(csv, { time: "when", key: "user" })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromCsv = (
  text: string,
  options: {
    /** The name of the column that holds the times. */
    readonly time: string
    /** How the times are written: ISO 8601 (default; without a zone it is UTC), or a number of these units. */
    readonly unit?: "iso" | "seconds" | "millis" | undefined
    /** The name of the column that holds the keys. Default: one key for all. */
    readonly key?: string | undefined
    /** Default: `,`. */
    readonly delimiter?: string | undefined
  }
): Traffic => {
  const calls = recordings.csv(text, options, CALLER)
  return replay(`${digits(calls.length)} calls from a CSV`, calls)
}

/**
 * Calls from an access log in the Common or Combined Log Format, which web servers write. The times of such a log are
 * whole seconds: the calls of one second are spread evenly over it, in their order.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromAccessLog = (
  text: string,
  options: {
    /** Whose call a line is; `undefined` leaves it out. Default: the host. */
    readonly key?: ((entry: LogEntry) => string | undefined) | undefined
  } = {}
): Traffic => {
  const calls = recordings.accessLog(text, options.key)
  return replay(`${digits(calls.length)} calls from an access log`, calls)
}
