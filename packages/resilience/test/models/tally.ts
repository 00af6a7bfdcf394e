/** What happened in sequences: models that never see a probe prove nothing about them. */
import { assert } from "@effect/vitest"
import type { Event } from "../../src/Event.ts"

const nameOf = (event: Event): string => {
  if (event._tag === "Queued") return `queued by ${event.policy}`
  if (event._tag === "Admitted") return event.waited > 0 ? "admitted after a wait" : "admitted"
  if (event._tag === "CircuitTransition") return `circuit ${event.to}`
  if (event._tag === "CallEnded") return event.timedOut ? "call timed out" : `call ended as ${event.outcome}`
  if (event._tag === "AttemptEnded") return `attempt ended by ${event.result}`
  if (event._tag !== "Rejected") return event._tag
  return `refused: ${event.rejection.reason}`
}

export class Tally {
  private failed = false
  private readonly times = new Map<string, number>()

  add(what: string): void {
    this.times.set(what, (this.times.get(what) ?? 0) + 1)
  }

  event(event: Event): void {
    this.add(nameOf(event))
  }

  /** A sequence that fails is news enough: what the others came to no longer matters. */
  during(play: () => void): void {
    try {
      play()
    } catch (error) {
      this.failed = true
      throw error
    }
  }

  mustHave(...all: ReadonlyArray<string>): void {
    if (this.failed) return
    const missing = all.filter((what) => !this.times.has(what))
    assert.deepStrictEqual(missing, [], `in ${JSON.stringify(Object.fromEntries(this.times))}`)
  }
}

const waits = ["admitted after a wait", "refused: queue-full", "refused: wait-too-long"]
const limits = ["refused: limit", "refused: cost-exceeds-capacity", "queued by rateLimiter"]
const keys = ["refused: too-many-keys", "evicted"]
const circuits = ["circuit Open", "circuit HalfOpen", "circuit Closed", "circuit Isolated", "refused: Open"]
const probes = [
  "refused: HalfOpen",
  "refused: Isolated",
  "call ended as ignored",
  "call ended as failure",
  "call ended as throttled"
]
const slots = ["refused: full", "queued by bulkhead"]
const attempts = ["RetryScheduled", "attempt ended by timeout", "call timed out", "attempt ended by interrupt"]

const limiter = [...waits, ...limits, ...keys]

/** What sequences of each kind have to come to. */
export const expected: Readonly<Record<string, ReadonlyArray<string>>> = {
  tokenBucket: limiter,
  fixedWindow: limiter,
  slidingWindow: limiter,
  slidingLog: limiter,
  breaker: [...circuits, ...probes, "evicted", "forgotten", "slow"],
  backoff: [...circuits, ...probes, "RetryScheduled", "slow"],
  bulkhead: [...waits, ...slots],
  pipeline: [...waits, ...limits, ...circuits, ...probes, ...slots, ...attempts, "slow", "changed lines"]
}
