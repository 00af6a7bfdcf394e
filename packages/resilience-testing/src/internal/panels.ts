/**
 * What the picture shows: one panel for each question, from what was asked for to what held it back.
 */
import type { CircuitState } from "effect-resilience/Event"
import type { Report, Run, Second } from "../Report.ts"
import { binWidth, type Point, rate, stretches, typical, worst } from "./bins.ts"

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
const OFFERED = "#c9c9c9"

const rejections = [
  { tag: "CircuitOpen", name: "circuit open", color: "#332288" },
  { tag: "RateLimitExceeded", name: "rate limit exceeded", color: "#e69f00" },
  { tag: "BulkheadFull", name: "bulkhead full", color: "#56b4e9" },
  { tag: "StoreError", name: "store error", color: "#882255" }
] as const

const states: Record<CircuitState, string> = {
  Closed: "#dfe7ec",
  HalfOpen: "#e69f00",
  Open: "#332288",
  Isolated: "#000000"
}

export const namesOf = (report: Report): { readonly run: string; readonly other: string } => ({
  run: "with the policies",
  other: report.without?.policies === "no policies" ? "without" : "to compare"
})

/** The same line for both runs. */
const both = (report: Report, line: (run: Run) => ReadonlyArray<Point>, what = ""): ReadonlyArray<Line> => {
  const { other, run } = namesOf(report)
  const named = (name: string) => (what === "" ? name : `${what} ${name}`)
  const mine: Line = { kind: "line", name: named(run), color: WITH, points: line(report.with) }
  if (report.without === undefined) return [mine]
  // the other one below, so that what the policies did stays visible
  return [{ kind: "line", name: named(other), color: WITHOUT, dashed: true, points: line(report.without) }, mine]
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

export const panelsOf = (report: Report, bins: number): ReadonlyArray<Panel> => {
  const seconds = report.with.seconds.length
  const width = binWidth(seconds, bins)
  const mean = width === 1 ? "" : `, mean of ${width} s`
  const offered: Line = {
    kind: "area",
    name: "offered",
    color: OFFERED,
    points: rate(report.with, width, (second) => second.offered)
  }
  const latency = (share: "p50" | "p99") => (second: Second) => second.latency?.[share]
  const refused = rejections.filter(({ tag }) => report.with.seconds.some((second) => second.rejections[tag] > 0))
  const circuits = stretches(report.with, (second) => second.circuit)
  const inLine = report.with.seconds.concat(report.without?.seconds ?? []).some(({ upstream }) => upstream.queued > 0)
  const watched = report.with.totals.keys > 1 ? ` for ${report.watched}` : ""
  return [
    panel(
      `Calls that succeed, per second${mean}`,
      [offered, ...both(report, (run) => rate(run, width, (second) => second.succeeded))],
      { height: 150 }
    ),
    panel(
      `Requests at the dependency, per second${mean}`,
      both(report, (run) => rate(run, width, (second) => second.attempts))
    ),
    ...(inLine
      ? [
          panel(
            `Requests in line at the dependency${width === 1 ? "" : `, most within ${width} s`}`,
            both(report, (run) => worst(run, width, (second) => second.upstream.queued))
          )
        ]
      : []),
    ...(refused.length === 0
      ? []
      : [
          panel(
            `Refused by the policies, per second${mean}`,
            refused.map(({ color, name, tag }): Line => ({
              kind: "stack",
              name,
              color,
              points: rate(report.with, width, (second) => second.rejections[tag])
            }))
          )
        ]),
    panel(
      `Time until the caller has an answer${width === 1 ? "" : `, median over ${width} s`}`,
      [
        ...both(report, (run) => typical(run, width, latency("p50")), "p50").map((line) => ({ ...line, thin: true })),
        ...both(report, (run) => typical(run, width, latency("p99")), "p99")
      ],
      { scale: "log", height: 150 }
    ),
    ...(circuits.every(({ value }) => value === undefined)
      ? []
      : [
          panel(`Circuit${watched}`, [], {
            height: 18,
            scale: "none",
            stretches: circuits.flatMap(({ from, to, value }) =>
              value === undefined ? [] : [{ from, to, name: value, color: states[value] }]
            ),
            legend: (["Closed", "HalfOpen", "Open", "Isolated"] as const)
              .filter((state) => circuits.some(({ value }) => value === state))
              .map((state) => ({ name: state, color: states[state] }))
          })
        ]),
    ...(report.with.seconds.every(({ tokens }) => tokens === undefined)
      ? []
      : [
          panel(
            `Tokens left${watched}`,
            [
              {
                kind: "line",
                name: "with the policies",
                color: WITH,
                points: worst(report.with, width, (second) =>
                  second.tokens === undefined ? undefined : -second.tokens
                ).map(([at, value]): Point => [at, value === null ? null : 0 - value])
              }
            ],
            { height: 80 }
          )
        ])
  ]
}
