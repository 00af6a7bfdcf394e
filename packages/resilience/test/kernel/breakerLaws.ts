/**
 * The laws of the circuit breaker, checked along random lives of random circuits: calls that report late, twice or with
 * forged permits, calls that hang, clocks that step back.
 */
import { assert } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import type {
  BreakerDecision,
  BreakerInput,
  BreakerPolicy,
  BreakerState,
  Transition,
  Trip
} from "../../src/kernel/Breaker.ts"
import { breaker, normalise, view } from "../../src/kernel/Breaker.ts"

export const DRAWS = 2 ** 30

const int = (minimum: number, maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** Any trip policy, small enough that a short life fills its window and overfills it. */
export const trip: Arbitrary.Arbitrary<Trip> = Arbitrary.all({
  kind: int(0, 4),
  failures: int(1, 4),
  within: int(1, 30),
  slowAfter: int(1, 20),
  ppm: int(1, 10),
  minimumCalls: int(1, 4),
  calls: int(1, 70),
  slice: int(1, 12),
  slices: int(1, 5)
}).pipe(
  Arbitrary.map((r): Trip => {
    if (r.kind < 2) return { kind: "consecutive", failures: r.failures, within: r.kind * r.within }
    const window = r.calls % 2 === 0 ? { calls: r.calls, slice: 1, slices: 1 } : { calls: 0, slice: r.slice, slices: r.slices }
    const slowAfter = r.kind === 2 ? 0 : r.slowAfter
    return { kind: "rate", slowAfter, ppm: r.ppm * 100_000, minimumCalls: r.minimumCalls, ...window }
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
  Arbitrary.all({ kind: int(0, 31), pick: int(0, 5), ms: int(0, 40), part: int(0, 5), draw: int(0, DRAWS - 1) }),
  { minLength: 1, maxLength: 60 }
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

const verdictOf = (policy: BreakerPolicy, ledger: Ledger) =>
  ledger.successes >= policy.required ? "Closed" : ledger.failures > policy.permitted - policy.required ? "Open" : "HalfOpen"

const reports = (input: BreakerInput): input is Extract<BreakerInput, { op: "record" | "slow" }> =>
  input.op === "record" || input.op === "slow"

const asksOrReports = (input: BreakerInput) => input.op === "admit" || reports(input)

const thresholds = (policy: BreakerPolicy): ReadonlyArray<number> =>
  policy.trips.flatMap((t) => (t.kind === "rate" && t.slowAfter > 0 ? [t.slowAfter] : [])).sort((a, b) => a - b)

const inputOf = (command: Command, state: BreakerState, permits: ReadonlyArray<Permit>): BreakerInput => {
  const { draw, kind, ms, part, pick } = command
  if (kind < 10) return { op: "admit", draw }
  if (kind >= 29) return { op: kind === 29 ? "isolate" : kind === 30 ? "close" : "reset" }
  const forged = { generation: state.generation + part - 1, probe: pick }
  // The newest first, so that small numbers report in time and large ones late.
  const permit = kind === 28 ? forged : (permits[permits.length - 1 - pick] ?? forged)
  if (kind >= 26) return { op: "slow", ...permit, rank: part % 3, draw }
  const outcome = kind < 15 ? "success" : kind < 24 ? "failure" : "ignored"
  const retryAfter = part === 5 ? ms * 4 : 0
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
    // Half of the commands come at the same instant as the one before; one in 24 sees the clock step back.
    if (command.ms % 2 === 0) now = command.pick === 5 && command.part === 5 ? now - command.ms : now + command.ms
    now = Math.max(now, from.now)
    const input = inputOf(command, state, permits)
    const [answer, next] = breaker.step(policy, state, input, now)

    const seen: Ledger | undefined = ledger === undefined ? undefined : { ...ledger, slots: [...ledger.slots] }
    while (seen !== undefined && verdictOf(policy, seen) === "HalfOpen" && (seen.slots[0]?.deadline ?? Infinity) <= now) {
      seen.slots.shift()
      seen.failures++
    }
    const halfOpen = seen !== undefined && verdictOf(policy, seen) === "HalfOpen"
    let known = false
    if (reports(input)) {
      const slot = seen?.slots.find((slot) => halfOpen && seen.generation === input.generation && slot.id === input.probe)
      const current = normalise(policy, state, now)
      known = slot !== undefined || (current.phase === "Closed" && current.generation === input.generation && input.probe === 0)
      if (slot !== undefined && seen !== undefined) {
        seen.slots = seen.slots.filter((other) => other !== slot)
        const slow = input.op === "slow" || input.duration >= slowest
        if (input.op === "slow" || (input.outcome !== "ignored" && (slow || input.outcome === "failure"))) seen.failures++
        else if (input.outcome === "success") seen.successes++
      }
    }
    let after = seen
    if (answer.probe > 0) {
      const current = seen?.generation === answer.generation ? seen : undefined
      const lease = policy.lease > 0 ? policy.lease : Math.max(next.openFor, 60_000)
      const deadline = Math.max(current?.slots.at(-1)?.deadline ?? 0, Math.max(now, next.since) + lease)
      after = current ?? { generation: answer.generation, slots: [], successes: 0, failures: 0 }
      after.slots.push({ id: answer.probe, deadline })
    }
    visit({ state, now, input, answer, next, known, ledger: after, rest: commands.slice(i + 1) })
    const over = after === undefined || verdictOf(policy, after) !== "HalfOpen" || !asksOrReports(input)
    if (next !== state) ledger = over ? undefined : after
    if (input.op === "admit" && answer.allowed) permits.push({ generation: answer.generation, probe: answer.probe })
    state = next
  })
}

type Law = (policy: BreakerPolicy, commands: ReadonlyArray<Command>) => void

/** A step behaves as the same step of the settled state, and settling in two steps is settling in one. */
export const settles: Law = (policy, commands) =>
  live(policy, commands, ({ state, now, input, answer, next, rest }) => {
    const settled = normalise(policy, state, now)
    const [sameAnswer, sameNext] = breaker.step(policy, settled, input, now)
    assert.deepStrictEqual({ ...sameAnswer, transitions: [] }, { ...answer, transitions: [] })
    assert.deepStrictEqual(normalise(policy, sameNext, now), normalise(policy, next, now))
    const due = answer.transitions.length - sameAnswer.transitions.length
    assert.deepStrictEqual(answer.transitions.slice(due), [...sameAnswer.transitions])
    const early = now + (rest[0]?.ms ?? 0)
    for (const late of [early, early + 1, early + (rest[1]?.ms ?? 0), early + 100_000]) {
      assert.deepStrictEqual(
        normalise(policy, normalise(policy, next, early), late),
        normalise(policy, next, late)
      )
    }
  })

const EDGES: Record<string, (input: BreakerInput) => boolean> = {
  "Closed>Open": reports,
  "Open>HalfOpen": () => true,
  "HalfOpen>Open": () => true,
  "HalfOpen>Closed": (input) => input.op === "record" || input.op === "close" || input.op === "reset",
  "Open>Closed": (input) => input.op === "close" || input.op === "reset",
  "Isolated>Closed": (input) => input.op === "close" || input.op === "reset",
  "Closed>Isolated": (input) => input.op === "isolate",
  "Open>Isolated": (input) => input.op === "isolate",
  "HalfOpen>Isolated": (input) => input.op === "isolate"
}

/** Only legal moves, each told once and in order; generations grow; an opening lasts what the policy says. */
export const movesLegally: Law = (policy, commands) => {
  let last: Transition = { from: "Closed", to: "Closed", at: 0, generation: 0, openFor: 0 }
  let openings = 0
  let previous = 0
  live(policy, commands, ({ state, input, answer, next }) => {
    for (const move of answer.transitions) {
      assert.strictEqual(move.from, last.to)
      assert.isTrue(EDGES[`${move.from}>${move.to}`]?.(input) ?? false, `${move.from}>${move.to} by ${input.op}`)
      assert.isAtLeast(move.at, last.at)
      assert.isAbove(move.generation, last.generation)
      assert.isAtLeast(move.generation, move.at)
      if (move.from === "Open" && move.to === "HalfOpen") assert.strictEqual(move.at, last.at + last.openFor)
      if (move.to === "Open") {
        const low = policy.openLow[Math.min(openings, policy.openLow.length - 1)] ?? 0
        const listed = policy.openHigh[Math.min(openings, policy.openHigh.length - 1)] ?? 0
        const grown = Math.min(policy.openCap, policy.openGrowth * previous)
        const high = Math.max(1, low, policy.openGrowth > 0 && openings > 0 ? grown : listed)
        const told = input.op === "record" && move === answer.transitions.at(-1) ? Math.min(input.retryAfter, policy.openCap) : 0
        assert.isAtLeast(move.openFor, Math.max(1, low, next.phase === "Open" && input.op === "record" ? told : 0))
        assert.isAtMost(move.openFor, Math.max(high, told))
        openings++
        previous = move.openFor
      } else {
        assert.strictEqual(move.openFor, 0)
      }
      if (move.to === "Closed") openings = 0
      last = move
    }
    assert.strictEqual(next.phase, last.to)
    if (next.generation !== last.generation) {
      assert.strictEqual(input.op, "reset")
      assert.isAbove(next.generation, state.generation)
      last = { ...last, generation: next.generation, at: next.since }
    }
  })
}

/** What is reported with a permit that does not stand changes nothing. */
export const dropsUnknown: Law = (policy, commands) =>
  live(policy, commands, ({ state, now, input, answer, next, known }) => {
    if (reports(input) && !known) {
      assert.strictEqual(next, state)
      assert.lengthOf(answer.transitions, 0)
    }
    if (!reports(input)) return
    for (const away of [-1, 1, 1000]) {
      const generation = answer.generation + away
      const stranger = { ...input, generation }
      const current = normalise(policy, next, now)
      if (generation !== current.generation) assert.strictEqual(breaker.step(policy, next, stranger, now)[1], next)
    }
    if (next.phase === "Open" || next.phase === "Isolated") {
      const inside = { ...input, generation: next.generation }
      if (normalise(policy, next, now) === next) assert.strictEqual(breaker.step(policy, next, inside, now)[1], next)
    }
  })

/** A half-open period lets `permitted` calls through, decided or in flight, and is decided as soon as it can be. */
export const boundsProbes: Law = (policy, commands) =>
  live(policy, commands, ({ input, answer, ledger }) => {
    if (input.op === "admit") {
      const allowed = answer.phase === "Closed" || answer.phase === "HalfOpen"
      if (answer.phase !== "HalfOpen") assert.strictEqual(answer.allowed, allowed)
      assert.strictEqual(answer.probe > 0, answer.allowed && answer.phase === "HalfOpen")
    }
    if (ledger === undefined || !asksOrReports(input)) return
    const used = ledger.slots.length + ledger.successes + ledger.failures
    assert.isAtMost(used, policy.permitted)
    const verdict = verdictOf(policy, ledger)
    if (verdict === "Closed") assert.strictEqual(answer.phase, "Closed")
    if (verdict === "Open") assert.isAbove(answer.generation, ledger.generation)
    if (verdict === "HalfOpen") assert.deepEqual([answer.phase, answer.generation], ["HalfOpen", ledger.generation])
    if (verdict === "HalfOpen" && !answer.allowed) assert.strictEqual(used, policy.permitted)
  })

/** A refusal says when it ends if nothing is reported: not a millisecond early, not one late, and never "never". */
export const tellsRetryAfter: Law = (policy, commands) =>
  live(policy, commands, ({ next: state, now }) => {
    const ask = (at: number) => breaker.step(policy, state, { op: "admit", draw: 7 }, at)[0]
    const { allowed, phase, retryAfter } = ask(now)
    assert.strictEqual(view(policy, state, now).retryAfter, retryAfter)
    if (phase === "Isolated") {
      assert.deepEqual([allowed, retryAfter, ask(now + 10 ** 12).allowed], [false, -1, false])
    } else if (allowed) {
      assert.strictEqual(retryAfter, 0)
    } else {
      assert.isAbove(retryAfter, 0)
      for (let ms = 0; ms < retryAfter; ms = ms < 100 || ms > retryAfter - 100 ? ms + 1 : retryAfter - 100) {
        const earlier = ask(now + ms)
        assert.deepEqual([earlier.allowed, earlier.retryAfter], [false, retryAfter - ms])
      }
      for (const late of [0, 1, 1000]) assert.isTrue(ask(now + retryAfter + late).allowed)
    }
  })

/** A refusal leaves the very state it was given, and so does an admission while closed; only asking can be refused. */
export const refusesWithoutTrace: Law = (policy, commands) =>
  live(policy, commands, ({ state, input, answer, next }) => {
    if (!answer.allowed) assert.deepEqual([input.op, next === state, answer.transitions.length], ["admit", true, 0])
    if (input.op === "admit" && answer.phase === "Closed") assert.strictEqual(next, state)
  })

const wholeNumbers = (value: unknown): boolean =>
  typeof value === "number"
    ? Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0)
    : typeof value === "object" && value !== null
      ? Object.values(value).every(wholeNumbers)
      : typeof value === "string"

/** A state is plain data of whole numbers, and goes on the same after it was written and read. */
export const serialises: Law = (policy, commands) =>
  live(policy, commands, ({ state, now, input, answer, next }) => {
    const read: BreakerState = JSON.parse(JSON.stringify(state))
    assert.deepStrictEqual(read, state)
    assert.isTrue(wholeNumbers(next), JSON.stringify(next))
    assert.deepStrictEqual(breaker.step(policy, read, input, now), [answer, next])
    // What changes nothing is recognised by identity, also by a reader of a written state.
    assert.strictEqual(breaker.step(policy, read, input, now)[1] === read, next === state)
  })

/** Once it may be forgotten, a circuit behaves like a new one, and no generation comes again. */
export const forgets: Law = (policy, commands) =>
  live(policy, commands, ({ next, now, rest }) => {
    const expiry = breaker.expiresAt(policy, next)
    if (next.phase !== "Closed") assert.isUndefined(expiry)
    if (expiry === undefined) return
    const at = Math.max(now, expiry)
    const life = (state: BreakerState) => {
      const seen: Array<unknown> = []
      live(policy, rest, ({ answer, input, now, next: after }) => {
        const { generation, ...rest } = answer
        seen.push(generation === next.generation || generation === 0 ? rest : answer)
        if (next.generation > 0) {
          assert.isTrue(answer.transitions.every((move) => move.generation > next.generation))
          const late = { op: "record", generation: next.generation, probe: 0, outcome: "failure", draw: 0 } as const
          const record = { ...late, duration: 99, slowFed: 0, retryAfter: 0 }
          if (state !== next) assert.strictEqual(breaker.step(policy, after, record, now)[1], after, input.op)
        }
      }, { state, now: at })
      return seen
    }
    assert.deepStrictEqual(life(next), life(breaker.initial(policy)))
  })

/** A slow call counts once, whether it is told while in flight or when it ends. */
export const countsSlowOnce: Law = (policy, commands) =>
  live(policy, commands, ({ state, now, input }) => {
    if (input.op !== "record" || input.outcome === "ignored" || input.probe !== 0) return
    const fed = thresholds(policy).filter((threshold) => input.duration >= threshold).length
    const [, whole] = breaker.step(policy, state, { ...input, slowFed: 0 }, now)
    let parts = state
    for (let rank = 0; rank < fed; rank++) {
      parts = breaker.step(policy, parts, { ...input, op: "slow", rank }, now)[1]
    }
    parts = breaker.step(policy, parts, { ...input, slowFed: fed }, now)[1]
    assert.strictEqual(parts.phase, whole.phase)
    if (parts.phase === "Closed") assert.deepStrictEqual(parts, whole)
  })
