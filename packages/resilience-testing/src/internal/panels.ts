/**
 * What the picture shows: one panel for each question, from what was asked for to what held it back.
 */
import type { CircuitState } from "effect-resilience/Event"
import type { Report, Run } from "./findings.ts"
import { type Point, least, median, most, rate, stretches } from "./bins.ts"

export interface Line {
  readonly kind: "line" | "area" | "stack"
  readonly name: string
  readonly color: string
  readonly dashed?: boolean
  readonly thin?: boolean
  readonly points: ReadonlyArray<Point>
}

/** A stretch of time in a colour of its own. */
export interface Stretch {
  readonly name: string
  readonly color: string
  readonly from: number
  readonly to: number
}

export interface Panel {
  readonly title: string
  readonly height: number
  readonly scale: "linear" | "log" | "none"
  readonly lines: ReadonlyArray<Line>
  readonly stretches: ReadonlyArray<Stretch>
  /** Names and colours of all that a stretch can be, for the legend. */
  readonly legend: ReadonlyArray<{ readonly name: string; readonly color: string }>
}

// Okabe and Ito's colours, apart for every kind of eye and, with dashes, in grey
const WITH = "#0072b2"
const WITHOUT = "#d55e00"
const OFFERED = "#dddddd"

/** For kinds of refusal, in the order in which they occur. */
const REFUSED = ["#332288", "#e69f00", "#56b4e9", "#882255", "#117733", "#999999"]

const states: Record<CircuitState, string> = {
  Closed: "#dfe7ec",
  HalfOpen: "#e69f00",
  Open: "#332288",
  Isolated: "#000000"
}

export const namesOf = (report: Report): { readonly run: string; readonly other: string } => ({
  run: "with policies",
  other: report.without?.policies === "no policies" ? "without" : "other policies"
})

/** The same line for both runs. */
const both = (report: Report, line: (run: Run) => ReadonlyArray<Point>): ReadonlyArray<Line> => {
  const { other, run } = namesOf(report)
  const mine: Line = { kind: "line", name: run, color: WITH, points: line(report.with) }
  if (report.without === undefined) return [mine]
  // the other one below, so that what the policies did stays visible
  return [{ kind: "line", name: other, color: WITHOUT, dashed: true, points: line(report.without) }, mine]
}

const panel = (title: string, lines: ReadonlyArray<Line>, options: Partial<Panel> = {}): Panel => ({
  title,
  height: 120,
  scale: "linear",
  lines,
  stretches: [],
  legend: [],
  ...options
})

/** A panel, from points that stand for `width` seconds each; `undefined` where there is nothing to show. */
type Draw = (report: Report, width: number) => Panel | undefined

const succeeded: Draw = (report, width) =>
  panel(
    "Calls that succeed, per second",
    [
      {
        kind: "area",
        name: "offered",
        color: OFFERED,
        points: rate(report.with, width, (second) => second.offered)
      },
      ...both(report, (run) => rate(run, width, (second) => second.succeeded))
    ],
    { height: 150 }
  )

const requests: Draw = (report, width) =>
  panel(
    "Requests at the dependency, per second",
    both(report, (run) => rate(run, width, (second) => second.attempts))
  )

const inLine: Draw = (report, width) => {
  const lines = both(report, (run) => most(run, width, (second) => second.upstream.queued))
  const none = lines.every(({ points }) => points.every(([, queued]) => queued === 0))
  return none ? undefined : panel("Requests in line at the dependency", lines)
}

/** `RateLimitExceeded` as "rate limit exceeded". */
const inWords = (tag: string): string => tag.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).trim()

const refused: Draw = (report, width) => {
  const tags = Object.keys(report.with.seconds[0]?.rejections ?? {}) // every second has all of them
  const lines = tags.map((tag, i): Line => ({
    kind: "stack",
    name: inWords(tag),
    color: REFUSED[i % REFUSED.length]!,
    points: rate(report.with, width, (second) => second.rejections[tag] ?? 0)
  }))
  return lines.length === 0 ? undefined : panel("Refused by the policies, per second", lines)
}

const latency: Draw = (report, width) => {
  const of = (share: "p50" | "p99") => both(report, (run) => median(run, width, ({ latency }) => latency?.[share]))
  return panel(
    "Time until the caller has an answer: p99, and p50 as a thin line",
    [...of("p50").map((line) => ({ ...line, thin: true })), ...of("p99")],
    { scale: "log", height: 150 }
  )
}

/** Whose circuit and tokens these are, if there is a choice. */
const watched = (report: Report): string => (report.with.totals.keys > 1 ? ` for ${report.watched}` : "")

const circuit: Draw = (report) => {
  const seen = stretches(report.with, (second) => second.circuit).flatMap(({ from, to, value }) =>
    value === undefined ? [] : [{ from, to, name: value, color: states[value] }]
  )
  if (seen.length === 0) return undefined
  const legend = Object.entries(states)
    .map(([name, color]) => ({ name, color }))
    .filter((state) => seen.some(({ name }) => name === state.name))
  return panel(`Circuit${watched(report)}`, [], { height: 18, scale: "none", stretches: seen, legend })
}

const tokens: Draw = (report, width) => {
  const points = least(report.with, width, (second) => second.tokens)
  if (points.every(([, left]) => left === null)) return undefined
  const line: Line = { kind: "line", name: namesOf(report).run, color: WITH, points }
  return panel(`Tokens left${watched(report)}`, [line], { height: 80 })
}

export const panelsOf = (report: Report, width: number): ReadonlyArray<Panel> =>
  [succeeded, requests, inLine, refused, latency, circuit, tokens].flatMap((draw) => draw(report, width) ?? [])
