/**
 * The laws of the circuit breaker, checked at every step of a life.
 */
import { assert } from "@effect/vitest"
import type { BreakerInput, BreakerPolicy, BreakerState, Transition } from "../../src/kernel/Breaker.ts"
import { breaker, indifferent, letsAll, normalise, view } from "../../src/kernel/Breaker.ts"
import type { Command } from "./breakerLives.ts"
import { asksOrReports, live, reports, thresholds, verdictOf } from "./breakerLives.ts"

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
      assert.deepStrictEqual(normalise(policy, normalise(policy, next, early), late), normalise(policy, next, late))
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
  let last: Transition = { from: "Closed", to: "Closed", at: 0, generation: 0, openFor: 0, openedBy: "none" }
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
        const grown = Math.min(policy.openHigh.at(-1) ?? 0, policy.openGrowth * previous)
        const high = Math.max(1, low, policy.openGrowth > 0 && openings > 0 ? grown : listed)
        const told =
          input.op === "record" && move === answer.transitions.at(-1) ? Math.min(input.retryAfter, policy.openCap) : 0
        assert.isAtLeast(move.openFor, Math.max(1, low, next.phase === "Open" && input.op === "record" ? told : 0))
        assert.isAtMost(move.openFor, Math.max(high, told))
        openings++
        previous = move.openFor
      } else {
        assert.strictEqual(move.openFor, 0)
      }
      if (move.to === "Closed") openings = 0
      assert.strictEqual(move.openedBy === "none", move.to !== "Open")
      if (move.to === "Open") assert.strictEqual(move.openedBy === "probe", move.from === "HalfOpen")
      last = move
    }
    if (next.phase === "Open" && next.openFor > last.openFor) {
      assert.isTrue(
        input.op === "record" && input.outcome === "throttled",
        "only what is throttled lengthens an opening"
      )
      previous = next.openFor
      last = { ...last, openFor: next.openFor }
    }
    assert.strictEqual(next.phase, last.to)
    if (next.phase === "Open") assert.strictEqual(next.openedBy, last.openedBy)
    assert.strictEqual(next.openedBy === "none", next.phase === "Closed" || next.phase === "Isolated")
    if (next.generation !== last.generation) {
      assert.strictEqual(input.op, "reset")
      assert.isAbove(next.generation, state.generation)
      last = { ...last, generation: next.generation, at: next.since }
    }
  })
}

/**
 * What is reported with a permit that does not stand changes nothing, but for a throttled call of the generation that the
 * opening ended: that lasts as long as the call asks, up to the longest opening.
 */
export const dropsUnknown: Law = (policy, commands) => {
  let [generation, ended]: [number, number | undefined] = [0, undefined]
  live(policy, commands, ({ state, now, input, answer, next, known }) => {
    const settled = normalise(policy, state, now)
    const endedHere = settled.generation === state.generation ? ended : state.generation
    if (reports(input) && !known) {
      const asks = input.op === "record" && input.outcome === "throttled"
      const at = Math.max(now, settled.since)
      const asked = asks ? Math.min(at - settled.since + input.retryAfter, policy.openCap) : 0
      if (settled.phase === "Open" && input.generation === endedHere && asked > settled.openFor) {
        assert.deepStrictEqual(next, { ...settled, openFor: asked })
      } else {
        assert.strictEqual(next, state)
        assert.lengthOf(answer.transitions, 0)
      }
    }
    for (const move of answer.transitions) {
      ended = move.to === "Open" ? generation : undefined
      generation = move.generation
    }
    generation = next.generation // of a reset, nothing is told
    if (!reports(input)) return
    for (const away of [-1, 1, 1000]) {
      const generation = answer.generation + away
      const stranger = { ...input, generation }
      const current = normalise(policy, next, now)
      if (generation === current.generation || (current.phase === "Open" && generation === current.ended)) continue
      assert.strictEqual(breaker.step(policy, next, stranger, now)[1], next)
    }
    if (next.phase === "Open" || next.phase === "Isolated") {
      const inside = { ...input, generation: next.generation }
      if (normalise(policy, next, now) === next) assert.strictEqual(breaker.step(policy, next, inside, now)[1], next)
    }
  })
}

/** What is throttled counts nowhere while closed, however slow it was; of a probe, it opens the circuit again. */
export const heedsThrottling: Law = (policy, commands) =>
  live(policy, commands, ({ answer, input, known, next, now, state }) => {
    if (input.op !== "record" || input.outcome !== "throttled" || !known) return
    if (normalise(policy, state, now).phase === "Closed") return assert.strictEqual(next, state)
    assert.strictEqual(next.phase, "Open")
    assert.strictEqual(answer.transitions.at(-1)?.openFor, next.openFor)
    assert.isAtLeast(next.openFor, Math.min(input.retryAfter, policy.openCap))
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
      for (let ms = 0; ms < retryAfter; ms = ms < 100 || ms >= retryAfter - 100 ? ms + 1 : retryAfter - 100) {
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

/** A circuit that is said to let everybody through tells all the same, whenever they come, and stays as it is. */
export const letsAllThrough: Law = (policy, commands) =>
  live(policy, commands, ({ next, now, rest }) => {
    if (!letsAll(next)) return
    const [first] = breaker.step(policy, next, { op: "admit", draw: 0 }, now)
    assert.isTrue(first.allowed)
    for (const late of [now, now + 1, now + (rest[0]?.ms ?? 0), now + 100_000]) {
      const [answer, state] = breaker.step(policy, next, { op: "admit", draw: rest.length }, late)
      assert.deepStrictEqual(answer, first)
      assert.strictEqual(state, next)
    }
  })

/** Where a circuit is said not to care for a success, none changes it, whenever it comes and whoever reports it. */
export const isIndifferent: Law = (policy, commands) =>
  live(policy, commands, ({ next, now, rest }) => {
    if (!indifferent(policy, next)) return
    for (const late of [now, now + 1, now + (rest[0]?.ms ?? 0), now + 100_000]) {
      for (const away of [-1, 0, 1]) {
        const permit = { generation: next.generation + away, probe: rest.length % 2 }
        const success = { op: "record", ...permit, outcome: "success", slowFed: 0, retryAfter: 0, draw: 0 } as const
        assert.strictEqual(breaker.step(policy, next, { ...success, duration: late - now }, late)[1], next)
      }
    }
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
      live(
        policy,
        rest,
        ({ answer, input, now, next: after }) => {
          const { generation, ...rest } = answer
          seen.push(generation === next.generation || generation === 0 ? rest : answer)
          if (next.generation > 0) {
            assert.isTrue(answer.transitions.every((move) => move.generation > next.generation))
            const late = { op: "record", generation: next.generation, probe: 0, outcome: "failure", draw: 0 } as const
            const record = { ...late, duration: 99, slowFed: 0, retryAfter: 0 }
            if (state !== next) assert.strictEqual(breaker.step(policy, after, record, now)[1], after, input.op)
          }
        },
        { state, now: at }
      )
      return seen
    }
    assert.deepStrictEqual(life(next), life(breaker.initial(policy)))
  })

/** A slow call counts once, whether it is told while in flight or when it ends. */
export const countsSlowOnce: Law = (policy, commands) =>
  live(policy, commands, ({ state, now, input }) => {
    if (input.op !== "record" || input.probe !== 0) return
    if (input.outcome === "ignored" || input.outcome === "throttled") return
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

// A multiple of every slice that `trip` makes, so that moving a life by it moves all its slices whole.
const ERA = 27_720

/** There is one clock, and its zero means nothing: the same life later is the same life. */
export const keepsOneClock: Law = (policy, commands) => {
  const life = (start: number) => {
    const seen: Array<unknown> = []
    const from = { state: breaker.initial(policy), now: start }
    const age = (time: number) => (time === 0 ? 0 : time - start)
    live(
      policy,
      commands,
      ({ answer, next }) => {
        const transitions = answer.transitions.map((m) => ({ ...m, at: age(m.at), generation: age(m.generation) }))
        const expiry = breaker.expiresAt(policy, next)
        const since = age(next.since)
        seen.push({ ...answer, generation: age(answer.generation), transitions, since, expiry: expiry && age(expiry) })
      },
      from
    )
    return seen
  }
  assert.deepStrictEqual(life(ERA), life(50 * ERA))
}

// Later than anything that a circuit here may remember, so that a time before it is one of another clock.
const LATE = 10 ** 9

/**
 * However far ahead a clock was: openings from then have ended, slots are free, windows by time are empty, generations
 * stay; what changes nothing leaves the very state; successes close the circuit; and nothing is closed for longer than the
 * tolerance, an opening and a lease.
 */
export const outlivesClocks: Law = (policy, commands) => {
  const tolerance = Math.max(1000, breaker.span!(policy))
  const past = LATE - tolerance - 20 // a slice begins up to 12 ms before what is in it
  const from = { state: breaker.initial(policy), now: LATE }
  let newest = LATE
  live(
    policy,
    commands,
    ({ next, now }) => {
      newest = Math.max(newest, now)
      const lease = policy.lease > 0 ? policy.lease : Math.max(next.openFor, 60_000)
      for (const ahead of [0, 500, tolerance - 1, tolerance, tolerance + 1, 2 * tolerance]) {
        assert.isAtMost(view(policy, next, newest - ahead).retryAfter, tolerance + breaker.span!(policy) + lease)
      }
      const seen = view(policy, next, past)
      const isOpen = next.phase === "Open"
      assert.strictEqual(seen.phase, isOpen ? "HalfOpen" : next.phase)
      assert.strictEqual(seen.generation, isOpen ? next.generation + 1 : next.generation)
      assert.strictEqual(seen.probesInFlight, 0)
      policy.trips.forEach((trip, i) => {
        const isTimed = trip.kind === "rate" ? trip.calls === 0 : trip.within > 0
        if (isTimed) assert.deepEqual(seen.windows[i], { calls: 0, bad: 0 })
      })
      for (const { id: probe } of next.trial.probes) {
        const report = { op: "record", generation: next.generation, probe, outcome: "failure", duration: 99 } as const
        const late = { ...report, slowFed: 0, retryAfter: 0, draw: 0 }
        assert.strictEqual(breaker.step(policy, next, late, past)[1], next)
      }
      let state = next
      for (let i = 0; i < policy.required && state.phase !== "Closed" && next.phase !== "Isolated"; i++) {
        const [{ allowed, generation, probe }, admitted] = breaker.step(policy, state, { op: "admit", draw: 0 }, past)
        assert.isTrue(allowed)
        const report = { op: "record", generation, probe, outcome: "success", duration: 0 } as const
        state = breaker.step(policy, admitted, { ...report, slowFed: 0, retryAfter: 0, draw: 0 }, past)[1]
      }
      assert.strictEqual(state.phase, next.phase === "Isolated" ? "Isolated" : "Closed")
      if (state !== next) assert.strictEqual(state.since, past)
    },
    from
  )
}
