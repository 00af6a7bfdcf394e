/** The policies' state as the models have it, and everything that can be asked of it. */
import { type Asked, type AskedLimit, judge, type Verdict } from "./admission.ts"
import { CallModel } from "./call.ts"
import { CircuitModel, type Move } from "./circuit.ts"
import { type Estimate, estimateOf } from "./estimate.ts"
import { Keyed } from "./keyed.ts"
import { type Meter, meterOf } from "./limits.ts"
import type { LimitNumbers, Numbers } from "./numbers.ts"

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

/** What only the service can say: which of several equal keys it has forgotten, and who has left a line silently. */
export interface Oracle {
  readonly hasGone: (where: "limit" | "shared" | "circuit", key: string) => boolean
  readonly isFresh: (circuit: string) => boolean
  readonly stands: (call: CallModel) => boolean
  readonly now: () => number
  /** How long the service expects an attempt to take. */
  readonly expects: (now: number) => number | undefined
}

export class PoliciesModel {
  readonly numbers: Numbers
  readonly calls: Array<CallModel> = []
  readonly limits: { readonly limit: Keyed<Meter> | undefined; readonly shared: Keyed<Meter> | undefined }
  readonly circuits: Keyed<CircuitModel> | undefined
  /** Since the last rest, by circuit. */
  private readonly moves = new Map<string, ReadonlyArray<Move>>()
  running = 0
  private readonly oracle: Oracle
  private readonly circuitLabel: string
  /** Where turns are short, a call looks at its circuit some turns before it goes on, and both need not agree. */
  protected readonly exact: boolean
  protected readonly note: (what: string) => void
  readonly estimate: Estimate | undefined

  constructor(numbers: Numbers, oracle: Oracle, circuitLabel: string, exact: boolean, note: (what: string) => void) {
    this.note = note
    this.exact = exact
    this.numbers = numbers
    this.estimate = estimateOf(numbers)
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
            rankOf: (meter) => meter.rank(),
            inUse: (key) => this.waiting.some((call) => call.queue === field && this.keyOf(field, call.user) === key),
            hasGone: (key) => oracle.hasGone(field, key),
            onEvict: () => note("evicted")
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
            rankOf: (one) => one.rank,
            inUse: (key) => this.usesCircuit(key),
            hasGone: (key) => oracle.hasGone("circuit", key),
            onEvict: () => note("evicted")
          })
  }

  labelOf(user: string): string {
    return JSON.stringify([["user", user]])
  }
  protected keyOf(field: "limit" | "shared", user: string): string {
    if (field === "shared") return ""
    return this.numbers.shared === undefined ? this.labelOf(user) : user
  }
  circuitOf(user: string): string {
    return this.numbers.circuit?.byUser === true ? user : ""
  }
  protected usesCircuit(key: string, backsOff = true): boolean {
    return this.calls.some(({ owesReport, phase, user }) => {
      // a call that has failed goes on in the same step, with its circuit still there
      const watches = phase === "queued" || ((phase === "failed" || phase === "backoff") && backsOff)
      return this.circuitOf(user) === key && (owesReport || watches)
    })
  }
  get waiting(): ReadonlyArray<CallModel> {
    const waiting = this.calls.filter((call) => call.phase === "queued" && !this.hasLeft(call))
    return waiting.toSorted((a, b) => a.order - b.order)
  }
  /** Where turns are short, who gives up leaves the line some turns before anything is heard of it. */
  private hasLeft(call: CallModel): boolean {
    if (this.exact) return false
    const now = this.oracle.now()
    const givesUp = now >= call.deadline || (!call.whole && this.moved(call, now))
    return givesUp && !this.oracle.stands(call)
  }

  /** The circuit as of now. It may have been forgotten, where that is allowed. */
  circuit(user: string, now: number, isFresh = this.oracle.isFresh(this.circuitOf(user))): CircuitModel | undefined {
    const key = this.circuitOf(user)
    const known = this.circuits?.get(key)
    known?.settle(now)
    if (known === undefined || !isFresh || known.endsAt() > now) return known
    if (!this.usesCircuit(key, this.exact)) {
      this.note("forgotten")
      this.circuits!.forget(key)
    }
    return this.circuits!.get(key)
  }

  protected asked(call: CallModel, now: number): Asked {
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
      ends: this.endOf(call, now),
      running: this.running,
      waiting: this.waiting
    }
  }

  /** How long an attempt is expected to take. Where turns are short, the service hears of one some turns before or after. */
  expects(now: number): number | undefined {
    return this.exact ? this.estimate?.at(now) : this.oracle.expects(now)
  }

  /** When its waits end at the latest. */
  protected endOf(call: CallModel, now: number): number {
    return call.deadline === Infinity ? Infinity : call.deadline - (this.expects(now) ?? 0)
  }

  protected judge(call: CallModel, now: number): Verdict {
    this.circuit(call.user, now)?.feed(now)
    if (call.whole) this.useCircuit(call.user, now)
    return judge(this.asked(call, now), now)
  }

  protected useCircuit(user: string, now: number): void {
    const circuit = this.circuits?.get(this.circuitOf(user))
    if (circuit !== undefined) circuit.lastUsed = now
  }

  moved(call: CallModel, now: number): boolean {
    const circuit = this.circuit(call.user, now)
    circuit?.feed(now)
    return call.permit !== undefined && circuit!.generation !== call.permit.generation
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
    const circuit = this.circuit(user, now)
    if (circuit?.inFlight.some(({ fed, generation }) => fed > 0 && generation === circuit.generation)) this.note("slow")
    return {
      limit: of("limit"),
      shared: of("shared"),
      circuit: circuit?.look(now),
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
      dues.push(call.deadline, call.waitsUntil, call.backoffUntil, this.endOf(call, now))
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
