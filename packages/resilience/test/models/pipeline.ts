/**
 * The whole pipeline as a reference: it is told in order what happened, and throws at the first thing that should not
 * have. At rest it says what is overdue.
 */
import type { RefusedLimit } from "../../src/Rejection.ts"
import { type Asked, type AskedLimit, judge, type Verdict } from "./admission.ts"
import { CallModel, type Ending, outcomeOf } from "./call.ts"
import { CircuitModel, type Move, type Outcome } from "./circuit.ts"
import { Keyed } from "./keyed.ts"
import { type Meter, meterOf } from "./limits.ts"
import { CAP, grown, type LimitNumbers, type Numbers } from "./numbers.ts"

export const must: (condition: boolean, ...what: ReadonlyArray<unknown>) => asserts condition = (
  condition,
  ...what
) => {
  if (!condition) {
    const words = what.map((one) => (typeof one === "string" ? one : JSON.stringify(one)))
    throw new Error(words.join(" "))
  }
}

export const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** The waits that a refusal tells. */
const waitsIn = (rejection: unknown): ((name: string) => number | undefined) => {
  const { limits = [] } = rejection as { readonly limits?: ReadonlyArray<RefusedLimit> } // a rejection of ours
  return (name) => limits.find(({ limit }) => limit === name)?.retryAfterMillis
}

/** What only the service can say: which of several equal keys it has forgotten. */
export interface Oracle {
  readonly hasGone: (where: "limit" | "shared" | "circuit", key: string) => boolean
  readonly isFresh: (circuit: string) => boolean
}

/** Of a call's effect, its end and its hint are known by the test; of the rest, only what is seen. */
export class PipelineModel {
  readonly numbers: Numbers
  readonly calls: Array<CallModel> = []
  readonly limits: { readonly limit: Keyed<Meter> | undefined; readonly shared: Keyed<Meter> | undefined }
  readonly circuits: Keyed<CircuitModel> | undefined
  /** Since the last rest, by circuit. */
  private readonly moves = new Map<string, ReadonlyArray<Move>>()
  running = 0
  private arrivals = 0
  private readonly oracle: Oracle
  private readonly circuitLabel: string
  /** Where turns are short, a call looks at its circuit some turns before it goes on, and both need not agree. */
  private readonly exact: boolean

  constructor(numbers: Numbers, oracle: Oracle, circuitLabel: string, exact: boolean) {
    this.exact = exact
    this.numbers = numbers
    this.oracle = oracle
    this.circuitLabel = circuitLabel
    const { circuit, limit, shared } = numbers
    const limits = (field: "limit" | "shared", some: LimitNumbers | undefined) =>
      some === undefined
        ? undefined
        : new Keyed<Meter>({
            make: () => meterOf(some),
            maxKeys: some.maxKeys,
            endsAt: (meter, now) => meter.newFrom(now),
            inUse: (key) => this.waiting.some((call) => call.queue === field && this.keyOf(field, call.user) === key),
            hasGone: (key) => oracle.hasGone(field, key)
          })
    this.limits = { limit: limits("limit", limit), shared: limits("shared", shared) }
    this.circuits =
      circuit === undefined
        ? undefined
        : new Keyed<CircuitModel>({
            make: (key) =>
              new CircuitModel(circuit, (move) => {
                const label = circuit.byUser ? key : circuitLabel
                this.moves.set(label, [...(this.moves.get(label) ?? []), move])
              }),
            maxKeys: circuit.byUser ? circuit.maxKeys : undefined,
            endsAt: (one) => one.endsAt(),
            inUse: (key) => this.usesCircuit(key),
            hasGone: (key) => oracle.hasGone("circuit", key)
          })
  }

  labelOf(user: string): string {
    return JSON.stringify([["user", user]])
  }
  private keyOf(field: "limit" | "shared", user: string): string {
    if (field === "shared") return ""
    return this.numbers.shared === undefined ? this.labelOf(user) : user
  }
  circuitOf(user: string): string {
    return this.numbers.circuit?.byUser === true ? user : ""
  }
  private usesCircuit(key: string, backsOff = true): boolean {
    return this.calls.some(({ owesReport, phase, user }) => {
      const watches = phase === "queued" || (phase === "backoff" && backsOff)
      return this.circuitOf(user) === key && (owesReport || watches)
    })
  }
  get waiting(): ReadonlyArray<CallModel> {
    return this.calls.filter(({ phase }) => phase === "queued").toSorted((a, b) => a.order - b.order)
  }

  /** The circuit as of now. It may have been forgotten, where that is allowed. */
  circuit(user: string, now: number, isFresh = this.oracle.isFresh(this.circuitOf(user))): CircuitModel | undefined {
    const key = this.circuitOf(user)
    const known = this.circuits?.get(key)
    known?.settle(now)
    if (known === undefined || !isFresh || known.endsAt() > now) return known
    if (!this.usesCircuit(key, this.exact)) this.circuits!.forget(key)
    return this.circuits!.get(key)
  }

  private asked(call: CallModel, now: number): Asked {
    const circuit = this.circuit(call.user, now)
    const { limit, shared, slots } = this.numbers
    const limits = [
      ["limit", limit, shared === undefined ? "limit" : "user"] as const,
      ["shared", shared, "all"] as const
    ]
    return {
      call,
      label: this.labelOf(call.user),
      circuit,
      circuitLabel: this.numbers.circuit?.byUser === true ? call.user : this.circuitLabel,
      limits: limits.flatMap(([field, numbers, name]): ReadonlyArray<AskedLimit> => {
        if (numbers === undefined) return []
        const keyed = this.limits[field]!
        const key = this.keyOf(field, call.user)
        return [
          {
            field,
            name,
            key,
            numbers,
            meter: keyed.get(key),
            hasRoom: numbers.overflow === "evict" || keyed.hasRoom(key, now)
          }
        ]
      }),
      slots,
      running: this.running,
      waiting: this.waiting
    }
  }

  private judge(call: CallModel, now: number, atMost?: Asked["atMost"]): Verdict {
    this.circuit(call.user, now)?.feed(now)
    if (call.whole) this.useCircuit(call.user, now)
    return judge({ ...this.asked(call, now), atMost }, now)
  }

  private useCircuit(user: string, now: number): void {
    const circuit = this.circuits?.get(this.circuitOf(user))
    if (circuit !== undefined) circuit.lastUsed = now
  }

  moved(call: CallModel, now: number): boolean {
    const circuit = this.circuit(call.user, now)
    circuit?.feed(now)
    return call.permit !== undefined && circuit!.generation !== call.permit.generation
  }

  /** A backoff that is over, and whatever follows it in the same step. */
  private proceed(call: CallModel, now: number): void {
    if (call.phase !== "backoff") return
    must(now >= call.backoffUntil && !call.cut, "the next attempt comes too early", call.user)
    must(!this.exact || !this.moved(call, now), "an attempt after the circuit moved", call.user)
    call.attempt++
    call.order = Infinity
    call.arrivedAt = now
    call.whole = this.numbers.perAttempt === true
    call.phase = call.whole || this.numbers.slots !== undefined ? "asking" : "admitted"
    call.attemptAt = now
    if (call.whole) Object.assign(call, { begun: false, permit: undefined, taken: undefined })
  }

  queued(call: CallModel, policy: string, limit: string, now: number): void {
    this.proceed(call, now)
    const verdict = this.judge(call, now, () => 0)
    must(call.phase === "asking" && verdict.is === "waits", "a call waits, and should be", verdict)
    const name =
      verdict.queue === "slots"
        ? "bulkhead"
        : verdict.queue === "shared"
          ? "all"
          : this.numbers.shared
            ? "user"
            : "limit"
    must(limit === name && (policy === "bulkhead") === (name === "bulkhead"), "the queue", limit, name)
    Object.assign(call, { phase: "queued", queue: verdict.queue, waitsUntil: verdict.until, order: ++this.arrivals })
    if (this.circuits !== undefined) this.circuits.keep(this.circuitOf(call.user), now)
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
    if (!call.whole) return
    call.outcome = undefined
    if (this.circuits !== undefined) {
      call.permit = this.circuits.keep(this.circuitOf(call.user), now).admit(now)
      call.owesReport = true
    }
    const take = (field: "limit" | "shared") =>
      this.limits[field]?.keep(this.keyOf(field, call.user), now).take(call.cost, now)
    if (this.numbers.limit !== undefined) call.taken = { limit: take("limit"), shared: take("shared") }
  }

  rejected(call: CallModel, attempt: number, rejection: unknown, now: number): void {
    this.proceed(call, now)
    must(attempt === call.attempt, "the attempt", attempt, call.attempt)
    const verdict = this.judge(call, now, waitsIn(rejection))
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
  }

  attemptEnded(call: CallModel, attempt: number, result: string, duration: number, now: number): void {
    this.proceed(call, now)
    must(call.phase === "running" || call.phase === "admitted", "an attempt ends while its call is", call.phase)
    must(attempt === call.attempt && duration === now - call.attemptAt, "an attempt", attempt, duration)
    call.attempts = attempt
    const ending = this.endOfAttempt(call, result, now)
    call.ending = ending
    const retried = ending.is === "failure" ? ending.retried : ending.is === "timeout" && ending.scope === "attempt"
    const may = retried && this.numbers.retry !== undefined && (call.permit?.probe ?? 0) === 0
    call.phase = may ? "failed" : "over"
  }

  private endOfAttempt(call: CallModel, result: string, now: number): Ending {
    const { attemptTimeout = Infinity } = this.numbers
    if (result === "interrupt") {
      must(call.interrupted, "interrupted by nobody")
      return { is: "interrupt" }
    }
    if (result === "timeout") {
      const scope = call.deadline <= call.attemptAt + attemptTimeout ? "call" : "attempt"
      must(now >= Math.min(call.deadline, call.attemptAt + attemptTimeout), "a timeout too early")
      return { is: "timeout", scope }
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
    const hint = call.ending?.is === "failure" ? Math.min(call.ending.hint, 30_000) : 0
    const own = grown(retry.delay, retry.growth, attempt, CAP)
    must(delay === Math.max(own, hint), "the backoff", delay, own, hint)
    call.phase = "backoff"
    if (this.numbers.perAttempt === true) call.outcome = outcomeOf(call.ending!)
    call.backoffUntil = Math.min(now + delay, call.deadline)
    call.cut = now + delay >= call.deadline
  }

  /** How the call may end here and now. */
  private endings(call: CallModel, now: number): ReadonlyArray<Ending> {
    const endings: Array<Ending> = call.interrupted ? [{ is: "interrupt" }] : []
    const { ending } = call
    const timeout = { is: "timeout", scope: "call" } as const
    const laterSlot = call.attempt > 1 && !call.whole
    const add = (condition: boolean, one: Ending | undefined) => condition && one !== undefined && endings.push(one)
    add(call.phase === "over", ending)
    add(
      call.phase === "failed" &&
        (call.left || call.attempt >= this.numbers.retry!.maxAttempts || this.moved(call, now)),
      ending
    )
    add(call.phase === "backoff" && this.moved(call, now), ending)
    const isCut = call.phase === "backoff" && call.cut && now >= call.backoffUntil
    add(isCut && !(this.exact && this.moved(call, now)), timeout)
    add(call.phase === "queued" && now >= call.deadline, timeout)
    add((call.phase === "queued" || call.phase === "admitted") && laterSlot && this.moved(call, now), ending)
    return endings
  }

  private outcomes(call: CallModel, now: number): ReadonlyArray<Outcome> {
    if (!call.begun) return ["ignored"]
    const all = this.endings(call, now)
    const { ending } = call
    if (call.phase === "failed" && ending !== undefined) return [...all, ending].map(outcomeOf)
    return all.map(outcomeOf)
  }

  /** What the call tells the circuit. */
  records(call: CallModel, outcome: Outcome, duration: number, hint: number, now: number): void {
    must(call.owesReport && call.permit !== undefined, "a report that nobody owes")
    must(call.phase !== "running", "a report of a call that runs")
    must(
      this.numbers.perAttempt === true || call.phase !== "failed" || this.endings(call, now).length > 0,
      "a report too early"
    )
    must(this.outcomes(call, now).includes(outcome), "a report", outcome, this.outcomes(call, now), call.phase)
    must(duration === now - call.permit.at, "the duration of a call", duration)
    const endings = this.endings(call, now)
    const own = endings.length > 0 ? endings : [call.ending]
    must(
      own.some((one) => hint === (outcome === "failure" && one?.is === "failure" ? one.hint : 0)),
      "the hint",
      hint
    )
    // an attempt's own report is not yet the end of its call
    if (this.numbers.retry === undefined || this.numbers.perAttempt !== true) call.final = endings
    call.owesReport = false
    call.outcome = outcome
    this.useCircuit(call.user, now)
    this.circuits!.get(this.circuitOf(call.user)).record(call.permit, outcome, now, hint)
    // whether it goes on is decided in the same step, while its circuit cannot be forgotten
    call.left = call.phase === "failed" && this.moved(call, now)
  }

  releases(call: CallModel): void {
    must(call.slot && call.phase !== "running", "a slot given back by a call that is", call.phase)
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

  /** What should have happened by now. */
  checkAtRest(now: number): void {
    const heads = new Set<string>()
    for (const call of this.calls.filter(({ live }) => live)) {
      const { attemptTimeout = Infinity } = this.numbers
      const what = [call.user, call.phase]
      must(!call.interrupted, "an interrupted call goes on", ...what)
      must(["running", "queued", "backoff"].includes(call.phase), "a call is stuck", ...what)
      if (call.phase === "running") {
        must(call.told === undefined, "an effect has ended, and its call goes on", ...what)
        must(now < Math.min(call.deadline, call.attemptAt + attemptTimeout), "a timeout that does not come", ...what)
      }
      if (call.phase === "backoff")
        must(now < call.backoffUntil && !this.moved(call, now), "a backoff without an end", ...what)
    }
    for (const call of this.waiting) {
      must(now < Math.min(call.deadline, call.waitsUntil), "a wait without an end", call.user)
      const circuit = this.circuit(call.user, now)
      must(circuit === undefined || !circuit.isKnownToRefuse, "a wait before a circuit that is open", call.user)
      must(!(call.attempt > 1 && !call.whole) || !this.moved(call, now), "a wait after the circuit moved", call.user)
      const line = `${call.queue} ${call.queue === "limit" ? call.user : ""}`
      if (!heads.has(line))
        must(judge(this.asked(call, now), now).is !== "admitted", "the first of a line may go, and waits", call.user)
      heads.add(line)
    }
  }

  call(user: string, cost: number, maxWait: number | undefined, now: number): CallModel {
    const call = new CallModel(user, cost, maxWait, now, this.numbers.timeout ?? Infinity)
    this.calls.push(call)
    return call
  }

  /** What was taken before is nobody's to give back. */
  resetLimits(user: string | undefined): void {
    for (const field of ["limit", "shared"] as const) {
      const keyed = this.limits[field]
      if (keyed === undefined) continue
      const isReset = (key: string) => user === undefined || key === this.keyOf(field, user)
      for (const key of keyed.keys()) if (isReset(key)) keyed.renew(key)
      for (const call of this.calls) {
        if (call.taken !== undefined && isReset(this.keyOf(field, call.user))) {
          const left = { ...call.taken, [field]: undefined }
          call.taken = left.limit === undefined && left.shared === undefined ? undefined : left
        }
      }
    }
  }

  command(op: "isolate" | "close" | "reset", user: string, now: number, forgotten: boolean): void {
    const key = this.circuitOf(user)
    const circuit = this.circuit(user, now, forgotten)!
    const there = this.circuits!.isThere(key, now)
    circuit.command(op, now)
    circuit.lastUsed = now
    if (circuit.endsAt() > now) this.circuits!.keep(key, now, circuit, there)
  }

  look(user: string, now: number) {
    const of = (field: "limit" | "shared") => {
      const keyed = this.limits[field]
      if (keyed === undefined) return undefined
      const meter = keyed.get(this.keyOf(field, user))
      return {
        remaining: meter.remaining(now),
        resetAfterMillis: Math.max(0, meter.newFrom(now) - now),
        queued: this.waiting.filter((call) => call.queue === field && (field === "shared" || call.user === user))
          .length,
        waitFor: [meter.wait(1, now) ?? -1, meter.wait(3, now) ?? -1]
      }
    }
    const slots = this.numbers.slots
    return {
      limit: of("limit"),
      shared: of("shared"),
      circuit: this.circuit(user, now)?.look(now),
      slots: slots && {
        running: this.running,
        queued: this.waiting.filter(({ queue }) => queue === "slots").length,
        free: slots.maxConcurrent - this.running
      }
    }
  }

  /** Every circuit's moves were told, each once. */
  checkMoves(told: Map<string, ReadonlyArray<Move>>): void {
    const inOrder = (moves: Map<string, ReadonlyArray<Move>>) => Array.from(moves).sort(([a], [b]) => (a < b ? -1 : 1))
    must(same(inOrder(told), inOrder(this.moves)), "moves told", inOrder(told), "and should be", inOrder(this.moves))
    told.clear()
    this.moves.clear()
  }

  /** Whom anybody has called for. */
  users(): ReadonlyArray<string> {
    const users = new Set(this.calls.map(({ user }) => user))
    return Array.from(users.size === 0 ? ["ada"] : users)
  }

  /** Times to come at which something happens by itself. */
  dues(now: number): ReadonlyArray<number> {
    const { attemptTimeout = Infinity } = this.numbers
    const dues: Array<number> = []
    for (const call of this.calls.filter(({ live }) => live)) {
      dues.push(call.deadline, call.waitsUntil, call.backoffUntil)
      if (call.phase === "running") dues.push(call.attemptAt + attemptTimeout)
    }
    for (const user of this.users()) {
      dues.push(...(this.circuit(user, now)?.dues() ?? []))
      for (const field of ["limit", "shared"] as const) {
        const meter = this.limits[field]?.get(this.keyOf(field, user))
        if (meter !== undefined) dues.push(now + (meter.wait(1, now) ?? 0), meter.newFrom(now))
      }
    }
    return Array.from(new Set(dues.filter((due) => due > now && due < now + 1_000_000))).toSorted((a, b) => a - b)
  }
}
