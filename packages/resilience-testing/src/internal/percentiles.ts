/**
 * Exact percentiles, by nearest rank.
 */
import type { Percentiles } from "./findings.ts"

const rank = (count: number, share: number): number => Math.max(1, Math.ceil(count * share))

/** Of some times, in a buffer that is sorted in place. */
export const ofTimes = (times: Float64Array): Percentiles | undefined => {
  if (times.length === 0) return undefined
  times.sort()
  const at = (share: number): number => times[rank(times.length, share) - 1]!
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) }
}

/** Of many times, counted by millisecond. */
export class Histogram {
  private readonly counts = new Map<number, number>()
  private total = 0

  add(time: number): void {
    this.counts.set(time, (this.counts.get(time) ?? 0) + 1)
    this.total++
  }

  percentiles(): Percentiles | undefined {
    if (this.total === 0) return undefined
    const sorted = [...this.counts].sort(([a], [b]) => a - b)
    const at = (share: number): number => {
      let left = rank(this.total, share)
      return sorted.find(([, count]) => (left -= count) <= 0)![0]
    }
    return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) }
  }
}
