/**
 * The two pictures of docs/how-it-works.md that no simulation can draw: the pipeline, and the circuit breaker's states.
 */

type Attributes = Readonly<Record<string, string | number>>

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")

const element = (name: string, attributes: Attributes, ...children: ReadonlyArray<string>): string => {
  const words = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(String(value))}"`)
  return `<${name}${words.join("")}>${children.join("")}</${name}>`
}

// the colours of examples/choosing/study.ts; the background is the picture's own, so a dark page does not matter
const ink = "#333333"
const blue = "#1b4f8a"
const orange = "#d1701b"
const green = "#2f7d5d"

interface Look {
  readonly size?: number
  readonly bold?: boolean
  readonly color?: string
  readonly anchor?: "start" | "middle" | "end"
}

/** Lines of text, the first one's baseline at `y`. */
const text = (x: number, y: number, lines: string, look: Look = {}): string => {
  const { anchor = "middle", bold = false, color = ink, size = 13 } = look
  const font = { "font-size": size, "font-weight": bold ? "bold" : "normal", fill: color, "text-anchor": anchor }
  return lines
    .split("\n")
    .map((line, i) => element("text", { x, y: y + i * (size + 4), ...font }, escaped(line)))
    .join("")
}

interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

const box = ({ height, width, x, y }: Box, fill: string, stroke = ink): string =>
  element("rect", { x, y, width, height, rx: 8, fill, stroke, "stroke-width": 1.5 })

/** A line along these points, with a head at its end. */
const arrow = (points: string, color = ink, dashed = false): string =>
  element("polyline", {
    points,
    fill: "none",
    stroke: color,
    "stroke-width": 1.8,
    "stroke-dasharray": dashed ? "6 4" : "none",
    "marker-end": `url(#head-${color.slice(1)})`
  })

const head = (color: string): string =>
  element(
    "marker",
    {
      id: `head-${color.slice(1)}`,
      viewBox: "0 0 10 10",
      refX: 9,
      refY: 5,
      markerWidth: 7,
      markerHeight: 7,
      orient: "auto"
    },
    element("path", { d: "M0,0 L10,5 L0,10 z", fill: color })
  )

const picture = (width: number, height: number, title: string, ...parts: ReadonlyArray<string>): string =>
  element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "font-family": "sans-serif"
    },
    element("title", {}, escaped(title)),
    element("defs", {}, ...[ink, blue, orange, green].map(head)),
    element("rect", { width, height, fill: "#ffffff" }),
    ...parts
  )

/** What a call goes through, from left to right. */
export const pipeline = (): string => {
  const call = { x: 16, y: 16, width: 868, height: 330 }
  const admission = { x: 40, y: 80, width: 400, height: 120 }
  const retry = { x: 500, y: 80, width: 230, height: 120 }
  const asked = ["circuit breaker", "rate limiter", "bulkhead"]
  return picture(
    900,
    362,
    "One call through the pipeline",
    box(call, "#fafafa", "#999999"),
    text(40, 42, "call", { anchor: "start", bold: true, size: 15 }),
    text(84, 42, "timeout: one deadline for all in this frame, waits and backoff too", { anchor: "start" }),
    box(admission, "#e8eff8", blue),
    text(240, 102, "admission: one step, all or nothing", { bold: true, color: blue }),
    ...asked.flatMap((name, i) => {
      const x = admission.x + 16 + i * 126
      return [box({ x, y: 118, width: 116, height: 40 }, "#ffffff", blue), text(x + 58, 143, name)]
    }),
    text(240, 184, "all say yes: units, a permit and a slot are taken"),
    arrow("16,140 40,140"),
    arrow("440,140 500,140"),
    box(retry, "#fdf1e6", orange),
    text(615, 102, "retry", { bold: true, color: orange }),
    box({ x: 516, y: 112, width: 198, height: 56 }, "#ffffff", orange),
    text(615, 134, "attempt: attemptTimeout"),
    text(615, 156, "your effect runs", { bold: true }),
    text(615, 188, "failed: backoff, then again"),
    arrow("730,140 770,140"),
    box({ x: 770, y: 96, width: 100, height: 88 }, "#e9f5ef", green),
    text(820, 122, "record", { bold: true, color: green }),
    text(820, 142, "the circuit\nhears the end,\nonce", { size: 12 }),
    arrow("120,200 120,258", blue),
    text(130, 226, "one says no: nothing is taken anywhere", { anchor: "start", color: blue }),
    box({ x: 40, y: 258, width: 190, height: 58 }, "#ffffff", blue),
    text(135, 282, "wait in a queue,\nholding nothing"),
    arrow("230,287 425,287 425,200", blue),
    text(242, 264, "woken: asks again,\nfor everything", { anchor: "start", color: blue }),
    arrow("70,316 70,332 460,332 460,287 500,287", blue, true),
    text(242, 326, "may not wait, or not longer", { anchor: "start", color: blue }),
    box({ x: 500, y: 258, width: 370, height: 58 }, "#ffffff", ink),
    text(685, 282, "refused: the effect does not run,\nand the circuit does not count it")
  )
}

export type Phase = "Closed" | "Open" | "HalfOpen" | "Isolated"

interface Move {
  readonly from: Phase
  readonly to: Phase
  /** An operator's; else an outcome, or the passing of time. */
  readonly byHand?: boolean
  /** Absent where another arrow's label speaks for this one. */
  readonly line?: string
  readonly label?: readonly [x: number, y: number, lines: string, anchor?: "start" | "middle" | "end"]
}

/** Every change of state that there is; scripts/schemes.test.ts asks the kernel. */
export const moves: ReadonlyArray<Move> = [
  {
    from: "Closed",
    to: "Open",
    line: "270,75 500,75",
    label: [385, 44, "a bad outcome came, and the\ntrip policy says: enough"]
  },
  {
    from: "Open",
    to: "HalfOpen",
    line: "560,115 560,235",
    label: [550, 180, "openDuration is over", "end"]
  },
  {
    from: "HalfOpen",
    to: "Open",
    line: "640,235 640,115",
    label: [650, 152, "too many probes failed\n(or let their lease lapse),\nor one was throttled", "start"]
  },
  {
    from: "HalfOpen",
    to: "Closed",
    line: "500,275 245,275 245,115",
    label: [375, 267, "enough probes succeeded"]
  },
  {
    from: "Closed",
    to: "Isolated",
    byHand: true,
    line: "55,115 55,305",
    label: [63, 218, "isolate,\nin any state", "start"]
  },
  { from: "Open", to: "Isolated", byHand: true },
  { from: "HalfOpen", to: "Isolated", byHand: true },
  {
    from: "Isolated",
    to: "Closed",
    byHand: true,
    line: "145,305 145,115",
    label: [153, 192, "close or reset,\nin any state", "start"]
  },
  { from: "Open", to: "Closed", byHand: true },
  { from: "HalfOpen", to: "Closed", byHand: true }
]

const states: ReadonlyArray<readonly [phase: Phase, what: string, box: Box, fill: string, stroke: string]> = [
  ["Closed", "calls pass, their ends are counted", { x: 30, y: 35, width: 240, height: 80 }, "#e9f5ef", green],
  ["Open", "calls are refused", { x: 500, y: 35, width: 200, height: 80 }, "#fdf1e6", orange],
  ["HalfOpen", "a few calls pass: probes", { x: 500, y: 235, width: 200, height: 80 }, "#e8eff8", blue],
  ["Isolated", "calls are refused", { x: 30, y: 305, width: 240, height: 80 }, "#f2f2f2", ink]
]

/** The states of a circuit. */
export const breaker = (): string =>
  picture(
    900,
    410,
    "The states of a circuit",
    ...states.flatMap(([phase, what, at, fill, stroke]) => [
      box(at, fill, stroke),
      text(at.x + at.width / 2, at.y + 36, phase, { bold: true, size: 16, color: stroke }),
      text(at.x + at.width / 2, at.y + 58, what, { size: 12 })
    ]),
    ...moves.flatMap(({ byHand = false, label, line }) => [
      ...(line === undefined ? [] : [arrow(line, ink, byHand)]),
      ...(label === undefined ? [] : [text(label[0], label[1], label[2], { anchor: label[3] ?? "middle", size: 12 })])
    ]),
    text(
      500,
      356,
      "Dashed: by hand. Each arrow begins a new generation;\nwhat a call of an earlier one reports moves nothing.",
      {
        anchor: "start",
        size: 12
      }
    )
  )
