/**
 * Whether a line meets its bar.
 */
import type { Line, Unit } from "./model.ts"

export type Verdict = "met" | "missed" | "none"

/** What the bar is about: a ratio, or ours alone. */
export const measureOf = (line: Line): number =>
  line.theirs === undefined ? line.ours.value : line.ours.value / line.theirs.value

export const verdictOf = (line: Line): Verdict =>
  line.bar === undefined ? "none" : measureOf(line) <= line.bar ? "met" : "missed"

const times: ReadonlyArray<Unit> = ["ns", "us", "ms"]

/** The most that a short run lets pass: half as much again as the bar, or a tenth more than is known. */
const limitOf = ({ bar = Infinity, known }: Line): number => (known === undefined ? bar * 1.5 : known * 1.1)

/**
 * Whether a short run fails for it: a bar that is exceeded by half, or a known miss that grows. A time alone says more about the machine than about
 * the code, so only ratios of times are looked at.
 */
export const isFarOff = (line: Line): boolean =>
  line.bar !== undefined &&
  (line.theirs !== undefined || !times.includes(line.unit)) &&
  !(measureOf(line) <= limitOf(line))

/** A peer that takes less than ours: the page names it. */
export const isPeerBetter = (line: Line): boolean => line.theirs !== undefined && line.theirs.value < line.ours.value
