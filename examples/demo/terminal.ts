/**
 * The little this demo needs from a terminal: colours, and a picture that is redrawn in place. Into a file it prints
 * plain lines and no escape codes.
 */
import { Context, Effect, Layer } from "effect"

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan"
export type Paint = (style: Style, text: string) => string

const ESC = "\x1b"
const codes: Record<Style, number> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 }
const plain: Paint = (_, text) => text
const coloured: Paint = (style, text) => (text === "" ? text : `${ESC}[${codes[style]}m${text}${ESC}[0m`)

const colour = new RegExp(`${ESC}\\[\\d*m`, "g")
const colourOrLetter = new RegExp(`${colour.source}|.`, "gu")

/** How many columns a text takes: its letters without the colours. */
export const width = (text: string): number => text.replace(colour, "").length

/** Cuts at a number of columns; colours that were switched on are switched off. */
export const cut = (text: string, columns: number): string => {
  if (width(text) <= columns) return text
  let seen = 0
  let end = 0
  for (const [piece] of text.matchAll(colourOrLetter)) {
    if (piece.length === 1 && ++seen > columns) break
    end += piece.length
  }
  return text.includes(ESC) ? `${text.slice(0, end)}${ESC}[0m` : text.slice(0, end)
}

export const left = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - width(text)))
export const right = (text: string, columns: number): string => " ".repeat(Math.max(0, columns - width(text))) + text

/** Breaks a text into lines of at most so many columns. */
export const wrap = (text: string, columns: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && width(line) + 1 + width(word) > columns) {
      lines.push(line)
      line = word
    } else {
      line = line === "" ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}

export class Screen extends Context.Service<
  Screen,
  {
    /** Whether somebody looks at it now: then a picture is redrawn, otherwise lines are appended. */
    readonly live: boolean
    readonly columns: () => number
    readonly paint: Paint
    readonly print: (...lines: ReadonlyArray<string>) => Effect.Effect<void>
    /** Replaces the last picture drawn. */
    readonly draw: (lines: ReadonlyArray<string>) => Effect.Effect<void>
    /** What is drawn stays; the next picture goes below. */
    readonly keep: Effect.Effect<void>
  }
>()("demo/Screen") {
  static readonly layer = Layer.effect(
    Screen,
    Effect.gen(function* () {
      const out = process.stdout
      const live = out.isTTY === true && process.env["TERM"] !== "dumb"
      const paint = live && !process.env["NO_COLOR"] ? coloured : plain
      // One column is left free: some terminals wrap a line that fills the last.
      const columns = () => Math.max(50, Math.min((out.columns ?? 100) - 1, 99))
      let drawn = 0
      const write = (text: string) => Effect.sync(() => void out.write(text))

      const onError = (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1) // `demo | head`
      const onResize = () => {
        // The window has broken the lines anew: nobody knows where the picture begins now.
        if (drawn > 0) out.write(`${ESC}[2J${ESC}[H`)
        drawn = 0
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          out.on("error", onError).on("resize", onResize)
          if (live) out.write(`${ESC}[?25l`)
        }),
        () =>
          Effect.sync(() => {
            if (live) out.write(`${ESC}[?25h`)
            out.off("error", onError).off("resize", onResize)
          })
      )

      return {
        live,
        columns,
        paint,
        print: (...lines) => write(lines.map((line) => `${line}\n`).join("")),
        draw: (lines) =>
          Effect.suspend(() => {
            // A picture higher than the window could not be redrawn in place: its lower part is left out.
            const fitting = lines.slice(0, (out.rows ?? 24) - 1).map((line) => `${ESC}[2K${cut(line, columns())}\n`)
            const up = drawn === 0 ? "" : `${ESC}[${drawn}A`
            drawn = fitting.length
            return write(`${up}${fitting.join("")}${ESC}[0J`)
          }),
        keep: Effect.sync(() => {
          drawn = 0
        })
      }
    })
  )
}
