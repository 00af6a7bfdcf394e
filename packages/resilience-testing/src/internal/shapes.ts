/**
 * What stands around the panels: texts and legends. There is no browser to measure letters, so widths are estimated.
 */
import type { Panel } from "./panels.ts"

export const FONT = "DejaVu Sans, Verdana, Arial, sans-serif"
export const INK = "#222222"
export const PALE = "#666666"

/** From one line of text to the next. */
export const lineHeight = 18

/** The mean width of a letter of these wide fonts, for its size. */
const LETTER = 0.56

export const widthOf = (text: string, size: number): number => text.length * size * LETTER

export type Shape =
  | { readonly type: "text"; readonly silent: true; readonly style: {} }
  | { readonly type: "line" | "rect"; readonly silent: true; readonly shape: {}; readonly style: {} }

interface TextOptions {
  readonly size?: number
  readonly bold?: boolean
  readonly color?: string
  readonly align?: "left" | "right"
}

export const text = (
  text: string,
  x: number,
  y: number,
  { align = "left", bold = false, color = INK, size = 12 }: TextOptions = {}
): Shape => ({
  type: "text",
  silent: true,
  style: { x, y, text, fill: color, font: `${bold ? "bold " : ""}${size}px ${FONT}`, align, verticalAlign: "top" }
})

/** Breaks a text into lines that fit. */
export const wrapped = (text: string, width: number): ReadonlyArray<string> => {
  const most = Math.floor(width / (12 * LETTER))
  const lines: Array<string> = [""]
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!
    if (line !== "" && line.length + 1 + word.length > most) lines.push(word)
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`
  }
  return lines
}

const SAMPLE = 26

/** A legend that ends at the right edge. Its samples are lines as they are drawn, dashes and all. */
export const legend = (panel: Panel, right: number, y: number): ReadonlyArray<Shape> => {
  // a thin line is like the thick one of its colour, and the title says what it is
  const lines = panel.lines.filter(({ thin = false }) => !thin)
  const entries = [...lines, ...panel.legend.map((entry) => ({ ...entry, kind: "area" as const }))].reverse()
  let end = right
  return entries.flatMap((entry): ReadonlyArray<Shape> => {
    const name = text(entry.name, end, y, { size: 11, align: "right" })
    end -= widthOf(entry.name, 11) + SAMPLE + 10
    const line = sample(entry, end, y)
    end -= 16
    return [line, name]
  })
}

const sample = (line: Pick<Panel["lines"][number], "color" | "kind" | "dashed">, x: number, y: number): Shape =>
  line.kind === "line"
    ? {
        type: "line",
        silent: true,
        shape: { x1: x, y1: y + 6, x2: x + SAMPLE, y2: y + 6 },
        style: {
          stroke: line.color,
          lineWidth: 2,
          ...(line.dashed === true ? { lineDash: [5, 4] } : {})
        }
      }
    : {
        type: "rect",
        silent: true,
        shape: { x, y: y + 1, width: SAMPLE, height: 10 },
        style: { fill: line.color }
      }
