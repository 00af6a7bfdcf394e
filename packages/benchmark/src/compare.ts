/**
 * Lines out of samples.
 */
import type { Effort, Figure, Line, Result } from "./model.ts"
import { type Contestant, sample, type Sampling, samplingOf } from "./sample.ts"

/** Names of contestants that several cases have. */
export const OURS = "effect-resilience"
export const FLOOR = "fused by hand"
export const EFFECT = "Effect's parts"

export const figureOf = (figures: ReadonlyMap<string, Figure>, name: string): Figure => {
  const figure = figures.get(name)
  if (figure === undefined) throw new Error(`no contestant ${name}`)
  return figure
}

/** Lets the contestants, of whom one is ours, take turns; one line for each other, with its bar where it has one. */
export const compare = async (
  title: string,
  effort: Effort,
  contestants: ReadonlyArray<Contestant>,
  bars: Readonly<Record<string, number>>,
  options: { readonly ours?: string; readonly sampling?: Partial<Sampling> } = {}
): Promise<Result> => {
  const { ours = OURS } = options
  const figures = await sample(contestants, { ...samplingOf(effort), ...options.sampling })
  for (const name of Object.keys(bars)) figureOf(figures, name) // a bar against nobody is never missed
  const lines = contestants
    .filter(({ name }) => name !== ours)
    .map(({ name }): Line => ({
      ours: figureOf(figures, ours),
      unit: "ns",
      theirs: figureOf(figures, name),
      bar: bars[name]
    }))
  return { title, lines }
}
