/**
 * The two runs side by side, each figure with a sentence for somebody who has never heard of any of this.
 */
import type { Call, Run } from "./run.ts"
import { GREEDY, LIMIT, OUTAGE } from "./scenario.ts"
import { refusedBy, tally } from "./tally.ts"
import { left, type Paint, right, type Style, width, wrap } from "./terminal.ts"
import { worstSecond } from "./upstream.ts"

interface Row {
  readonly label: string
  readonly cells: readonly [bare: string, resilient: string]
  readonly meaning: string
}

const seconds = (millis: number | undefined): string => {
  if (millis === undefined) return "-"
  return millis < 1_000 ? `${Math.round(millis)} ms` : `${(millis / 1_000).toFixed(1)} s`
}

/** The value that so many of a hundred do not exceed. */
const percentile = (values: ReadonlyArray<number>, p: number): number | undefined =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil((values.length * p) / 100) - 1)]

const latency = (calls: ReadonlyArray<Call>): string => {
  const took = calls.map((call) => call.took)
  return `${seconds(percentile(took, 50))} / ${seconds(percentile(took, 99))}`
}

const share = (calls: ReadonlyArray<Call>): string => {
  const { offered, ok } = tally(calls)
  return `${ok} of ${offered} (${Math.round((ok / offered) * 100)} %)`
}

/** From the repair to the first call after it that succeeded. */
const firstSuccess = (run: Run): number | undefined => {
  const ends = run.calls.filter((call) => call.state === "ok").map((call) => call.at + call.took)
  const first = ends.filter((end) => end >= OUTAGE.to).toSorted((a, b) => a - b)[0]
  return first === undefined ? undefined : first - OUTAGE.to
}

const rows = (bare: Run, resilient: Run): ReadonlyArray<Row> => {
  const row = (label: string, figure: (run: Run) => string, meaning: string): Row => ({
    label,
    cells: [figure(bare), figure(resilient)],
    meaning
  })
  return [
    row("Calls that succeeded", (run) => share(run.calls), "What the users got. The calls are the same in both runs."),
    row(
      `... of everybody but ${GREEDY}`,
      (run) => share(run.calls.filter((call) => call.user !== GREEDY)),
      `${GREEDY}'s import is paid by everybody, unless each user has a limit of his own.`
    ),
    row(
      "Requests that reached the upstream",
      (run) => String(run.hits.length),
      "One call can be many requests: each retry is one more."
    ),
    row(
      "... during the outage",
      (run) => String(run.hits.filter(({ at }) => at >= OUTAGE.from && at < OUTAGE.to).length),
      `${(OUTAGE.to - OUTAGE.from) / 1_000} s in which nothing could succeed. A circuit breaker notices, and only asks now and then.`
    ),
    row(
      `Busiest second (the limit is ${LIMIT})`,
      (run) => `${worstSecond(run.hits)} ${worstSecond(run.hits) > LIMIT ? "✗ over" : "✓ kept"}`,
      "As the upstream saw it. A provider bills, throttles or bans clients over the limit."
    ),
    row(
      "From the repair to the first success",
      (run) => seconds(firstSuccess(run)).replace(/^-$/, "never"),
      `To get up it needs one second with no more than ${LIMIT} requests; retries without a pause do not grant it that.`
    ),
    row(
      "A success took (p50 / p99)",
      (run) => latency(run.calls.filter((call) => call.state === "ok")),
      "Half of the calls were faster than the first figure, 99 of 100 faster than the second."
    ),
    row(
      "A refusal or failure took (p50 / p99)",
      (run) => latency(run.calls.filter((call) => call.state === "failed" || call.state === "refused")),
      "Most of those who cannot be helped hear it at once, instead of watching a spinner."
    ),
    row(
      "Refused on our side",
      (run) => String(tally(run.calls).refused),
      `Calls that were told "not now" without any request: ${refusedBy(resilient.calls)}.`
    ),
    row(
      "Failed at the upstream",
      (run) => String(tally(run.calls).failed),
      "Asked, and got an error, a timeout, or no answer at all."
    )
  ]
}

const colour = (cell: string): Style => (cell.endsWith("over") ? "red" : cell.endsWith("kept") ? "green" : "bold")

export const report = (bare: Run, resilient: Run, columns: number, paint: Paint): ReadonlyArray<string> => {
  const total = Math.min(columns, 90)
  const cell = 19
  const label = total - 2 * cell
  // A narrow window gets the label on a line of its own.
  const labelled = (text: string) => (width(text) < label ? left(text, label) : `${text}\n${left("", label)}`)
  const rule = paint("dim", "─".repeat(total))
  return [
    rule,
    paint("bold", left("", label) + right(bare.name, cell) + right(resilient.name, cell)),
    rule,
    ...rows(bare, resilient).flatMap((row) => [
      labelled(row.label) + row.cells.map((text) => paint(colour(text), right(text, cell))).join(""),
      ...wrap(row.meaning, total - 4).map((line) => paint("dim", `    ${line}`))
    ]),
    rule,
    ...wrap(inShort(bare, resilient), total)
  ]
}

const inShort = (bare: Run, resilient: Run): string => {
  const more = tally(resilient.calls).ok - tally(bare.calls).ok
  const answers =
    more > 0 ? `${more} more calls succeeded` : more < 0 ? `${-more} fewer calls succeeded` : "as many calls succeeded"
  return `In short: with Resilience ${answers}, with ${resilient.hits.length} requests instead of ${bare.hits.length}.`
}

/** What must hold, in words; empty when all of it does. */
export const complaints = (bare: Run, resilient: Run): ReadonlyArray<string> => {
  const found: Array<string> = []
  const worst = worstSecond(resilient.hits)
  if (worst > LIMIT)
    found.push(`with Resilience the upstream saw ${worst} requests in one second; its limit is ${LIMIT}`)
  for (const run of [bare, resilient]) {
    const { offered, ok, failed, refused } = tally(run.calls)
    if (offered !== ok + failed + refused) {
      found.push(`${run.name}: ${offered} calls were made, but ${ok + failed + refused} accounted for`)
    }
    for (const call of run.calls) if (call.reason.startsWith("bug")) found.push(`${run.name}: ${call.reason}`)
  }
  if (bare.calls.length !== resilient.calls.length) {
    found.push(`the runs are not comparable: ${bare.calls.length} calls and ${resilient.calls.length}`)
  }
  return found
}
