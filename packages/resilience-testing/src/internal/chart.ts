/**
 * The picture of a report: Apache ECharts, drawn to SVG without a browser.
 */
import { LineChart } from "echarts/charts"
import { GraphicComponent, GridComponent, MarkAreaComponent } from "echarts/components"
import * as echarts from "echarts/core"
import { SVGRenderer } from "echarts/renderers"
import type { EChartsOption } from "echarts"
import type { Report } from "./findings.ts"
import { binWidth } from "./bins.ts"
import { namesOf, type Panel, panelsOf } from "./panels.ts"
import { FONT, INK, PALE, type Shape, legend, lineHeight, text, widthOf, wrapped } from "./shapes.ts"
import { totalsOf } from "./table.ts"
import { capital, digits, time } from "./words.ts"

echarts.use([LineChart, GraphicComponent, GridComponent, MarkAreaComponent, SVGRenderer])

/** From the edges of the picture to everything, and to the panels, which have numbers beside them. */
const MARGIN = 28
const LEFT = 72
/** Between two panels, for the title and legend of the lower one. */
const GAP = 46
/** Of the first column of the totals. */
const FIRST_COLUMN = 110
/** At most so many points a line. */
const POINTS = 240

/** What the scenario is, in sentences. */
const scenarioOf = (report: Report): ReadonlyArray<string> => {
  const { other, run } = namesOf(report)
  const patience = report.patience === undefined ? "" : `; callers give up after ${time(report.patience)}`
  return [
    `Traffic: ${report.traffic}${patience}.`,
    `Dependency: ${report.dependency}.`,
    `${capital(run)}: ${report.with.policies}.`,
    ...(report.without === undefined ? [] : [`${capital(other)}: ${report.without.policies}.`])
  ]
}

const tickWidths = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400]

const tickOf = (seconds: number): number => tickWidths.find((width) => seconds / width <= 12) ?? Math.ceil(seconds / 12)

/** An area over the whole height, in seconds. */
const area = (from: number, to: number, color: string, name = ""): [{}, {}] => [
  { name, xAxis: from, itemStyle: { color } },
  { xAxis: to }
]

/** The shaded time of the outages, fading where the dependency recovers. A name that would cross another is left out. */
const outageAreas = (report: Report, pixels: number): Array<[{}, {}]> => {
  const end = report.duration / 1000
  let free = 0
  return report.outages
    .flatMap(({ from, mode, recovery, to }) => [
      { from, to, name: mode as string, color: "rgba(204, 121, 167, 0.25)" },
      { from: to, to: to + recovery, name: "recovers", color: "rgba(204, 121, 167, 0.11)" }
    ])
    .map(({ from, to, ...rest }) => ({ ...rest, from: Math.min(from / 1000, end), to: Math.min(to / 1000, end) }))
    .filter(({ from, to }) => to > from)
    .sort((a, b) => a.from - b.from)
    .map(({ color, from, name, to }) => {
      const middle = (((from + to) / 2) * pixels) / end
      const half = widthOf(name, 11) / 2 + 2
      if (middle - half < free) return area(from, to, color)
      free = middle + half
      return area(from, to, color, name)
    })
}

const seriesOf = (report: Report, panel: Panel, i: number, pixels: number) => {
  const axes = { xAxisIndex: i, yAxisIndex: i, type: "line" as const, silent: true, showSymbol: false }
  const areas =
    panel.scale === "none"
      ? panel.stretches.map(({ color, from, to }) => area(from, to, color))
      : outageAreas(report, pixels)
  const label = { show: i === 0, position: "insideTop" as const, color: INK, fontSize: 11, fontFamily: FONT }
  return [
    { ...axes, data: [], markArea: { silent: true, label, data: areas } },
    ...panel.lines.map(({ color, dashed = false, kind, points, thin = false }) => ({
      ...axes,
      // a logarithm has no zero
      data: points.map(([at, value]) => [at, value === null || panel.scale !== "log" ? value : Math.max(1, value)]),
      lineStyle: {
        color,
        width: kind === "line" ? (thin ? 1.2 : 2) : 0,
        type: dashed ? ("dashed" as const) : ("solid" as const)
      },
      ...(kind === "line" ? {} : { areaStyle: { color, opacity: 1 } }),
      ...(kind === "stack" ? { stack: "all" } : {}),
      z: kind === "area" ? 0 : 3
    }))
  ]
}

const yAxisOf = ({ scale }: Panel, i: number) => ({
  gridIndex: i,
  type: scale === "log" ? ("log" as const) : ("value" as const),
  show: scale !== "none",
  min: scale === "log" ? ({ min }: { min: number }) => 10 ** Math.floor(Math.log10(Math.max(1, min))) : 0,
  ...(scale === "none" ? { max: 1 } : {}),
  minInterval: scale === "linear" ? 1 : 0,
  splitNumber: 3,
  axisLabel: {
    fontFamily: FONT,
    fontSize: 11,
    color: INK,
    formatter: (value: number) => (scale === "log" ? time(value) : digits(value))
  },
  splitLine: { lineStyle: { color: "#e6e6e6" } }
})

const xAxisOf = (seconds: number, i: number, last: boolean) => ({
  gridIndex: i,
  type: "value" as const,
  min: 0,
  max: seconds,
  interval: tickOf(seconds),
  axisLine: { show: true, onZero: false, lineStyle: { color: "#888888" } },
  axisTick: { show: last },
  axisLabel: {
    show: last,
    showMaxLabel: seconds % tickOf(seconds) === 0,
    alignMaxLabel: "right" as const,
    fontFamily: FONT,
    fontSize: 11,
    color: INK,
    formatter: (value: number) => time(Math.round(value * 1000))
  },
  splitLine: { lineStyle: { color: "#f0f0f0" } }
})

/** The totals, as a caption below the panels. */
const captionOf = (report: Report, top: number, width: number): ReadonlyArray<Shape> => {
  const rows = totalsOf(report)
  const columns = rows[0]!.length - 1
  const first = MARGIN + FIRST_COLUMN
  return rows.flatMap((cells, row) =>
    cells.map((cell, column) =>
      text(
        cell,
        column === 0 ? MARGIN : first + ((width - MARGIN - first) * column) / columns,
        top + row * lineHeight,
        {
          size: 11,
          bold: row === 0,
          align: column === 0 ? "left" : "right"
        }
      )
    )
  )
}

export interface Size {
  readonly width: number
}

export const draw = (report: Report, { width }: Size): string => {
  const bin = binWidth(report.with.seconds.length, POINTS)
  const panels = panelsOf(report, bin)
  const right = width - MARGIN
  const shapes: Array<Shape> = [text(report.title, MARGIN, 18, { size: 20, bold: true })]
  let y = 50
  for (const line of scenarioOf(report).flatMap((sentence) => wrapped(sentence, right - MARGIN))) {
    shapes.push(text(line, MARGIN, y, { color: PALE }))
    y += lineHeight
  }
  const grids = panels.map((panel) => {
    y += GAP
    const top = y
    y += panel.height
    shapes.push(text(panel.title, MARGIN, top - 24, { bold: true }), ...legend(panel, right, top - 24))
    return { left: LEFT, right: MARGIN, top, height: panel.height }
  })
  shapes.push(text("time since the beginning", right, y + 24, { align: "right", color: PALE, size: 11 }))
  y += 54
  const caption = captionOf(report, y, width)
  y += totalsOf(report).length * lineHeight + 8
  const points =
    bin === 1 ? "" : ` A point stands for ${bin} s: their mean rate, median time, longest line and fewest tokens.`
  shapes.push(...caption, text(`Seed ${report.seed}.${points}`, MARGIN, y, { size: 11, color: PALE }))
  return rendered(width, y + 28, {
    animation: false,
    backgroundColor: "#ffffff",
    textStyle: { fontFamily: FONT },
    graphic: shapes,
    grid: grids,
    xAxis: panels.map((_, i) => xAxisOf(report.duration / 1000, i, i === panels.length - 1)),
    yAxis: panels.map(yAxisOf),
    series: panels.flatMap((panel, i) => seriesOf(report, panel, i, right - LEFT))
  })
}

const rendered = (width: number, height: number, option: EChartsOption): string => {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width, height })
  try {
    chart.setOption(option)
    return withStableIds(chart.renderToSVGString())
  } finally {
    chart.dispose()
  }
}

/** ECharts numbers its ids and class names on and on: here they are named anew, in the order in which they appear. */
const withStableIds = (svg: string): string => {
  const names = new Map<string, string>()
  return svg.replace(/(id="|class="|url\(#|href="#|\.)(zr\d+-[a-z-]+\d+)/g, (_, before: string, name: string) => {
    const known = names.get(name) ?? `zr-${names.size}`
    names.set(name, known)
    return before + known
  })
}
