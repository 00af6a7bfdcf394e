/**
 * Counts what happens in a run, second by second. No object outlives its call.
 */
import type { Event } from "effect-resilience/Event"
import type { Inspection } from "effect-resilience/Resilience"
import type { Endings, KeyTotals, Run, Second, Totals } from "./findings.ts"
import { Histogram, ofTimes } from "./percentiles.ts"
import type { Upstream } from "./Upstream.ts"

type Counted = Exclude<keyof Second & keyof Totals, "latency" | "rejections" | "running">

const counted: ReadonlyArray<Counted> = [
  "offered",
  "admitted",
  "attempts",
  "retries",
  "succeeded",
  "failed",
  "timedOut",
  "refused",
  "gaveUp"
]

/** Zero of everything that is counted. */
const zeros = (): Record<Counted, number> => ({
  offered: 0,
  admitted: 0,
  attempts: 0,
  retries: 0,
  succeeded: 0,
  failed: 0,
  timedOut: 0,
  refused: 0,
  gaveUp: 0
})

interface KeyCount {
  offered: number
  succeeded: number
  refused: number
}

export class Recorder {
  readonly now = zeros()
  /** Of this second, by tag. */
  private rejected: Record<string, number> = {}
  /** Every tag that occurred so far, with a zero. */
  private readonly unrejected: Record<string, number> = {}
  private readonly times: Array<number> = []
  private readonly sum = zeros()
  private readonly allTimes = new Histogram()
  private readonly reasons = new Map<string, number>()
  private readonly keys = new Map<string, KeyCount>()
  private readonly seconds: Array<Second> = []
  private waits = { count: 0, sum: 0, max: 0 }
  private openings = 0
  private running = 0

  /** What the pipeline tells of itself. */
  readonly sink = (event: Event): void => {
    switch (event._tag) {
      case "Admitted":
        this.now.admitted++
        if (event.waited > 0) this.waited(event.waited)
        return
      case "Rejected": {
        const { _tag, reason } = event.rejection
        this.unrejected[_tag] = 0
        this.rejected[_tag] = (this.rejected[_tag] ?? 0) + 1
        const tagged = `${_tag} ${reason}`
        this.reasons.set(tagged, (this.reasons.get(tagged) ?? 0) + 1)
        return
      }
      case "CircuitTransition":
        if (event.to === "Open") this.openings++
        return
      default:
    }
  }

  private waited(millis: number): void {
    this.waits.count++
    this.waits.sum += millis
    this.waits.max = Math.max(this.waits.max, millis)
  }

  offered(key: string): KeyCount {
    this.now.offered++
    this.running++
    let count = this.keys.get(key)
    if (count === undefined) this.keys.set(key, (count = { offered: 0, succeeded: 0, refused: 0 }))
    count.offered++
    return count
  }

  attempted(retry: boolean): void {
    this.now.attempts++
    if (retry) this.now.retries++
  }

  ended(ending: keyof Endings, time: number, key: KeyCount): void {
    this.now[ending]++
    this.running--
    if (ending === "refused") {
      key.refused++
      return
    }
    if (ending === "succeeded") key.succeeded++
    this.times.push(time)
    this.allTimes.add(time)
  }

  /** The end of a second. */
  second(upstream: Upstream, seen: Inspection | undefined): void {
    this.seconds.push({
      second: this.seconds.length,
      ...this.now,
      rejections: this.rejected,
      latency: ofTimes(Float64Array.from(this.times)),
      running: this.running,
      upstream: { running: upstream.running, queued: upstream.queued },
      circuit: seen?.circuitBreaker?.state,
      tokens: seen?.rateLimiter?.remaining
    })
    for (const name of counted) {
      this.sum[name] += this.now[name]
      this.now[name] = 0
    }
    this.rejected = {}
    this.times.length = 0
  }

  run(policies: string, seconds: number, upstream: Upstream): Run {
    const { attempts, offered, retries, succeeded } = this.sum
    const { count, max, sum } = this.waits
    const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)
    return {
      policies,
      totals: {
        ...this.sum,
        running: this.running,
        goodput: share(succeeded, seconds),
        successRate: share(succeeded, offered),
        extraLoad: share(retries, attempts - retries),
        wasted: upstream.wasted,
        latency: this.allTimes.percentiles(),
        wait: { count, mean: share(sum, count), max },
        rejections: Object.fromEntries([...this.reasons].sort(([a], [b]) => (a < b ? -1 : 1))),
        openings: this.openings,
        fairness: jain([...this.keys.values()].map(({ offered, succeeded }) => succeeded / offered)),
        keys: this.keys.size
      },
      keys: busiest(this.keys),
      seconds: this.seconds.map((second) => ({
        ...second,
        rejections: { ...this.unrejected, ...second.rejections }
      }))
    }
  }
}

const jain = (shares: ReadonlyArray<number>): number => {
  const sum = shares.reduce((sum, share) => sum + share, 0)
  const squares = shares.reduce((sum, share) => sum + share * share, 0)
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares)
}

const busiest = (keys: ReadonlyMap<string, KeyCount>): ReadonlyArray<KeyTotals> =>
  [...keys]
    .map(([key, count]) => ({ key, ...count }))
    .sort((a, b) => b.offered - a.offered || (a.key < b.key ? -1 : 1))
    .slice(0, 20)
