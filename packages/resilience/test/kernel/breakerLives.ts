/**
 * Random lives of random circuits: calls that report late, twice or with forged permits, calls that hang, clocks that step
 * back. Beside the kernel a ledger of the probes is kept, by simple means.
 */
import { Arbitrary, Schema } from "effect"
import type { BreakerDecision, BreakerInput, BreakerPolicy, BreakerState, Trip } from "../../src/kernel/Breaker.ts"
import { breaker, normalise, view } from "../../src/kernel/Breaker.ts"

export const DRAWS = 2 ** 30

export const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** Any trip policy, small enough that a short life fills its window and overfills it. */
export const trip: Arbitrary.Arbitrary<Trip> = Arbitrary.all({
  kind: int(0, 5),
  failures: int(1, 4),
  within: int(1, 30),
  slowAfter: int(1, 20),
  tenths: int(1, 10),
  minimumCalls: int(1, 4),
  calls: int(1, 70),
  slice: int(1, 12),
  slices: int(1, 5)
}).pipe(
  Arbitrary.map((r): Trip => {
    if (r.kind < 2) return { kind: "consecutive", failures: r.failures, within: r.kind * r.within }
    if (r.kind === 5) return { kind: "failures", failures: r.failures, within: r.within }
    const window =
      r.calls % 2 === 0 ? { calls: r.calls, slice: 1, slices: 1 } : { calls: 0, slice: r.slice, slices: r.slices }
    const slowAfter = r.kind === 2 ? 0 : r.slowAfter
    return { kind: "rate", slowAfter, threshold: r.tenths / 10, minimumCalls: r.minimumCalls, ...window }
  })
)

export const policy: Arbitrary.Arbitrary<BreakerPolicy> = Arbitrary.all({
  trips: Arbitrary.array(trip, { minLength: 1, maxLength: 3 }),
  open: Arbitrary.array(int(0, 30), { minLength: 1, maxLength: 3 }),
  spread: int(0, 15),
  growth: int(0, 3),
  cap: int(30, 80),
  required: int(1, 3),
  spare: int(0, 2),
  lease: int(0, 40)
}).pipe(
  Arbitrary.map(({ trips, open, spread, growth, cap, required, spare, lease }): BreakerPolicy => ({
    trips,
    openLow: open,
    openHigh: open.map((low) => low + spread),
    openGrowth: growth,
    openCap: cap,
    permitted: required + spare,
    required,
    lease
  }))
)

export interface Command {
  readonly kind: number
  readonly pick: number
  readonly ms: number
  readonly part: number
  readonly draw: number
}

export const commands: Arbitrary.Arbitrary<ReadonlyArray<Command>> = Arbitrary.array(
  Arbitrary.all({ kind: int(0, 63), pick: int(0, 4), ms: int(0, 40), part: int(0, 5), draw: int(0, DRAWS - 1) }),
  { minLength: 1, maxLength: 80 }
)

interface Permit {
  readonly generation: number
  readonly probe: number
}

/** What a half-open period must look like, kept by simple means beside the kernel. */
interface Ledger {
  generation: number
  slots: Array<{ readonly id: number; readonly deadline: number }>
  successes: number
  failures: number
  /** A probe was told "not now". */
  throttled: boolean
}

/** One step of a life. `known`: by the ledger, the input reports with a permit that still stands. */
export interface Visit {
  readonly state: BreakerState
  readonly now: number
  readonly input: BreakerInput
  readonly answer: BreakerDecision
  readonly next: BreakerState
  readonly known: boolean
  readonly ledger: Ledger | undefined
  readonly rest: ReadonlyArray<Command>
}

export const verdictOf = (policy: BreakerPolicy, ledger: Ledger) =>
  ledger.successes >= policy.required
    ? "Closed"
    : ledger.throttled || ledger.failures > policy.permitted - policy.required
      ? "Open"
      : "HalfOpen"

export const reports = (input: BreakerInput): input is Extract<BreakerInput, { op: "record" | "slow" }> =>
  input.op === "record" || input.op === "slow"

export const asksOrReports = (input: BreakerInput) => input.op === "admit" || reports(input)

export const thresholds = (policy: BreakerPolicy): ReadonlyArray<number> =>
  policy.trips.flatMap((t) => (t.kind === "rate" && t.slowAfter > 0 ? [t.slowAfter] : [])).sort((a, b) => a - b)

const inputOf = (command: Command, state: BreakerState, permits: ReadonlyArray<Permit>): BreakerInput => {
  const { draw, kind, ms, part, pick } = command
  if (kind < 24) return state.phase === "Isolated" && kind < 4 ? { op: "close" } : { op: "admit", draw }
  if (kind >= 61) return { op: kind === 61 ? "isolate" : kind === 62 ? "close" : "reset" }
  const forged = { generation: state.generation + part - 1, probe: pick }
  // The newest first: small numbers report in time, large ones late.
  const permit = kind === 60 ? forged : (permits[permits.length - 1 - pick] ?? forged)
  if (kind >= 57) return { op: "slow", ...permit, rank: part % 3, draw }
  const outcome = kind < 38 ? "success" : kind < 50 ? "failure" : kind < 55 ? "throttled" : "ignored"
  const retryAfter = part === 5 || (kind >= 50 && part > 2) ? ms * 4 : 0
  return { op: "record", ...permit, outcome, duration: ms, slowFed: part % 3, retryAfter, draw }
}

/** Lives a life, and shows every step of it. */
export const live = (
  policy: BreakerPolicy,
  commands: ReadonlyArray<Command>,
  visit: (visit: Visit) => void,
  from: { readonly state: BreakerState; readonly now: number } = { state: breaker.initial(policy), now: 0 }
): void => {
  const permits: Array<Permit> = []
  const slowest = thresholds(policy)[0] ?? Infinity
  let { now, state } = from
  let ledger: Ledger | undefined
  commands.forEach((command, i) => {
    // Half of the commands come in the same instant as the one before, some after what the circuit asked to wait, and
    // for some the clock has stepped back.
    if (command.kind < 6) now += Math.max(0, view(policy, state, now).retryAfter)
    else if (command.ms % 2 === 0) now += command.pick === 4 && command.part > 2 ? -command.ms : command.ms
    now = Math.max(now, from.now)
    const input = inputOf(command, state, permits)
    const [answer, next] = breaker.step(policy, state, input, now)

    const seen: Ledger | undefined = ledger === undefined ? undefined : { ...ledger, slots: [...ledger.slots] }
    for (const slot of ledger?.slots ?? []) {
      if (seen === undefined || slot.deadline > now || verdictOf(policy, seen) !== "HalfOpen") break
      seen.slots.shift()
      seen.failures++
    }
    const halfOpen = seen !== undefined && verdictOf(policy, seen) === "HalfOpen"
    let known = false
    if (reports(input)) {
      const slot = seen?.slots.find(
        (slot) => halfOpen && seen.generation === input.generation && slot.id === input.probe
      )
      const current = normalise(policy, state, now)
      known =
        slot !== undefined ||
        (current.phase === "Closed" && current.generation === input.generation && input.probe === 0)
      if (slot !== undefined && seen !== undefined) {
        seen.slots = seen.slots.filter((other) => other !== slot)
        const slow = input.op === "slow" || input.duration >= slowest
        const outcome = input.op === "slow" ? "failure" : input.outcome
        if (outcome === "throttled") seen.throttled = true
        else if (outcome === "failure" || (slow && outcome === "success")) seen.failures++
        else if (outcome === "success") seen.successes++
      }
    }
    let after = seen
    if (answer.probe > 0) {
      const current = seen?.generation === answer.generation ? seen : undefined
      const lease = policy.lease > 0 ? policy.lease : Math.max(next.openFor, 60_000)
      const deadline = Math.max(current?.slots.at(-1)?.deadline ?? 0, Math.max(now, next.since) + lease)
      after = current ?? { generation: answer.generation, slots: [], successes: 0, failures: 0, throttled: false }
      after.slots.push({ id: answer.probe, deadline })
    }
    visit({ state, now, input, answer, next, known, ledger: after, rest: commands.slice(i + 1) })
    const over = after === undefined || verdictOf(policy, after) !== "HalfOpen" || !asksOrReports(input)
    if (next !== state) ledger = over ? undefined : after
    if (input.op === "admit" && answer.allowed) permits.push({ generation: answer.generation, probe: answer.probe })
    state = next
  })
}
