/** How long attempts take, as a service with waits and a timeout is to expect: counted afresh from a list of all. */
import type { Numbers } from "./numbers.ts"

export class Estimate {
  readonly cap: number
  private readonly all: Array<{ readonly took: number; readonly at: number }> = []

  constructor(cap: number) {
    this.cap = cap
  }

  add(took: number, at: number): void {
    this.all.push({ took: Math.min(took, this.cap), at })
  }

  /** Of the last 32, those no older than ten timeouts: the least time in which 95 of 100 had ended. */
  at(now: number): number | undefined {
    const recent = this.all.slice(-32).filter(({ at }) => now - at <= 10 * this.cap)
    const times = recent.map(({ took }) => took)
    return times
      .toSorted((a, b) => a - b)
      .find((time) => times.filter((other) => other <= time).length >= 0.95 * times.length)
  }
}

/** Kept where calls wait, and have a timeout. */
export const estimateOf = ({ attemptTimeout = Infinity, limit, shared, slots, timeout }: Numbers) => {
  const waits = [limit, shared, slots].some((one) => one !== undefined && one.maxWait > 0)
  return waits && timeout !== undefined ? new Estimate(Math.min(timeout, attemptTimeout)) : undefined
}
