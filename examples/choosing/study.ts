/**
 * One number of a policy, tried at several values: a table to print, and a picture of the same rows.
 */
import { Effect } from "effect"
import { LineChart } from "echarts/charts"
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components"
import { init, use } from "echarts/core"
import { SVGRenderer } from "echarts/renderers"

use([GridComponent, LegendComponent, LineChart, SVGRenderer, TitleComponent])

/** A line of a panel: its name, and its value in each row. */
export interface Line<Row> {
  readonly name: string
  readonly of: (row: Row) => number
  /** The panel's scale. Default: "%", of a share between 0 and 1. */
  readonly unit?: string
  /** Of the picture: dashed lines are what to compare with. */
  readonly dashed?: boolean
}

export interface Study<Row> {
  readonly question: string
  readonly scene: string
  /** The number that was varied. */
  readonly varied: { readonly name: string; readonly of: (row: Row) => string }
  readonly rows: ReadonlyArray<Row>
  /** One panel beside the other, each with an axis of its own. */
  readonly panels: ReadonlyArray<{ readonly title: string; readonly lines: ReadonlyArray<Line<Row>> }>
}

/** Simulates each value, and keeps what comes out as the rows of a study. */
export const tryEach = <A, Row>(
  values: ReadonlyArray<A>,
  simulate: (value: A) => Effect.Effect<Row>,
  study: Omit<Study<Row>, "rows">
): Effect.Effect<Study<Row>> => Effect.map(Effect.forEach(values, simulate), (rows) => ({ ...study, rows }))

const shown = <Row>({ of, unit = "%" }: Line<Row>, row: Row): string =>
  unit === "%" ? `${(100 * of(row)).toFixed(1)} %` : `${Math.round(of(row)).toLocaleString("en")} ${unit}`.trim()

/** The rows as text, for a terminal: each panel is a group of columns. */
export const table = <Row>({ panels, rows, varied }: Study<Row>): string => {
  const groups = [
    { title: "", columns: [[varied.name, ...rows.map(varied.of)]] },
    ...panels.map(({ lines, title }) => ({
      title,
      columns: lines.map((line) => [line.name, ...rows.map((row) => shown(line, row))])
    }))
  ]
  const texts = groups.map(({ columns, title }) => {
    const padded = columns.map((cells) => {
      const width = Math.max(...cells.map((cell) => cell.length))
      return cells.map((cell) => cell.padStart(width))
    })
    const lines = Array.from({ length: rows.length + 1 }, (_, i) => padded.map((cells) => cells[i]).join("   "))
    const width = Math.max(title.length, ...lines.map((line) => line.length))
    return [title.padEnd(width), ...lines.map((line) => line.padEnd(width))]
  })
  const lines = Array.from({ length: rows.length + 2 }, (_, i) =>
    texts
      .map((group) => group[i])
      .join("     ")
      .trimEnd()
  )
  return lines.join("\n")
}

// told apart also by those who see no colours: by brightness, by symbol, by dashes
const looks = [
  { color: "#1b4f8a", symbol: "circle" },
  { color: "#d1701b", symbol: "rect" },
  { color: "#4a9d7c", symbol: "triangle" },
  { color: "#9a4f96", symbol: "diamond" },
  { color: "#555555", symbol: "emptyCircle" }
]

/** The rows as a picture. The same rows give the same text. A name that several panels use is one in the legend. */
export const svg = <Row>({ panels, question, rows, scene, varied }: Study<Row>): string => {
  const names = [...new Set(panels.flatMap(({ lines }) => lines.map(({ name }) => name)))]
  const isFirst = (name: string, i: number) =>
    panels.findIndex(({ lines }) => lines.some((line) => line.name === name)) === i
  const width = 900
  const [gap, left, right] = [80, 70, 30]
  const panel = (width - left - right - gap * (panels.length - 1)) / panels.length
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height: 400 })
  const at = (i: number) => left + i * (panel + gap)
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    title: [
      { text: question, subtext: scene, left: 20, top: 10, textStyle: { fontSize: 18 } },
      ...panels.map(({ title }, i) => ({
        text: title,
        left: at(i),
        top: 68,
        textStyle: { fontSize: 13, fontWeight: "normal" as const }
      }))
    ],
    legend: panels.map(({ lines }, i) => ({
      data: lines.map(({ name }) => name).filter((name) => isFirst(name, i)),
      left: at(i),
      top: 92,
      itemGap: 18
    })),
    grid: panels.map((_, i) => ({ left: at(i), width: panel, top: 130, bottom: 60 })),
    xAxis: panels.map((_, i) => ({
      type: "category" as const,
      gridIndex: i,
      data: rows.map(varied.of),
      name: varied.name,
      nameLocation: "middle" as const,
      nameGap: 32
    })),
    yAxis: panels.map(({ lines }, i) => {
      const unit = lines[0]?.unit ?? "%"
      return {
        type: "value" as const,
        gridIndex: i,
        min: 0,
        axisLabel: {
          formatter: (value: number) => (unit === "%" ? `${Math.round(value * 100)} %` : `${value} ${unit}`)
        }
      }
    }),
    series: panels.flatMap(({ lines }, i) =>
      lines.map((line) => ({
        type: "line" as const,
        name: line.name,
        xAxisIndex: i,
        yAxisIndex: i,
        data: rows.map(line.of),
        symbolSize: 8,
        lineStyle: { width: 2, type: line.dashed === true ? ("dashed" as const) : ("solid" as const) },
        ...looks[names.indexOf(line.name) % looks.length]
      }))
    )
  })
  const text = chart.renderToSVGString()
  chart.dispose()
  // ids count the charts of the process
  return text.replaceAll(/zr\d+-/g, "zr-")
}
