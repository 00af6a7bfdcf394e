/**
 * The totals of both runs, as rows of words.
 */
import type { Report, Run } from "./findings.ts"
import { namesOf } from "./panels.ts"
import { digits, percent, time } from "./words.ts"

const columns: ReadonlyArray<readonly [head: string, cell: (run: Run) => string]> = [
  ["succeeded", ({ totals }) => percent(totals.successRate)],
  ["goodput", ({ totals }) => `${digits(totals.goodput, 1)} /s`],
  ["failed", ({ totals }) => digits(totals.failed)],
  ["timed out", ({ totals }) => digits(totals.timedOut)],
  ["refused", ({ totals }) => digits(totals.refused)],
  ["gave up", ({ totals }) => digits(totals.gaveUp)],
  ["requests", ({ totals }) => digits(totals.attempts)],
  ["retries", ({ totals }) => `+${percent(totals.extraLoad)}`],
  ["wasted", ({ totals }) => digits(totals.wasted)],
  ["p99", ({ totals }) => (totals.latency === undefined ? "–" : time(totals.latency.p99))],
  ["wait", ({ totals }) => time(Math.round(totals.wait.mean))],
  ["fairness", ({ totals }) => (totals.keys > 1 ? totals.fairness.toFixed(2) : "–")]
]

/** A head, and a row for each run. */
export const totalsOf = (report: Report): ReadonlyArray<ReadonlyArray<string>> => {
  const { other, run } = namesOf(report)
  const row = (name: string, run: Run) => [name, ...columns.map(([, cell]) => cell(run))]
  return [
    [`${digits(report.with.totals.offered)} calls`, ...columns.map(([head]) => head)],
    row(run, report.with),
    ...(report.without === undefined ? [] : [row(other, report.without)])
  ]
}
