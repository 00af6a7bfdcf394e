/**
 * How long a dependency takes: four shapes, each around a mean.
 */
import { drawsOf } from "../draws.ts"

/** The next number of a seed, in [0, 1). */
export type Draw = () => number

export const drawOf = (seed: number): Draw => {
  const below = drawsOf(seed)
  return () => below(2 ** 31) / 2 ** 31
}

/** Of a lognormal time with this mean. */
const lognormal =
  (sigma: number) =>
  (draw: Draw): number => {
    const normal = Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw())
    return Math.exp(sigma * normal - sigma ** 2 / 2)
  }

/** A time, as a multiple of its mean. */
export const shapes = {
  /** +-20 %. */
  uniform: (draw: Draw) => 0.8 + 0.4 * draw(),
  exponential: (draw: Draw) => -Math.log(1 - draw()),
  lognormal: lognormal(0.5),
  /** One in a hundred takes eight times the mean. */
  "heavy-tailed": lognormal(1.2)
}

export type Shape = keyof typeof shapes

/** Whole milliseconds. */
export const timeOf = (shape: Shape, mean: number, draw: Draw): number =>
  Math.max(1, Math.round(mean * shapes[shape](draw)))
