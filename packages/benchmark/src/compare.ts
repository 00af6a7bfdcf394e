/**
 * Lines out of samples.
 */
import type { Effort, Figure, Line, Result } from "./model.ts"
import { type Contestant, sample, type Sampling, samplingOf } from "./sample.ts"

/** Names of contestants that several cases have. */
export const OURS = "effect-resilience"
export const FLOOR = "fused by hand"
export const EFFECT = "Effect's parts"
/** Before the name of what does something else, and is no peer. */
export const YARDSTICK = "yardstick: "

export const figureOf = (figures: ReadonlyMap<string, Figure>, name: string): Figure => {
  const figure = figures.get(name)
  if (figure === undefined) throw new Error(`no contestant ${name}`)
  return figure
}

type Bars = Readonly<Record<string, number>>

/** Ours beside each of the others, with its bar where it has one. */
export const resultOf = (
  title: string,
  figures: ReadonlyMap<string, Figure>,
  ours: string,
  others: ReadonlyArray<string>,
  bars: Bars
): Result => {
  for (const name of Object.keys(bars)) {
    if (!others.includes(name)) throw new Error(`a bar against nobody is never missed: ${name}`)
  }
  const lines = others.map((name): Line => ({
    ours: figureOf(figures, ours),
    unit: "ns",
    theirs: figureOf(figures, name),
    bar: bars[name]
  }))
  return { title, lines }
}

/** Lets the contestants, of whom one is ours, take turns. */
export const compare = async (
  title: string,
  effort: Effort,
  contestants: ReadonlyArray<Contestant>,
  bars: Bars,
  options: {
    readonly ours?: string
    readonly sampling?: Partial<Sampling>
  } = {}
): Promise<Result> => {
  const { ours = OURS } = options
  const figures = await sample(contestants, { ...samplingOf(effort), ...options.sampling })
  const others = contestants.map(({ name }) => name).filter((name) => name !== ours)
  return resultOf(title, figures, ours, others, bars)
}
