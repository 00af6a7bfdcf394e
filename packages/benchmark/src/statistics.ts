/**
 * Numbers about samples.
 */

/** The value below which a fraction `q` of the samples lies, interpolated. */
export const quantile = (samples: ReadonlyArray<number>, q: number): number => {
  if (samples.length === 0) throw new RangeError("a quantile of no samples")
  const sorted = Array.from(samples).sort((a, b) => a - b)
  const position = (sorted.length - 1) * q
  const below = Math.floor(position)
  const low = sorted[below]!
  const high = sorted[Math.ceil(position)]!
  return low + (high - low) * (position - below)
}

export const median = (samples: ReadonlyArray<number>): number => quantile(samples, 0.5)

/** Half the distance between the quartiles, as a fraction of the median: how much the samples scatter. */
export const spread = (samples: ReadonlyArray<number>): number => {
  const middle = median(samples)
  return middle === 0 ? 0 : (quantile(samples, 0.75) - quantile(samples, 0.25)) / 2 / middle
}
