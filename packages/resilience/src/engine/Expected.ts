/**
 * How long an attempt of a service takes, as far as its last attempts tell.
 *
 * A call that waits has to leave that much of its timeout: an attempt that begins with less is cut off, and the dependency
 * has worked for nothing. The estimate is the 95th percentile. A mean of the successes alone shrinks in overload, as only the
 * fast ones of the attempts that begin late succeed, and the shorter it gets, the later they begin.
 */

/** How many attempts are remembered. */
const KEPT = 32

/** Attempts that ended longer ago than this many timeouts are forgotten. */
const AGE = 10

export class Expected {
  /** No estimate is longer. */
  readonly cap: number
  private readonly times = new Float64Array(KEPT)
  private readonly endedAt = new Float64Array(KEPT).fill(-Infinity)
  private next = 0
  private estimate: number | undefined
  /** Until when `estimate` holds, if no attempt ends before. */
  private until = -Infinity

  constructor(cap: number) {
    this.cap = cap
  }

  /** Milliseconds; `undefined` where no attempt has ended lately. Sorts, but only where an attempt has ended since. */
  at(now: number): number | undefined {
    if (now <= this.until) return this.estimate
    const recent: Array<number> = []
    let oldest = Infinity
    for (let i = 0; i < KEPT; i++) {
      const at = this.endedAt[i]!
      if (now - at > AGE * this.cap) continue
      recent.push(this.times[i]!)
      oldest = Math.min(oldest, at)
    }
    this.until = recent.length === 0 ? -Infinity : oldest + AGE * this.cap
    return (this.estimate = recent.sort((a, b) => a - b)[Math.ceil(0.95 * recent.length) - 1])
  }

  /** An attempt that counts took so long, or was cut off (`Infinity`). */
  add(millis: number, now: number): void {
    this.times[this.next] = Math.min(millis, this.cap)
    this.endedAt[this.next] = now
    this.next = (this.next + 1) % KEPT
    this.until = -Infinity
  }
}
