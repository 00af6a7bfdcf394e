import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import type { Trip } from "../../src/kernel/Breaker.ts"
import { breaker } from "../../src/kernel/Breaker.ts"
import { add, age, EMPTY, emptyFrom } from "../../src/kernel/BreakerWindow.ts"
import { byCalls, byTime, consecutive, make } from "./breakerCircuit.ts"
import * as Lives from "./breakerLives.ts"

interface Outcome {
  readonly at: number
  readonly bad: boolean
}

/** Every outcome ever, and what of them counts at `now`: the windows as the documentation describes them. */
const counted = (trip: Trip, all: ReadonlyArray<Outcome>, now: number): ReadonlyArray<Outcome> => {
  if (trip.kind === "consecutive") {
    const row = all.slice(all.findLastIndex((outcome) => !outcome.bad) + 1)
    const latest = row.reduce((time, outcome) => Math.max(time, outcome.at), now)
    return row.filter((outcome) => trip.within === 0 || latest - outcome.at < trip.within)
  }
  if (trip.kind === "failures") {
    const failures = all.filter(({ bad }) => bad)
    const latest = failures.reduce((time, outcome) => Math.max(time, outcome.at), now)
    return failures.filter((outcome) => latest - outcome.at < trip.within)
  }
  if (trip.calls > 0) return all.slice(-trip.calls)
  const sliceOf = (time: number) => Math.floor(time / trip.slice)
  const latest = all.reduce((slice, outcome) => Math.max(slice, sliceOf(outcome.at)), sliceOf(now))
  return all.filter((outcome) => sliceOf(outcome.at) > latest - trip.slices)
}

/** A time before one already seen counts as that one. */
const append = (trip: Trip, all: ReadonlyArray<Outcome>, at: number, bad: boolean): ReadonlyArray<Outcome> => {
  const row = trip.kind === "consecutive" ? all.slice(all.findLastIndex((outcome) => !outcome.bad) + 1) : all
  const sameClock = trip.kind === "failures" ? all.filter((outcome) => outcome.bad) : row
  return [...all, { at: sameClock.reduce((time, outcome) => Math.max(time, outcome.at), at), bad }]
}

const summary = (outcomes: ReadonlyArray<Outcome>) => ({
  calls: outcomes.length,
  bad: outcomes.filter((outcome) => outcome.bad).length
})

const history = Arbitrary.array(
  Arbitrary.all({
    ms: Lives.int(-3, 9),
    bad: Lives.int(0, 3).pipe(Arbitrary.map((n) => n === 0)),
    later: Lives.int(0, 40)
  }),
  { minLength: 1, maxLength: 200 }
)
const options = { arbitrary: { runs: 300, size: 200, seed: 1 } }

describe("laws", () => {
  it.prop(
    "a window counts what a list of all outcomes would",
    { trip: Lives.trip, history },
    ({ trip, history }) => {
      let window = EMPTY
      let all: ReadonlyArray<Outcome> = []
      let now = 100
      for (const { ms, bad, later } of history) {
        now += ms
        const before = window
        window = add(trip, window, bad, now)
        all = append(trip, all, now, bad)
        const expected = trip.kind === "consecutive" && !bad ? { calls: 0, bad: 0 } : summary(counted(trip, all, now))
        if (trip.kind === "failures" && !bad) assert.strictEqual(window, before)
        else assert.deepEqual({ calls: window.calls, bad: window.bad }, expected)
        const aged = age(trip, window, now + later)
        assert.deepEqual({ calls: aged.calls, bad: aged.bad }, summary(counted(trip, all, now + later)))
        if (aged.calls === 0) assert.deepStrictEqual(aged, EMPTY)
        assert.isTrue(
          window.cells.every((cell) => Number.isSafeInteger(cell) && cell >= 0 && cell < Math.max(Lives.DRAWS, now + 1))
        )
      }
    },
    options
  )

  it.prop(
    "a window empties exactly when it says",
    { trip: Lives.trip, history },
    ({ trip, history }) => {
      let window = EMPTY
      let now = 100
      for (const { ms, bad } of history) {
        now += ms
        window = add(trip, window, bad, now)
        const from = emptyFrom(trip, window)
        if (window.calls === 0) assert.strictEqual(from, 0)
        else if (from === -1) assert.isAbove(age(trip, window, now + 10 ** 12).calls, 0)
        else assert.deepEqual([age(trip, window, from - 1).calls > 0, age(trip, window, from).calls], [true, 0])
      }
    },
    options
  )

  it.prop(
    "a closed circuit opens on the first bad outcome that makes any of its windows say so, by the first of them",
    { policy: Lives.policy, history, slow: Arbitrary.array(Lives.int(0, 25), { minLength: 200, maxLength: 200 }) },
    ({ policy, history, slow }) => {
      let state = breaker.initial(policy)
      let lists: Array<ReadonlyArray<Outcome>> = policy.trips.map(() => [])
      let now = 100
      history.forEach(({ ms, bad }, i) => {
        now = Math.max(now + ms, state.since)
        const duration = slow[i] ?? 0
        const outcome = bad ? "failure" : "success"
        const report = {
          generation: state.generation,
          probe: 0,
          outcome,
          duration,
          slowFed: 0,
          retryAfter: 0,
          draw: 0
        } as const
        state = breaker.step(policy, state, { op: "record", ...report }, now)[1]
        let opens: string | undefined
        lists = lists.map((all, t) => {
          const trip = policy.trips[t] ?? consecutive(1)
          const isBad = trip.kind === "rate" && trip.slowAfter > 0 ? duration >= trip.slowAfter : bad
          const list = append(trip, all, now, isBad)
          const { bad: n, calls } = summary(counted(trip, list, now))
          const over =
            trip.kind !== "rate" ? n >= trip.failures : calls >= trip.minimumCalls && n / calls >= trip.threshold
          const isSlow = trip.kind === "rate" && trip.slowAfter > 0
          const name = trip.kind !== "rate" ? trip.kind : isSlow ? "slowCallRate" : "failureRate"
          if (isBad && over) opens ??= name
          return list
        })
        assert.strictEqual(state.phase, opens === undefined ? "Closed" : "Open")
        assert.strictEqual(state.openedBy, opens ?? "none")
        if (opens !== undefined) {
          state = breaker.step(policy, state, { op: "close" }, now)[1]
          lists = policy.trips.map(() => [])
          return
        }
      })
    },
    options
  )
})

describe("windows", () => {
  it("slices stand on multiples of their length, wherever the first call fell (pitfall 18)", () => {
    const trip = byTime(100, 10, 2, 1)
    const window = add(trip, EMPTY, true, 9)
    assert.deepEqual([age(trip, window, 19).calls, age(trip, window, 20).calls], [1, 0])
    assert.strictEqual(age(trip, add(trip, window, true, 10), 20).calls, 1)
  })

  it("failures in a row within a time are younger than it", () => {
    const circuit = make({ trips: [consecutive(2, 10)] })
    circuit.call("failure", 0)
    assert.strictEqual(circuit.call("failure", 10).phase, "Closed")
    assert.strictEqual(circuit.call("failure", 19).phase, "Open")
  })

  it("outcomes age out, for a reader too, and a success never opens (C3)", () => {
    const circuit = make({ trips: [byTime(60, 1000, 10, 3)] })
    circuit.call("failure", 0)
    circuit.call("failure", 0)
    assert.deepEqual(circuit.view(9999).windows, [{ calls: 2, bad: 2 }])
    assert.deepEqual(circuit.view(10_000).windows, [{ calls: 0, bad: 0 }])
    assert.strictEqual(circuit.expiresAt(), 10_000)
    // The third of three calls, two of them failures: enough to open, if a success could.
    assert.strictEqual(circuit.call("success", 9999).phase, "Closed")
    assert.strictEqual(circuit.call("failure", 10_000).phase, "Closed")
  })

  it("an old failure in a count window does not make a success open (C3)", () => {
    const circuit = make({ trips: [byCalls(20, 5, 5)] })
    circuit.call("failure", 0)
    for (let i = 1; i < 9; i++) assert.strictEqual(circuit.call("success", i * 60_000).phase, "Closed")
  })

  it("a threshold that is jumped over trips as well (pitfall 21)", () => {
    const circuit = make({ trips: [byCalls(50, 100, 5)] })
    for (let i = 0; i < 3; i++) circuit.call("failure", 0)
    circuit.call("success", 0)
    // 4 of 5: never at 50 %, and the only check at exactly 5 calls is this one.
    assert.strictEqual(circuit.call("failure", 0).phase, "Open")
    const late = make({ trips: [byCalls(50, 100, 5)] })
    for (let i = 0; i < 6; i++) late.call("success", 0)
    for (let i = 0; i < 5; i++) assert.strictEqual(late.call("failure", 0).phase, "Closed")
    assert.strictEqual(late.call("failure", 0).phase, "Open")
  })

  it("the thirty-first outcome starts a second word, and the ring comes round to the first", () => {
    const trip = byCalls(100, 31, 1)
    let window = EMPTY
    for (let i = 0; i < 31; i++) window = add(trip, window, i % 2 === 0, 0)
    assert.deepEqual([window.calls, window.bad, window.head, window.cells.length], [31, 16, 0, 2])
    for (let i = 0; i < 31; i++) window = add(trip, window, true, 0)
    assert.deepEqual(window, { calls: 31, bad: 31, head: 0, cells: [2 ** 30 - 1, 1] })
  })

  it("a success that changes nothing costs nothing", () => {
    const circuit = make({ trips: [consecutive(3, 100), byCalls(50, 3, 2)] })
    for (let i = 0; i < 3; i++) assert.isTrue(circuit.call("success", i).changed)
    assert.isFalse(circuit.call("success", 9).changed)
    assert.isTrue(circuit.call("failure", 10).changed)
  })

  it("a circuit that counts by calls is remembered as long as it counts any", () => {
    const circuit = make({ trips: [byCalls(50, 3, 2)] })
    assert.strictEqual(circuit.expiresAt(), 0)
    circuit.call("success", 0)
    assert.isUndefined(circuit.expiresAt())
  })
})

describe("slow calls", () => {
  const slow = (changes: Partial<Parameters<typeof make>[0]> = {}) =>
    make({ trips: [byCalls(50, 20, 4, 1000), byCalls(50, 20, 4, 200)], ...changes })

  it("twenty successful calls of 55 seconds open it (C5)", () => {
    const circuit = make({ trips: [byCalls(50, 20, 20, 10_000)] })
    for (let i = 0; i < 19; i++) assert.strictEqual(circuit.call("success", 0, 55_000).phase, "Closed")
    assert.strictEqual(circuit.call("success", 0, 55_000).phase, "Open")
  })

  it("calls in flight that are already slow open it before any of them ends (resilience4j#1597)", () => {
    const circuit = slow()
    const calls = [1, 2, 3, 4].map(() => circuit.admit(0))
    const phases = calls.map((call) => circuit.slow(call, 200).phase)
    assert.deepEqual(phases, ["Closed", "Closed", "Closed", "Open"])
    for (const call of calls) assert.isFalse(circuit.record(call, "success", 300, { slowFed: 1 }).changed)
  })

  it("a call told slow in flight is not told again by its record, and thresholds rank by their length", () => {
    const circuit = slow()
    const call = circuit.admit(0)
    circuit.slow(call, 200, 0)
    assert.deepEqual(circuit.view(200).windows, [
      { calls: 0, bad: 0 },
      { calls: 1, bad: 1 }
    ])
    circuit.record(call, "success", 300, { duration: 300, slowFed: 1 })
    assert.deepEqual(circuit.view(300).windows, [
      { calls: 1, bad: 0 },
      { calls: 1, bad: 1 }
    ])
    assert.isFalse(circuit.slow(circuit.admit(300), 300, 2).changed)
  })

  it("two slow trips with one threshold are told one after the other", () => {
    const circuit = make({ trips: [byCalls(50, 20, 4, 200), byCalls(80, 20, 4, 200)] })
    circuit.slow(circuit.admit(0), 200, 0)
    assert.deepEqual(
      circuit.view(200).windows.map((window) => window.bad),
      [1, 0]
    )
  })

  it("a call is slow at its threshold, not a millisecond before", () => {
    const circuit = slow()
    circuit.call("success", 0, 199)
    assert.strictEqual(circuit.view(0).windows[1]?.bad, 0)
    circuit.call("success", 0, 200)
    assert.strictEqual(circuit.view(0).windows[1]?.bad, 1)
  })

  it("a probe above the smallest threshold has failed, at its end or while in flight", () => {
    const open = () => {
      const circuit = slow({ permitted: 2, required: 1 })
      circuit.tell("isolate", 0)
      circuit.tell("close", 0)
      for (let i = 0; i < 4; i++) circuit.call("success", 0, 200)
      return circuit
    }
    const ended = open()
    assert.strictEqual(ended.call("success", 100, 200).phase, "HalfOpen")
    assert.strictEqual(ended.call("success", 100, 199).phase, "Closed")
    const flying = open()
    const probe = flying.admit(100)
    flying.slow(probe, 120)
    assert.strictEqual(flying.view(120).failures, 1)
    assert.isFalse(flying.record(probe, "success", 130).changed)
  })
})
