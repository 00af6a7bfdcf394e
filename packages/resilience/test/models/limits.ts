/** What limits promise, summed from scratch over a list of what was taken. */
import type { LimitNumbers } from "./numbers.ts"

export interface Taken {
  readonly at: number
  readonly cost: number
}

/** One key of a limit. */
export interface Meter {
  /** Milliseconds until so much fits, if nothing else comes. */
  readonly wait: (cost: number, now: number) => number | undefined
  readonly take: (cost: number, now: number) => Taken
  readonly giveBack: (taken: Taken, now: number) => void
  readonly counts: (taken: Taken) => boolean
  readonly remaining: (now: number) => number
  /** When it is as good as new. */
  readonly newFrom: (now: number) => number
  /** When it would be as good as new if a window paid its limit back evenly. */
  readonly rank: () => number
  readonly copy: () => Meter
}

interface Pays {
  /** Since when, where something was taken last at this time. Absent: since the last of what counts was taken. */
  readonly from: ((at: number) => number) | undefined
  readonly window: number
}

/** At most `limit` at any time, where what was taken at `at` counts until `leaves(at)`. */
class WindowMeter implements Meter {
  private readonly limit: number
  private readonly leaves: (at: number) => number
  private readonly pays: Pays
  private log: ReadonlyArray<Taken>
  private last: number
  constructor(
    limit: number,
    leaves: (at: number) => number,
    pays: Pays,
    log: ReadonlyArray<Taken> = [],
    last = -Infinity
  ) {
    this.limit = limit
    this.leaves = leaves
    this.pays = pays
    this.log = log
    this.last = last
  }
  private used(now: number): number {
    return this.log.reduce((sum, { at, cost }) => (this.leaves(at) > now ? sum + cost : sum), 0)
  }
  wait(cost: number, now: number): number | undefined {
    const edges = [now, ...this.log.map(({ at }) => this.leaves(at))].filter((edge) => edge >= now)
    const fits = edges.toSorted((a, b) => a - b).find((edge) => this.used(edge) + cost <= this.limit)
    return fits === undefined ? undefined : fits - now
  }
  take(cost: number, now: number): Taken {
    const taken = { at: now, cost }
    this.log = [...this.log.filter(({ at }) => this.leaves(at) > now), taken]
    this.last = now
    return taken
  }
  giveBack(taken: Taken): void {
    this.log = this.log.filter((one) => one !== taken)
  }
  counts(taken: Taken): boolean {
    return this.log.includes(taken)
  }
  remaining(now: number): number {
    return this.limit - this.used(now)
  }
  newFrom(): number {
    return Math.max(0, ...this.log.map(({ at }) => this.leaves(at)))
  }
  rank(): number {
    const used = this.log.reduce((sum, { cost }) => sum + cost, 0)
    const { from, window } = this.pays
    const last = from === undefined ? Math.max(0, ...this.log.map(({ at }) => at)) : from(this.last)
    return Math.min(this.newFrom(), last + Math.ceil((window * used) / this.limit))
  }
  copy(): Meter {
    return new WindowMeter(this.limit, this.leaves, this.pays, this.log, this.last)
  }
}

/** A debt in units of a `window`-th token: what is taken adds to it, and each millisecond pays `limit` units. */
class BucketMeter implements Meter {
  private readonly numbers: LimitNumbers
  /** Since the bucket was last full: what was taken and, below 0, given back. */
  private log: ReadonlyArray<Taken>
  /** What was taken before cannot be told apart any more: too much came back since. */
  private known: number
  constructor(numbers: LimitNumbers, log: ReadonlyArray<Taken> = [], known = 0) {
    this.numbers = numbers
    this.log = log
    this.known = known
  }
  private owed(now: number, log = this.log): number {
    let debt = 0
    let last = 0
    for (const { at, cost } of log) {
      debt = Math.max(0, debt - (at - last) * this.numbers.limit) + cost
      last = at
    }
    return Math.max(0, debt - (now - last) * this.numbers.limit)
  }
  private get capacity(): number {
    return this.numbers.burst * this.numbers.window
  }
  wait(cost: number, now: number): number | undefined {
    const over = this.owed(now) + cost * this.numbers.window - this.capacity
    return cost > this.numbers.burst ? undefined : Math.max(0, Math.ceil(over / this.numbers.limit))
  }
  take(cost: number, now: number): Taken {
    const taken = { at: now, cost: cost * this.numbers.window }
    if (this.owed(now) === 0) this.known = Math.max(this.known, now)
    this.log = this.owed(now) === 0 ? [taken] : [...this.log, taken]
    return taken
  }
  /**
   * As if it had never been taken, while nothing came after it. Else what is not yet paid of it: debts are paid in
   * order, and all that came back since is taken for older debts.
   */
  giveBack(taken: Taken, now: number): void {
    const i = this.log.indexOf(taken)
    if (i < 0) return
    if (i === this.log.length - 1) {
      this.log = this.log.slice(0, i)
      return
    }
    let back = Math.min(taken.cost, this.owed(now))
    if (this.log.some(({ at, cost }) => cost > 0 && at > taken.at)) {
      if (taken.at < this.known) return
      const since = this.log.slice(i + 1).reduce((sum, { cost }) => sum - Math.min(0, cost), 0)
      const upTo = this.owed(taken.at, this.log.slice(0, i + 1))
      back = Math.min(back, upTo - since - (now - taken.at) * this.numbers.limit)
    }
    if (back <= 0) return
    this.log = [...this.log, { at: now, cost: -back }]
    if (this.log.reduce((sum, { cost }) => sum - Math.min(0, cost), 0) > this.capacity) this.known = now + 1
  }
  counts(taken: Taken): boolean {
    return this.log.includes(taken)
  }
  remaining(now: number): number {
    return Math.floor((this.capacity - this.owed(now)) / this.numbers.window)
  }
  newFrom(now: number): number {
    return Math.max(now + Math.ceil(this.owed(now) / this.numbers.limit), this.known)
  }
  rank(): number {
    return this.newFrom(this.log.at(-1)?.at ?? 0)
  }
  copy(): Meter {
    return new BucketMeter(this.numbers, this.log, this.known)
  }
}

export const meterOf = (numbers: LimitNumbers): Meter => {
  const { kind, limit, slices, window } = numbers
  const slice = Math.ceil(window / slices)
  if (kind === "tokenBucket") return new BucketMeter(numbers)
  const startOf = (size: number) => (at: number) => Math.floor(at / size) * size
  if (kind === "fixedWindow") {
    const from = startOf(window)
    return new WindowMeter(limit, (at) => from(at) + window, { from, window })
  }
  if (kind === "slidingLog") return new WindowMeter(limit, (at) => at + window, { from: undefined, window })
  const from = startOf(slice)
  const counts = (slices + 1) * slice
  return new WindowMeter(limit, (at) => from(at) + counts, { from, window: counts })
}
