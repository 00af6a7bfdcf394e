/**
 * What is seen while a run goes on: a picture redrawn five times a second, or one line a second when nobody looks.
 */
import { Effect } from "effect"
import type { Call, Gauges, Run } from "./run.ts"
import { GREEDY, LIMIT, type Phase, phaseAt, phases, TRAFFIC_ENDS, users } from "./scenario.ts"
import { refusedBy, tally } from "./tally.ts"
import { cut, left, type Paint, right, Screen } from "./terminal.ts"
import { type Hit, hitsInSecond } from "./upstream.ts"

/** Shows the run until it is interrupted, and once more then; the last picture stays. */
export const watch = (run: Run) =>
  Effect.gen(function* () {
    const screen = yield* Screen
    const look = Effect.map(run.gauges, (gauges) => ({ at: run.elapsed(), gauges }))
    const show = screen.live
      ? Effect.flatMap(look, ({ at, gauges }) => screen.draw(picture(run, at, gauges, screen.columns(), screen.paint)))
      : Effect.flatMap(look, ({ at, gauges }) => screen.print(plainLine(run, at, gauges)))
    const every = screen.live ? 200 : 1_000
    // Frames stand on a grid of the run's own time, so that "one line a second" does not drift.
    const pause = Effect.suspend(() => Effect.sleep((Math.round(run.elapsed() / every) + 1) * every - run.elapsed()))
    yield* Effect.forever(Effect.andThen(pause, show)).pipe(Effect.ensuring(Effect.andThen(show, screen.keep)))
  })

/** What the upstream is doing, and once it is repaired also whether it could get up. */
const upstreamNow = (
  hits: ReadonlyArray<Hit>,
  at: number
): Pick<Phase, "title" | "says"> & { readonly good: boolean } => {
  const phase = phaseAt(at)
  const last = hits.at(-1)
  if (phase.id !== "recovery" || last === undefined || last.at < phase.from) {
    return { ...phase, good: phase.id === "healthy" }
  }
  return last.answer === "503"
    ? { title: "KEPT DOWN", says: `repaired, but more than ${LIMIT} a second do not let it up`, good: false }
    : { title: "BACK UP", says: "repaired, and answering", good: true }
}

const plainLine = (run: Run, at: number, gauges: Gauges | undefined): string => {
  const { offered, ok, failed, refused } = tally(run.calls)
  const now = hitsInSecond(run.hits, at)
  return [
    `${left(run.name, 15)} ${right(String(Math.round(at / 1_000)), 2)} s  ${left(upstreamNow(run.hits, at).title, 13)}`,
    `upstream hits ${right(String(run.hits.length), 4)} (last second ${right(String(now), 3)} of ${LIMIT})`,
    `calls ${right(String(offered), 3)}: ok ${right(String(ok), 3)}, failed ${right(String(failed), 3)}, refused ${right(
      String(refused),
      3
    )}`,
    ...(gauges === undefined
      ? []
      : [
          refusedBy(run.calls),
          `circuit ${gauges.circuit}`,
          `tokens ${users.map(({ name }) => `${name} ${gauges.tokens.get(name) ?? "-"}`).join(" ")}`
        ])
  ].join(" | ")
}

const picture = (
  run: Run,
  at: number,
  gauges: Gauges | undefined,
  columns: number,
  paint: Paint
): ReadonlyArray<string> => {
  const upstream = upstreamNow(run.hits, at)
  const now = hitsInSecond(run.hits, at)
  const { offered, ok, failed, refused, waiting } = tally(run.calls)
  const clock = `${(Math.min(at, TRAFFIC_ENDS) / 1_000).toFixed(0)} of ${TRAFFIC_ENDS / 1_000} s`
  const title = paint("bold", `Run ${run.number} of 2: ${run.name}`)
  return [
    left(title, columns - clock.length) + clock,
    `The upstream now: ${paint(upstream.good ? "green" : "yellow", upstream.title)}, ${upstream.says}`,
    `${paint(
      now > LIMIT ? "red" : "bold",
      right(String(now), 3)
    )} requests reached it in the last second; its limit is ${LIMIT}`,
    "",
    ...chart(run.hits, at, columns, paint),
    "",
    `Calls ${paint("bold", String(offered))}: ${paint("green", `${ok} succeeded`)}, ${paint("red", `${failed} failed`)}, ${paint(
      "cyan",
      `${refused} refused here`
    )}, ${waiting} waiting`,
    ...(gauges === undefined
      ? [paint("dim", "No rate limit, no circuit breaker: every call goes out, and again if it fails.")]
      : [`Refused here: ${refusedBy(run.calls)}`, `Circuit: ${circuitWords(gauges.circuit, paint)}`]),
    paint(
      "dim",
      `${left("", 7)}${["calls", "ok", "failed", "refused"].map((head) => right(head, 9)).join("")}${
        gauges === undefined ? "" : "    tokens left"
      }`
    ),
    ...users.map(({ name }) => userLine(name, run.calls, gauges, paint))
  ]
}

const userLine = (name: string, calls: ReadonlyArray<Call>, gauges: Gauges | undefined, paint: Paint): string => {
  const mine = tally(calls.filter((call) => call.user === name))
  const cells = [mine.offered, mine.ok, mine.failed, mine.refused].map((n) => right(String(n), 9)).join("")
  const tokens = gauges?.tokens.get(name)
  const bar =
    tokens === undefined
      ? ""
      : `    ${paint(tokens === 0 ? "red" : "green", "●".repeat(tokens))}${paint(
          "dim",
          "○".repeat(Math.max(0, 5 - tokens))
        )}`
  return `${left(name === GREEDY ? paint("yellow", `${name} !`) : name, 7)}${cells}${bar}`
}

const circuitWords = (state: string, paint: Paint): string => {
  switch (state) {
    case "Closed":
      return `${paint("green", "closed")}: calls go through`
    case "Open":
      return `${paint("red", "OPEN")}: the upstream is left alone, calls are refused at once`
    case "HalfOpen":
      return `${paint("yellow", "half-open")}: one call tries whether it is back`
    default:
      return state
  }
}

const bars = " ▁▂▃▄▅▆▇█"
const ROWS = 5
const GUTTER = 6

/**
 * Requests in the last second, over the time of the run. The lowest row is as high as the limit, so that whatever grows
 * out of it is over the limit.
 */
const chart = (hits: ReadonlyArray<Hit>, at: number, columns: number, paint: Paint): ReadonlyArray<string> => {
  const slots = columns - GUTTER - 1
  const slot = TRAFFIC_ENDS / slots
  const values = Array.from({ length: slots }, (_, i) => {
    const end = (i + 1) * slot
    return i * slot > at ? undefined : hitsInSecond(hits, Math.min(end, at))
  })
  const rows = Array.from({ length: ROWS }, (_, i) => {
    const row = ROWS - 1 - i
    const cells = values
      .map((value) => {
        const part = Math.round((((value ?? 0) - row * LIMIT) / LIMIT) * 8)
        return bars[Math.max(0, Math.min(8, part))]!
      })
      .join("")
    const top = `${(row + 1) * LIMIT}${i === 0 ? "+" : " "}`
    const label = right(row === 0 ? "limit " : top, GUTTER)
    return paint("dim", label) + paint(row === 0 ? "green" : "red", cells)
  })
  return [...rows, paint("dim", left("", GUTTER) + ruler(slots))]
}

/** The names of the phases, each under its part of the chart. */
const ruler = (slots: number): string =>
  phases
    .map((phase, i) => {
      const start = Math.round((phase.from / TRAFFIC_ENDS) * slots)
      const end = Math.round(((phases[i + 1]?.from ?? TRAFFIC_ENDS) / TRAFFIC_ENDS) * slots)
      return left(`│${cut(phase.short, end - start - 1)}`, end - start)
    })
    .join("")
