/**
 * The life of a call as a reference: it is told in order what happened, and throws at the first thing that should not
 * have. At rest it says what is overdue. How an effect ends is known by the test; of the rest, only what is seen.
 */
import { judge, standsWith } from "./admission.ts"
import { type CallModel, type Ending, outcomeOf } from "./call.ts"
import { type Outcome, slowAfter } from "./circuit.ts"
import { CAP, grown } from "./numbers.ts"
import { must, PoliciesModel, same } from "./policies.ts"

export class PipelineModel extends PoliciesModel {
  private arrivals = 0

  /** A backoff that is over, and whatever follows it in the same step. */
  private proceed(call: CallModel, now: number): void {
    if (call.phase !== "backoff") return
    must(now >= call.backoffUntil, "the next attempt comes too early", call.user)
    must(!this.exact || !this.moved(call, now), "an attempt after the circuit moved", call.user)
    call.attempt++
    call.order = Infinity
    call.arrivedAt = now
    call.whole = this.numbers.perAttempt === true
    call.phase = call.whole || this.numbers.slots !== undefined ? "asking" : "admitted"
    call.attemptAt = now
    if (call.whole) Object.assign(call, { begun: false, permit: undefined, taken: undefined, longest: 0 })
    if (call.phase === "admitted") this.inFlight(call, now)
  }

  private inFlight(call: CallModel, now: number): void {
    if (call.permit !== undefined) this.circuits!.get(this.circuitOf(call.user)).begins(call.permit, now)
  }

  queued(call: CallModel, policy: string, limit: string, now: number): void {
    this.proceed(call, now)
    const verdict = this.judge(call, now)
    must(call.phase === "asking" && verdict.is === "waits", "a call waits, and should be", verdict)
    // which wait is the longest is only known where the estimates are exact
    const line = verdict.lines.find(({ name }) => name === limit)
    const isSlots = policy === "bulkhead"
    must(line !== undefined && isSlots === (line.queue === "slots"), "the queue", limit, verdict.lines)
    Object.assign(call, { phase: "queued", queue: line.queue, waitsUntil: verdict.until, order: ++this.arrivals })
    if (this.circuits !== undefined) this.circuits.keep(this.circuitOf(call.user), now)
  }

  /** A waiter may change lines without a word: it stands where it would wait longest. */
  asksAgain(call: CallModel, now: number): void {
    if (call.phase !== "queued" || !call.whole) return
    const verdict = this.judge(call, now)
    if (verdict.is !== "waits") return
    if (verdict.queue !== call.queue) this.note("changed lines")
    this.leavesRoom(call, verdict.queue)
    Object.assign(call, { queue: verdict.queue, waitsUntil: verdict.until })
  }

  /** The youngest call in a full line leaves it for an older one. It asks again. */
  private leavesRoom(call: CallModel, queue: NonNullable<CallModel["queue"]>): void {
    const { limit, shared, slots } = this.numbers
    const { maxQueued } = { limit, shared, slots }[queue]!
    const line = this.waiting.filter((other) => other !== call && standsWith(other, call, queue))
    if (call.queue === queue || line.length < maxQueued) return
    this.note("left for an older call")
    line.at(-1)!.queue = undefined
  }

  admitted(call: CallModel, attempt: number, waited: number, now: number): void {
    this.proceed(call, now)
    must(attempt === call.attempt, "the attempt", attempt, call.attempt)
    // the slot of a further attempt is asked for and the circuit looked at in one step
    must(call.whole || !this.moved(call, now), "a slot for an attempt after the circuit moved")
    const verdict = this.judge(call, now)
    must(
      (call.phase === "asking" || call.phase === "queued") && verdict.is === "admitted",
      "a call is let in, and should be",
      verdict
    )
    must(waited === (call.phase === "queued" ? now - call.arrivedAt : 0), "it waited", waited, now - call.arrivedAt)
    Object.assign(call, { phase: "admitted", attemptAt: now })
    if (this.numbers.slots !== undefined) {
      call.slot = true
      this.running++
    }
    if (!call.whole) return this.inFlight(call, now)
    call.outcome = undefined
    if (this.circuits !== undefined) {
      call.permit = this.circuits.keep(this.circuitOf(call.user), now).admit(now)
      call.owesReport = true
      this.inFlight(call, now)
    }
    const take = (field: "limit" | "shared") =>
      this.limits[field]?.keep(this.keyOf(field, call.user), now).take(call.cost, now)
    if (this.numbers.limit !== undefined) call.taken = { limit: take("limit"), shared: take("shared") }
  }

  rejected(call: CallModel, attempt: number, rejection: unknown, now: number): void {
    this.proceed(call, now)
    must(attempt === call.attempt, "the attempt", attempt, call.attempt)
    const verdict = this.judge(call, now)
    must(call.phase === "asking" || call.phase === "queued", "who is refused", call.phase)
    must(
      verdict.is === "rejected" && same(verdict.rejection, rejection),
      "refused with",
      rejection,
      "and should be",
      verdict
    )
    call.phase = "over"
    // a later refusal only means that there is no further attempt
    if (call.attempt === 1) call.ending = { is: "rejected", rejection }
  }

  /** The effect of an attempt begins. */
  begins(call: CallModel, now: number): void {
    this.proceed(call, now)
    must(call.phase === "admitted", "an effect begins while its call is", call.phase)
    must(!this.exact || call.whole || !this.moved(call, now), "an attempt after the circuit moved")
    Object.assign(call, { phase: "running", begun: true, attempts: call.attempt, told: undefined })
    const { estimate } = this
    if (estimate === undefined) {
      call.hadTime = true
      return
    }
    const millis = Math.min(this.numbers.attemptTimeout ?? Infinity, call.deadline - now)
    const expected = millis >= estimate.cap ? 0 : this.expects(now)
    call.counts = expected === undefined || millis >= expected
    const hadTime = millis >= (expected ?? estimate.cap)
    if (hadTime) call.hadTime = true
    else if (!this.exact) call.hadTime ||= undefined
  }

  /** When the time of its attempt is up. */
  private attemptEnds({ attemptAt, deadline }: CallModel): number {
    return Math.min(deadline, attemptAt + (this.numbers.attemptTimeout ?? Infinity))
  }

  private scopeOf(call: CallModel): "call" | "attempt" {
    return this.attemptEnds(call) === call.deadline ? "call" : "attempt"
  }

  attemptEnded(call: CallModel, attempt: number, result: string, duration: number, now: number): void {
    this.proceed(call, now)
    must(["running", "admitted", "timedOut"].includes(call.phase), "an attempt ends while its call is", call.phase)
    must(call.phase !== "timedOut" || result === "timeout" || call.interrupted, "a timeout ends as", result)
    must(attempt === call.attempt && duration === now - call.attemptAt, "an attempt", attempt, duration)
    call.attempts = attempt
    const ending = this.endOfAttempt(call, result, now)
    call.ending = ending
    call.longest = Math.max(call.longest, duration)
    if (call.permit !== undefined) this.circuits!.get(this.circuitOf(call.user)).ends(call.permit)
    const isCut = ending.is === "timeout"
    if (call.begun && call.counts && (isCut || ending.is === "success")) {
      this.estimate?.add(isCut ? Infinity : duration, now)
    }
    const tellsFailure = ending.is !== "success" && ending.is !== "interrupt" && !(isCut && ending.scope === "call")
    if (tellsFailure && this.numbers.retry !== undefined) {
      call.failedBefore = call.failed
      call.failed = ending
    }
    const retried = ending.is === "failure" ? ending.retried : ending.is === "timeout" && ending.scope === "attempt"
    const may = retried && this.numbers.retry !== undefined && (call.permit?.probe ?? 0) === 0
    call.phase = may ? "failed" : "over"
  }

  private endOfAttempt(call: CallModel, result: string, now: number): Ending {
    if (result === "interrupt") {
      must(call.interrupted, "interrupted by nobody")
      return { is: "interrupt" }
    }
    if (result === "timeout") {
      must(now >= this.attemptEnds(call), "a timeout too early")
      return { is: "timeout", scope: this.scopeOf(call) }
    }
    must(call.phase === "running" && call.told !== undefined, "an effect ended by itself")
    must((result === "success") === (call.told.is === "success"), "an attempt's result", result)
    return call.told
  }

  retries(call: CallModel, attempt: number, delay: number, now: number): void {
    const { retry } = this.numbers
    must(call.phase === "failed" && retry !== undefined, "a retry of a call that is", call.phase)
    must(!call.owesReport || this.numbers.perAttempt !== true, "an attempt not reported before the next")
    must(attempt === call.attempt && attempt < retry.maxAttempts, "a retry after attempt", attempt)
    must(!this.moved(call, now), "a retry after the circuit moved")
    must(this.fits(call, now), "a retry that the call has no time for")
    const { hint, own } = this.pauseOf(call)
    const most = hint === 0 ? Infinity : this.endOf(call, now) - now - 1
    const least = Math.min(most, hint + own)
    must(delay >= least && delay <= Math.min(most, hint + own + hint / 10), "the backoff", delay, own, hint, most)
    call.phase = "backoff"
    if (this.numbers.perAttempt === true) call.outcome = outcomeOf(call.ending!)
    call.backoffUntil = now + delay
  }

  /** What its error asks for, and the backoff's own delay. */
  private pauseOf({ attempt, ending }: CallModel): { readonly hint: number; readonly own: number } {
    const { delay, growth } = this.numbers.retry!
    const hint = ending?.is === "failure" ? ending.hint : 0
    return { hint, own: grown(delay, growth, attempt, CAP) }
  }

  /** Whether the next attempt can come before the call's time is up. What is added to a hint is cut to what is left. */
  private fits(call: CallModel, now: number): boolean {
    const { hint, own } = this.pauseOf(call)
    return (hint === 0 ? own : hint) < this.endOf(call, now) - now
  }

  /** How the call may end here and now. */
  private endings(call: CallModel, now: number): ReadonlyArray<Ending> {
    const endings: Array<Ending> = call.interrupted ? [{ is: "interrupt" }] : []
    const { ending } = call
    const timeout = { is: "timeout", scope: "call" } as const
    const laterSlot = call.attempt > 1 && !call.whole
    const add = (condition: boolean, one: Ending | undefined) => condition && one !== undefined && endings.push(one)
    add(call.phase === "over" || call.phase === "timedOut", ending)
    add(
      call.phase === "failed" &&
        (call.left ||
          call.attempt >= this.numbers.retry!.maxAttempts ||
          this.moved(call, now) ||
          !this.fits(call, now)),
      ending
    )
    add(call.phase === "backoff" && this.moved(call, now), ending)
    add(call.phase === "queued" && now >= call.deadline, timeout)
    add((call.phase === "queued" || call.phase === "admitted") && laterSlot && this.moved(call, now), ending)
    return endings
  }

  private outcomes(call: CallModel, now: number): ReadonlyArray<Outcome> {
    if (!call.begun) return ["ignored"]
    const all = this.endings(call, now)
    const { ending } = call
    const own = call.phase === "failed" && ending !== undefined ? [...all, ending] : all
    return own.flatMap((one) => this.judged(call, one).map(outcomeOf))
  }

  /** The ending that says how the dependency did, for one of the call. */
  private judged(call: CallModel, ending: Ending): ReadonlyArray<Ending> {
    const perAttempt = this.numbers.perAttempt === true
    const nothing: Ending = { is: "interrupt" }
    const before = (perAttempt ? undefined : call.failed) ?? nothing
    if (ending.is === "interrupt") {
      // where turns are short, the call may not have seen yet that its attempt has failed
      return this.exact || before === nothing ? [before] : [before, call.failedBefore ?? nothing]
    }
    if (ending.is !== "timeout" || ending.scope !== "call" || call.hadTime === true) return [ending]
    return call.hadTime === undefined ? [ending, before] : [before]
  }

  /** How long the call took, as it is to tell a circuit that knows slow calls. Another is told nothing. */
  durationOf({ longest }: CallModel): number {
    const isAsked = this.numbers.circuit?.trips.some((trip) => slowAfter(trip) > 0)
    return isAsked === true ? longest : 0
  }

  feeds(circuit: string, now: number): void {
    this.circuits!.get(circuit).feed(now)
  }

  /** The time of an attempt is up: what that decides is reported before the effect has ended. */
  private timesOut(call: CallModel, now: number): void {
    must(now >= this.attemptEnds(call), "a report of a call that runs")
    call.ending = { is: "timeout", scope: this.scopeOf(call) }
    must(this.numbers.perAttempt === true || call.ending.scope === "call", "a report of an attempt that ran too long")
    call.phase = "timedOut"
  }

  /**
   * What the call tells the circuit, of which `slowFed` thresholds have counted it. Where turns are short, its own last look
   * at the circuit may have had it counted, or not.
   */
  records(call: CallModel, outcome: Outcome, hint: number, now: number, slowFed: number): void {
    must(call.owesReport && call.permit !== undefined, "a report that nobody owes")
    if (call.phase === "running") this.timesOut(call, now)
    must(
      this.numbers.perAttempt === true || call.phase !== "failed" || this.endings(call, now).length > 0,
      "a report too early"
    )
    must(this.outcomes(call, now).includes(outcome), "a report", outcome, this.outcomes(call, now), call.phase)
    const endings = this.endings(call, now)
    const own = (endings.length > 0 ? endings : call.ending === undefined ? [] : [call.ending]).flatMap((one) =>
      this.judged(call, one)
    )
    must(
      own.some((one) => hint === (["failure", "throttled"].includes(outcome) && one?.is === "failure" ? one.hint : 0)),
      "the hint",
      hint
    )
    // an attempt's own report is not yet the end of its call
    if (this.numbers.retry === undefined || this.numbers.perAttempt !== true) call.final = endings
    call.owesReport = false
    call.outcome = outcome
    this.useCircuit(call.user, now)
    this.circuits!.get(this.circuitOf(call.user)).record(
      call.permit,
      outcome,
      now,
      hint,
      this.exact ? call.permit.fed : slowFed,
      call.longest
    )
    // whether it goes on is decided in the same step, while its circuit cannot be forgotten
    call.left = call.phase === "failed" && this.moved(call, now)
  }

  releases(call: CallModel): void {
    must(call.slot && !["running", "timedOut"].includes(call.phase), "a slot given back by a call that is", call.phase)
    call.slot = false
    this.running--
  }

  givesBack(call: CallModel, now: number): void {
    must(!call.begun && call.taken !== undefined, "given back, and used")
    for (const field of ["limit", "shared"] as const) {
      const taken = call.taken[field]
      if (taken !== undefined) this.limits[field]!.get(this.keyOf(field, call.user)).giveBack(taken, now)
    }
    call.taken = undefined
  }

  ends(
    call: CallModel,
    event: { outcome: Outcome; attempts: number; duration: number; timedOut: boolean; rejected: boolean },
    now: number
  ): ReadonlyArray<Ending> {
    const endings = call.final ?? this.endings(call, now)
    must(endings.length > 0, "a call ended that was", call.phase, call.ending)
    const keeps = (["limit", "shared"] as const).some((field) => {
      const taken = call.taken?.[field]
      return !call.begun && taken !== undefined && this.limits[field]!.get(this.keyOf(field, call.user)).counts(taken)
    })
    must(!call.owesReport && !call.slot && !keeps, "a call ended, and keeps something")
    const told: ReadonlyArray<Outcome> = call.outcome === undefined ? this.outcomes(call, now) : [call.outcome]
    must(told.includes(event.outcome), "the outcome", event.outcome, told)
    const atTheDoor = call.phase === "admitted" && call.interrupted && event.attempts === call.attempt
    must(
      (event.attempts === call.attempts || atTheDoor) && event.duration === now - call.startedAt,
      "a call ended after",
      event
    )
    must(
      endings.some((ending) => event.rejected === (ending.is === "rejected")),
      "rejected",
      event.rejected
    )
    must(
      call.interrupted ||
        endings.some((ending) => event.timedOut === (ending.is === "timeout" && ending.scope === "call")),
      "timed out",
      event.timedOut
    )
    call.phase = "ended"
    return endings
  }

  /** A wait whose end has come goes on where attempts take less time by now. */
  private waitsOn(call: CallModel, now: number): void {
    must(now < call.deadline, "a wait without an end", call.user)
    if (now < call.waitsUntil) return
    const verdict = this.judge(call, now)
    must(verdict.is === "waits" && now < verdict.until, "a wait without an end", call.user)
    call.waitsUntil = verdict.until
  }

  /** What should have happened by now. */
  checkAtRest(now: number): void {
    const heads = new Set<string>()
    for (const call of this.calls.filter(({ live }) => live)) {
      const what = [call.user, call.phase]
      must(!call.interrupted, "an interrupted call goes on", ...what)
      must(["running", "queued", "backoff"].includes(call.phase), "a call is stuck", ...what)
      if (call.phase === "running") {
        must(call.told === undefined, "an effect has ended, and its call goes on", ...what)
        must(now < this.attemptEnds(call), "a timeout that does not come", ...what)
      }
      if (call.phase === "backoff")
        must(now < call.backoffUntil && !this.moved(call, now), "a backoff without an end", ...what)
    }
    for (const call of this.waiting) {
      this.waitsOn(call, now)
      const circuit = this.circuit(call.user, now)
      must(circuit === undefined || !circuit.isKnownToRefuse, "a wait before a circuit that is open", call.user)
      must(!(call.attempt > 1 && !call.whole) || !this.moved(call, now), "a wait after the circuit moved", call.user)
      const line = `${call.queue} ${call.queue === "limit" ? call.user : ""}`
      if (!heads.has(line))
        must(judge(this.asked(call, now), now).is !== "admitted", "the first of a line may go, and waits", call.user)
      heads.add(line)
    }
  }
}
