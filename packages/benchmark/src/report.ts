/**
 * The table, for the terminal and for the page.
 */
import type { Figure, Line, Result, Unit } from "./model.ts"
import { isPeerBetter, measureOf, verdictOf } from "./verdict.ts"

const digits = (value: number, decimals: number): string =>
  value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals })

/** Three digits that say something. */
const number = (value: number): string => digits(value, Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2)

const larger: Partial<Record<Unit, Unit>> = { ns: "us", us: "ms" }

export const show = (value: number, unit: Unit): string => {
  const above = larger[unit]
  if (above !== undefined && value >= 1_000) return show(value / 1_000, above)
  return `${number(value)} ${unit === "us" ? "µs" : unit}`
}

const ratio = (line: Line): string => (line.theirs === undefined ? "" : digits(measureOf(line), 2))

const bar = (line: Line): string =>
  line.bar === undefined ? "" : line.theirs === undefined ? show(line.bar, line.unit) : digits(line.bar, 2)

/** How far a missed bar is away, as a factor. */
export const verdict = (line: Line): string => {
  const found = verdictOf(line)
  if (found === "none") return ""
  return found === "met" ? "met" : `missed by ${digits(measureOf(line) / line.bar!, 2)}`
}

const scatter = ({ spread }: Figure): string => (spread === undefined ? "" : ` ±${Math.round(spread * 100)}%`)

/** Lines for the terminal. */
export const toText = ({ lines, title }: Result): string =>
  [
    title,
    ...lines.map((line) => {
      const { ours, theirs, unit } = line
      const against = theirs === undefined ? "" : `${theirs.name} ${show(theirs.value, unit)}${scatter(theirs)}`
      const cells = [`${show(ours.value, unit)}${scatter(ours)}`.padStart(16), against.padEnd(62)]
      return [...cells, ratio(line).padStart(6), bar(line).padStart(8), ` ${verdict(line)}`].join("  ")
    })
  ].join("\n")

const cell = (text: string): string => text.replaceAll("|", "\\|")

const row = (cells: ReadonlyArray<string>): string => `| ${cells.map(cell).join(" | ")} |`

/** The table of the page: a row for each peer of a case. */
export const toMarkdown = (results: ReadonlyArray<Result>): string =>
  [
    row(["Case", "Ours", "Against", "Theirs", "Ratio", "Bar", "Verdict"]),
    row(["---", "--:", "---", "--:", "--:", "--:", "---"]),
    ...results.flatMap(({ lines, title }) =>
      lines.map((line, i) => {
        const { ours, theirs, unit } = line
        const found = verdict(line)
        return row([
          i === 0 ? title : "",
          show(ours.value, unit),
          theirs?.name ?? "",
          theirs === undefined ? "" : show(theirs.value, unit),
          ratio(line),
          bar(line),
          verdictOf(line) === "missed" ? `**${found}**` : found
        ])
      })
    )
  ].join("\n")

/** Who is better than ours in what, best first. The floor is no peer, and neither are we. */
export const betterPeers = (results: ReadonlyArray<Result>, notPeers: (name: string) => boolean): string => {
  const found = results.flatMap(({ lines, title }) => {
    const better = lines
      .filter((line) => isPeerBetter(line) && !notPeers(line.theirs!.name))
      .sort((a, b) => measureOf(b) - measureOf(a))
      .map((line) => `${line.theirs!.name} (${show(line.theirs!.value, line.unit)})`)
    return better.length === 0
      ? []
      : [`- ${title}, ${show(lines[0]!.ours.value, lines[0]!.unit)}: ${better.join(", ")}`]
  })
  return found.length === 0 ? "Nowhere, in these cases." : found.join("\n")
}
