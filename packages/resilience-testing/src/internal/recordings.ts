/**
 * Reading what was recorded elsewhere. Whatever cannot be read is refused with its line.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { Csv } from "effect/encoding"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Arrival } from "./traffic.ts"
import { refuse, such } from "./validate.ts"

/**
 * A line of an access log.
 *
 * @category models
 * @since 0.1.0
 */
export interface LogEntry {
  readonly host: string
  /** `-` where the request had no user. */
  readonly user: string
  /** As it was sent, for example `GET /users/1 HTTP/1.1`. */
  readonly request: string
  readonly status: number
}

interface CsvOptions {
  readonly time: string
  readonly unit?: "iso" | "seconds" | "millis" | undefined
  readonly key?: string | undefined
  readonly delimiter?: string | undefined
}

export const csv = (text: string, options: CsvOptions, caller: string): ReadonlyArray<Arrival> => {
  const module = "Traffic.fromCsv"
  const { delimiter = ",", unit = "iso" } = options
  such(module, "text", text, typeof text === "string", "a text")
  such(module, "unit", unit, unit === "iso" || unit === "seconds" || unit === "millis", '"iso", "seconds" or "millis"')
  const single = typeof delimiter === "string" && delimiter.length === 1 && !'"\r\n'.includes(delimiter)
  such(module, "delimiter", delimiter, single, "one character, and no quote or line break")
  const [header = [], ...rows] = rowsOf(module, text, delimiter)
  const column = (parameter: "time" | "key", name: string): number => {
    const i = header.indexOf(name)
    return i >= 0 ? i : refuse(module, parameter, name, `is not a column: the header has ${header.join(", ")}`)
  }
  const timeAt = column("time", options.time)
  const keyAt = options.key === undefined ? -1 : column("key", options.key)
  if (rows.length === 0) refuse(module, "text", text, "holds no row behind its header")
  return rows.map((cells, i) => {
    // the header is the first row
    const where = `row ${i + 2}`
    if (cells.length !== header.length) {
      return refuse(module, where, cells.join(delimiter), `must have ${header.length} cells, as the header has`)
    }
    const written = cells[timeAt]!
    return {
      at: timeOf(written, unit) ?? refuse(module, `${where}, ${options.time}`, written, `must be a time (${unit})`),
      key: keyAt < 0 ? caller : cells[keyAt]!
    }
  })
}

const rowsOf = (module: string, text: string, delimiter: string): ReadonlyArray<ReadonlyArray<string>> => {
  const rows = Stream.make(text).pipe(
    Stream.pipeThroughChannel(Csv.decodeString({ delimiter, ignoreEmptyLines: true })),
    Stream.runCollect,
    Effect.result,
    Effect.runSync
  )
  return Result.isSuccess(rows)
    ? rows.success
    : refuse(module, `line ${rows.failure.line}`, text.split(/\r\n?|\n/)[rows.failure.line - 1], rows.failure.message)
}

/** A date, perhaps with a time, perhaps with a zone: what `Date` would guess beyond that is not guessed here. */
const isoTime = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:?\d{2})?)?$/

const timeOf = (written: string, unit: "iso" | "seconds" | "millis"): number | undefined => {
  if (unit === "iso") {
    const parts = isoTime.exec(written)
    if (parts === null) return undefined
    const [, date, time = "00:00", zone = "Z"] = parts
    const parsed = DateTime.make(`${date}T${time}${zone}`)
    return parsed._tag === "Some" ? DateTime.toEpochMillis(parsed.value) : undefined
  }
  const value = written.trim() === "" ? NaN : Number(written)
  if (!Number.isFinite(value)) return undefined
  return unit === "seconds" ? value * 1000 : value
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

/** host ident user [time] "request" status bytes, and whatever follows. A quote inside the request is escaped. */
const logLine = /^(\S+) \S+ (\S+) \[([^\]]*)\] "((?:[^"\\]|\\.)*)" (\d{3}) (?:\d+|-)(?: |$)/

const logTime = /^(\d{2})\/([A-Z][a-z]{2})\/(\d{4}):(\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})$/

const logTimeOf = (written: string): number | undefined => {
  const parts = logTime.exec(written)
  if (parts === null) return undefined
  const month = months.indexOf(parts[2]!) + 1
  if (month === 0) return undefined
  const two = (n: number) => String(n).padStart(2, "0")
  const [, day, , year, hour, minute, second, sign, hours, minutes] = parts
  return timeOf(`${year}-${two(month)}-${day}T${hour}:${minute}:${second}${sign}${hours}:${minutes}`, "iso")
}

export const accessLog = (
  text: string,
  keyOf: ((entry: LogEntry) => string | undefined) | undefined
): ReadonlyArray<Arrival> => {
  const module = "Traffic.fromAccessLog"
  such(module, "text", text, typeof text === "string", "a text")
  such(module, "key", keyOf, keyOf === undefined || typeof keyOf === "function", "a function")
  const calls: Array<Arrival> = []
  text.split(/\r?\n/).forEach((line, i) => {
    if (line === "") return
    const where = `line ${i + 1}`
    const [, host = "", user = "", written = "", request = "", status = ""] =
      logLine.exec(line) ?? refuse(module, where, line, "is not in the Common or Combined Log Format")
    const at = logTimeOf(written) ?? refuse(module, where, written, "must be a time such as 10/Oct/2026:13:55:36 +0200")
    const key = keyOf === undefined ? host : keyOf({ host, user, request, status: Number(status) })
    if (key !== undefined) calls.push({ at, key })
  })
  if (calls.length === 0) refuse(module, "text", text, "holds no call")
  return spread(calls)
}

/** The calls of one second, evenly over it. A log may hold them out of order. */
const spread = (calls: ReadonlyArray<Arrival>): ReadonlyArray<Arrival> => {
  const seconds = new Map<number, Array<string>>()
  for (const { at, key } of calls) {
    const second = seconds.get(at)
    if (second === undefined) seconds.set(at, [key])
    else second.push(key)
  }
  return [...seconds].flatMap(([at, keys]) =>
    keys.map((key, i) => ({ at: at + Math.floor((i * 1000) / keys.length), key }))
  )
}
