/**
 * What a case is, and what measuring it brings.
 */

/** `ns`, `us` and `ms` are times, which a short run never judges by themselves. */
export type Unit = "ns" | "us" | "ms" | "bytes" | "kB" | "%" | "trips"

export interface Figure {
  readonly name: string
  readonly value: number
  /** Of the samples, as a fraction; absent where there was one sample. */
  readonly spread?: number | undefined
}

/** One line of the table: ours, beside another figure or alone. */
export interface Line {
  readonly ours: Figure
  readonly unit: Unit
  /** Absent where the bar is about ours alone. */
  readonly theirs?: Figure | undefined
  /** The most that the ratio (with `theirs`) or the figure may be; absent where nothing is asked. */
  readonly bar?: number | undefined
  /** The ratio or figure of a line that misses its bar, when it was last looked at: a short run fails above a tenth more. */
  readonly known?: number | undefined
}

export interface Result {
  readonly title: string
  readonly lines: ReadonlyArray<Line>
}

export interface Effort {
  readonly short: boolean
}

export interface Case {
  readonly id: string
  /** Flags of Node that the process needs. */
  readonly flags?: ReadonlyArray<string>
  /** Nothing in it can fail a short run, which leaves it out. */
  readonly onlyFull?: true
  readonly run: (effort: Effort) => Promise<ReadonlyArray<Result>>
}
