/**
 * From seconds to points that fit into a picture: some seconds make a bin.
 */
import type { Run, Second } from "./findings.ts"

/** A point of a line: seconds, and a value if there is one. */
export type Point = readonly [at: number, value: number | null]

const widths = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600]

/** How many seconds make a bin, so that there are at most `most` of them. */
export const binWidth = (seconds: number, most: number): number =>
  widths.find((width) => seconds / width <= most) ?? Math.ceil(seconds / most)

const bins = (run: Run, width: number): ReadonlyArray<ReadonlyArray<Second>> =>
  Array.from({ length: Math.ceil(run.seconds.length / width) }, (_, i) => run.seconds.slice(i * width, (i + 1) * width))

const points = (run: Run, width: number, value: (bin: ReadonlyArray<Second>) => number | null): Array<Point> =>
  bins(run, width).map((bin) => [bin[0]!.second + bin.length / 2, value(bin)])

/** How many a second, on average over the bin. */
export const rate = (run: Run, width: number, count: (second: Second) => number): Array<Point> =>
  points(run, width, (bin) => round(bin.reduce((sum, second) => sum + count(second), 0) / bin.length))

type Value = (second: Second) => number | undefined

/** One of the bin's values, in order. */
const chosen =
  (choose: (values: ReadonlyArray<number>) => number | undefined) =>
  (run: Run, width: number, value: Value): Array<Point> =>
    points(run, width, (bin) => {
      const known = bin.map(value).filter((each) => each !== undefined)
      return choose(known.sort((a, b) => a - b)) ?? null
    })

export const least = chosen((values) => values[0])
export const median = chosen((values) => values[values.length >> 1])
export const most = chosen((values) => values.at(-1))

const round = (value: number): number => Math.round(value * 100) / 100

/** Stretches of seconds with the same value. */
export const stretches = <A>(
  run: Run,
  value: (second: Second) => A
): ReadonlyArray<{ readonly from: number; readonly to: number; readonly value: A }> => {
  const all: Array<{ from: number; to: number; value: A }> = []
  for (const second of run.seconds) {
    const last = all.at(-1)
    const current = value(second)
    if (last !== undefined && last.value === current) last.to = second.second + 1
    else all.push({ from: second.second, to: second.second + 1, value: current })
  }
  return all
}
