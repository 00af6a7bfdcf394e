/** What a circuit breaker promises: phases, and windows counted from scratch over lists of what was seen. */
import { type CircuitNumbers, grown, type TripNumbers } from "./numbers.ts"

export type Phase = "Closed" | "Open" | "HalfOpen" | "Isolated"
export type Outcome = "success" | "failure" | "throttled" | "ignored"
export interface Move {
  readonly from: Phase
  readonly to: Phase
  readonly generation: number
  readonly openFor: number
}
/** What a call was let in with. `fed`: how many slow thresholds have counted it. */
export interface Permit {
  readonly generation: number
  readonly probe: number
  /** When its attempt in flight began. */
  at: number
  fed: number
}
interface Seen {
  readonly at: number
  readonly bad: boolean
}

/** What opened a circuit, in the words of its inspection. */
const openerOf = (trip: TripNumbers): string => {
  if (trip.kind !== "rate") return trip.kind
  return trip.slowAfter > 0 ? "slowCallRate" : "failureRate"
}

export const slowAfter = (trip: TripNumbers): number => (trip.kind === "rate" ? trip.slowAfter : 0)
const sliceOf = (window: number): number => Math.ceil(window / Math.min(10, window))

/** Which outcomes a trip policy still counts. */
const counted = (trip: TripNumbers, seen: ReadonlyArray<Seen>, now: number): ReadonlyArray<Seen> => {
  if (trip.kind === "consecutive") {
    const row = seen.slice(seen.findLastIndex(({ bad }) => !bad) + 1)
    return trip.within === 0 ? row : row.filter(({ at }) => now - at < trip.within)
  }
  if (trip.kind === "failures") return seen.filter(({ at, bad }) => bad && now - at < trip.within)
  if (trip.calls > 0) return seen.slice(-trip.calls)
  const slice = sliceOf(trip.window)
  return seen.filter(({ at }) => Math.floor(at / slice) > Math.floor(now / slice) - Math.min(10, trip.window))
}
const bad = (seen: ReadonlyArray<Seen>): number => seen.filter((one) => one.bad).length

export class CircuitModel {
  private readonly numbers: CircuitNumbers
  phase: Phase = "Closed"
  generation = 0
  /** Of a circuit that is open: the one before. */
  private ended: number | undefined
  private since = 0
  private openFor = 0
  private openings = 0
  /** The trip policy that brought the opening, or a probe. */
  openedBy: string | undefined
  private seen: Array<Array<Seen>>
  private probes: Array<{ readonly id: number; readonly deadline: number }> = []
  private issued = 0
  private successes = 0
  private failures = 0
  inFlight: Array<Permit> = []
  lastUsed = Infinity
  /** As of the last change that was not one of time alone: of two that are closed, the one that counts fewer failures goes first. */
  rank = 0
  /** Moves that were due by time, and of which nothing was kept yet. */
  private untold: Array<Move> = []
  private readonly onTold: (move: Move) => void

  constructor(numbers: CircuitNumbers, onTold: (move: Move) => void) {
    this.numbers = numbers
    this.onTold = onTold
    this.seen = numbers.trips.map(() => [])
  }

  private enter(to: Phase, at: number, openFor = 0, openedBy?: string): void {
    const generation = Math.max(this.generation + 1, at)
    if (to !== this.phase) {
      this.untold.push({ from: this.phase, to, generation, openFor: to === "Open" ? openFor : 0 })
    }
    this.ended = to === "Open" ? this.generation : undefined
    if (to === "Closed") this.seen = this.numbers.trips.map(() => [])
    this.openings = to === "Closed" ? 0 : to === "Open" ? this.openings + 1 : this.openings
    Object.assign(this, {
      phase: to,
      generation,
      since: at,
      openFor,
      openedBy,
      probes: [],
      issued: 0,
      successes: 0,
      failures: 0
    })
  }

  private open(at: number, hint: number, by: string): void {
    const { cap, growth, open } = this.numbers
    this.enter("Open", at, Math.max(grown(open, growth, this.openings + 1, cap), Math.min(hint, cap)), by)
  }

  private conclude(id: number, outcome: Outcome, at: number, hint: number): void {
    const { permitted, required } = this.numbers
    this.probes = this.probes.filter((probe) => probe.id !== id)
    if (outcome === "success" && ++this.successes >= required) this.enter("Closed", at)
    else if (outcome === "throttled") this.open(at, hint, "probe")
    else if (outcome === "failure" && ++this.failures > permitted - required) this.open(at, hint, "probe")
  }

  /** Everything that is due by time. */
  settle(now: number): void {
    for (;;) {
      const first = this.probes[0]
      if (first !== undefined && first.deadline <= now) this.conclude(first.id, "failure", first.deadline, 0)
      else if (this.phase === "Open" && this.since + this.openFor <= now) {
        this.enter("HalfOpen", this.since + this.openFor, this.openFor, this.openedBy)
      } else return
    }
  }

  private tell(): void {
    for (const move of this.untold) this.onTold(move)
    this.untold = []
    this.rank = this.rankNow()
  }

  private hasRoom(now: number): boolean {
    this.settle(now)
    const taken = this.successes + this.failures + this.probes.length
    return this.phase === "Closed" || (this.phase === "HalfOpen" && taken < this.numbers.permitted)
  }

  private copy(): CircuitModel {
    const copy = Object.assign(new CircuitModel(this.numbers, this.onTold), this)
    copy.untold = []
    return copy
  }

  /** Milliseconds until a call is let in, if nothing is reported. */
  wait(now: number): number | undefined {
    const copy = this.copy()
    for (let at = now; copy.phase !== "Isolated"; at = copy.probes[0]?.deadline ?? copy.since + copy.openFor) {
      if (copy.hasRoom(at)) return at - now
    }
    return undefined
  }

  /** A lapse of time alone opens it for whoever asks, and wakes nobody. */
  get isKnownToRefuse(): boolean {
    return (this.phase === "Open" || this.phase === "Isolated") && this.untold.length === 0
  }

  admit(now: number): Permit {
    let probe = 0
    if (this.phase !== "Closed") {
      probe = ++this.issued
      const lease = this.numbers.lease === 0 ? Math.max(this.openFor, 60_000) : this.numbers.lease
      this.probes = [...this.probes, { id: probe, deadline: now + lease }]
      this.tell()
    }
    return { generation: this.generation, probe, at: now, fed: 0 }
  }

  /** An attempt is slow while it runs; waits and backoffs are not. */
  begins(permit: Permit, now: number): void {
    permit.at = now
    this.inFlight = [...this.inFlight.filter((one) => one !== permit), permit]
  }

  ends(permit: Permit): void {
    this.inFlight = this.inFlight.filter((one) => one !== permit)
  }

  /** Calls in flight that have become slow, each once for each threshold; one of them only for the first `most`. */
  feed(now: number, one?: Permit, most = 0): void {
    this.settle(now)
    this.slowTrips.forEach((trip, rank) => {
      for (const permit of this.inFlight) {
        if (permit === one && rank >= most) continue
        if (permit.fed > rank || permit.at + slowAfter(trip) > now) continue
        permit.fed = rank + 1
        this.report(permit, "failure", now, 0, (other) => (other === trip ? true : undefined))
      }
    })
  }

  private get slowTrips(): ReadonlyArray<TripNumbers> {
    const slow = this.numbers.trips.filter((trip) => slowAfter(trip) > 0)
    return slow.toSorted((a, b) => slowAfter(a) - slowAfter(b))
  }

  /** What is throttled does not become slow by its own report: only `fed` thresholds have counted it. */
  record(permit: Permit, outcome: Outcome, now: number, hint: number, fed: number, longest: number): void {
    if (outcome === "throttled") this.feed(now, permit, fed)
    else this.feed(now)
    this.inFlight = this.inFlight.filter((one) => one !== permit)
    const isSlow = (trip: TripNumbers) => slowAfter(trip) > 0 && longest >= slowAfter(trip)
    const slow = (permit.fed > 0 || this.numbers.trips.some(isSlow)) && outcome === "success"
    const verdict = slow && permit.probe > 0 ? "failure" : outcome
    this.report(permit, verdict, now, hint, (trip) => {
      if (slowAfter(trip) === 0) return outcome === "failure"
      return this.slowTrips.indexOf(trip) < permit.fed ? undefined : isSlow(trip)
    })
  }

  private report(
    { generation, probe }: Permit,
    outcome: Outcome,
    now: number,
    hint: number,
    badIn: (trip: TripNumbers) => boolean | undefined
  ): void {
    this.settle(now)
    if (outcome === "throttled" && generation === this.ended) {
      const end = Math.min(now + hint, this.since + this.numbers.cap)
      if (end <= this.since + this.openFor) return
      this.openFor = end - this.since
      return this.tell()
    }
    if (generation !== this.generation) return
    if (this.phase === "Closed") {
      if (outcome === "ignored" || outcome === "throttled") return
      const tripped = this.numbers.trips.filter((trip, i) => {
        const isBad = badIn(trip)
        if (isBad === undefined) return false
        this.seen[i]!.push({ at: now, bad: isBad })
        return isBad && this.trips(trip, counted(trip, this.seen[i]!, now))
      })
      if (tripped.length > 0) this.open(now, hint, openerOf(tripped[0]!))
    } else {
      if (!this.probes.some(({ id }) => id === probe)) return
      this.conclude(probe, outcome, now, hint)
    }
    this.tell()
  }

  private trips(trip: TripNumbers, seen: ReadonlyArray<Seen>): boolean {
    if (trip.kind !== "rate") return seen.length >= trip.failures
    return seen.length >= trip.minimumCalls && bad(seen) >= trip.threshold * seen.length
  }

  command(op: "isolate" | "close" | "reset", now: number): void {
    this.settle(now)
    const to = op === "isolate" ? "Isolated" : "Closed"
    if (this.phase === to && op !== "reset") return
    this.enter(to, now)
    this.tell()
  }

  /** When it may be forgotten, if nobody uses it: `Infinity` for never. */
  endsAt(): number {
    const natural =
      this.phase === "Closed"
        ? Math.max(this.generation === 0 ? 0 : this.generation + 1, ...this.windowsEnd())
        : Infinity
    return natural === Infinity ? this.lastUsed + (this.numbers.idle ?? Infinity) : natural
  }

  /** When each window is empty. */
  private windowsEnd(): ReadonlyArray<number> {
    return this.numbers.trips.map((trip, i) => {
      const last = this.seen[i]!.at(-1)
      if (last === undefined || (trip.kind === "consecutive" && !last.bad)) return 0
      if (trip.kind === "failures")
        return Math.max(0, ...this.seen[i]!.map(({ at, bad }) => (bad ? at + trip.within : 0)))
      if (trip.kind === "consecutive") return trip.within === 0 ? Infinity : last.at + trip.within
      const slice = sliceOf(trip.window)
      return trip.calls > 0 ? Infinity : (Math.floor(last.at / slice) + Math.min(10, trip.window)) * slice
    })
  }

  /** Closed, half-open, open, isolated; then by failures, then by the time when they are forgotten, or the opening ends. */
  private rankNow(): number {
    const ages = 2 ** 42
    if (this.phase === "Isolated") return Infinity
    if (this.phase === "Open") return 1_024 * ages + this.since + this.openFor
    if (this.phase === "HalfOpen") return 1_023 * ages
    const failures = this.numbers.trips.map((trip, i) => {
      const seen = this.seen[i]!
      const counts = trip.kind === "failures" ? seen.filter((one) => one.bad) : seen // a success leaves that window as it is
      return bad(counted(trip, seen, counts.at(-1)?.at ?? 0))
    })
    return failures.reduce((sum, some) => sum + some, 0) * ages + Math.min(Math.max(0, ...this.windowsEnd()), ages - 1)
  }

  /** What a reader sees. */
  look(now: number) {
    this.feed(now)
    return {
      state: this.phase,
      generation: this.generation,
      openForMillis: this.phase === "Open" ? this.openFor : 0,
      openedBy: this.openedBy,
      retryAfterMillis: this.wait(now),
      probesInFlight: this.probes.length,
      windows: this.numbers.trips.map((trip, i) => {
        const seen = counted(trip, this.seen[i]!, now)
        return { calls: seen.length, bad: bad(seen) }
      })
    }
  }

  /** The times at which something of it happens by itself. */
  dues(): ReadonlyArray<number> {
    const slow = this.slowTrips.flatMap((trip) => this.inFlight.map(({ at }) => at + slowAfter(trip)))
    return [...slow, ...this.probes.map(({ deadline }) => deadline), this.since + this.openFor]
  }
}
