/**
 * What a simulation found: numbers for each second and for the whole, as plain data, as a picture and as a page.
 *
 * **Words**
 *
 * A call is *offered* when it arrives. It ends in one of five ways, or still runs at the end:
 *
 *     offered = succeeded + failed + timedOut + refused + gaveUp + running
 *
 * Whatever is counted, is counted in the second in which it happened: a call that was offered in one second may succeed
 * in another. Times are whole milliseconds, from the beginning of the simulation.
 *
 * **Example** (What the retries cost, and a page to send around)
 *
 * ```ts
 * import { writeFileSync } from "node:fs"
 * import { Report } from "effect-resilience-testing"
 *
 * const tell = (report: Report.Report) => {
 *   const { extraLoad, wasted } = report.with.totals
 *   console.log(`retries: ${(100 * extraLoad).toFixed(1)} % more requests; ${wasted} answers nobody waited for`)
 *   const open = report.with.seconds.filter(({ circuit }) => circuit === "Open").length
 *   console.log(`the circuit was open for about ${open} s`)
 *   writeFileSync("simulation.html", Report.toHtml(report))
 * }
 * ```
 *
 * @since 0.1.0
 */
import { draw } from "./internal/chart.ts"
import type { Report } from "./internal/findings.ts"
import { page } from "./internal/page.ts"
import { count } from "./internal/validate.ts"

export type { Endings, KeyTotals, Percentiles, Report, Run, Second, Totals } from "./internal/findings.ts"

/**
 * The report as JSON. The same report gives the same text, to the byte.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toJson = (report: Report): string => JSON.stringify(report, undefined, 2)

/**
 * @category models
 * @since 0.1.0
 */
export interface PictureOptions {
  /** Pixels, at least 1,000. Default: 1,100. The height follows from what there is to show. */
  readonly width?: number | undefined
}

const sizeOf = (module: string, { width = 1_100 }: PictureOptions) => ({ width: count(module, "width", width, 1_000) })

/**
 * The report as a picture: the outage, what the pipeline did, and what would have happened without it. The same report
 * gives the same text, to the byte.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toSvg = (report: Report, options: PictureOptions = {}): string =>
  draw(report, sizeOf("Report.toSvg", options))

/**
 * The report as a page of its own, with the picture and the totals. It asks nothing from the network.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toHtml = (report: Report, options: PictureOptions = {}): string =>
  page(report, sizeOf("Report.toHtml", options))
