import { assert, describe, it } from "@effect/vitest"
import type { BreakerPolicy } from "../../src/kernel/Breaker.ts"
import type { Outcome } from "./breakerCircuit.ts"
import { byCalls, consecutive, make } from "./breakerCircuit.ts"
import * as Laws from "./breakerLaws.ts"
import * as Lives from "./breakerLives.ts"

describe("laws", () => {
  const laws = {
    "a step behaves as the step of the settled state, and settling composes over time": Laws.settles,
    "only legal moves, each told once, with growing generations": Laws.movesLegally,
    "a report with an unknown permit changes nothing, but a throttled one of the calls that an opening ended":
      Laws.dropsUnknown,
    "what is throttled counts nowhere while closed, and opens a half-open circuit": Laws.heedsThrottling,
    "a half-open period never lets more than its permitted probes through": Laws.boundsProbes,
    "retryAfter is exact, and no circuit refuses for ever": Laws.tellsRetryAfter,
    "a refusal leaves the very state it was given": Laws.refusesWithoutTrace,
    "where a circuit is said to let everybody through, all are told the same": Laws.letsAllThrough,
    "where a success is said to change nothing, none does": Laws.isIndifferent,
    "a state survives serialisation": Laws.serialises,
    "a circuit that may be forgotten behaves like a new one": Laws.forgets,
    "a slow call counts once, in flight or at its end": Laws.countsSlowOnce,
    "all times are read from one clock, whose zero means nothing": Laws.keepsOneClock,
    "however far ahead a clock was, a circuit heals, and nothing has to be written for it": Laws.outlivesClocks
  }
  for (const [name, law] of Object.entries(laws)) {
    it.prop(name, { policy: Lives.policy, commands: Lives.commands }, ({ policy, commands }) => law(policy, commands), {
      arbitrary: { runs: 200, size: 80, seed: 1 }
    })
  }
})

describe("permits", () => {
  it("a call admitted while closed decides nothing when it returns half-open (pitfall 1)", () => {
    const circuit = make()
    const [early, alsoEarly, failing] = [circuit.admit(0), circuit.admit(0), circuit.admit(0)]
    circuit.record(failing, "failure", 10)
    const probe = circuit.admit(110)
    assert.isFalse(circuit.record(early, "success", 111).changed)
    assert.isFalse(circuit.record(alsoEarly, "failure", 112).changed)
    assert.strictEqual(circuit.view(112).phase, "HalfOpen")
    assert.deepEqual(
      circuit.record(probe, "success", 113).transitions.map((move) => move.to),
      ["Closed"]
    )
  })

  it("late reports free no probe slots (pitfall 2)", () => {
    const circuit = make({ permitted: 2, required: 2 })
    const late = [1, 2, 3, 4, 5].map(() => circuit.admit(0))
    circuit.call("failure", 0)
    assert.isTrue(circuit.admit(100).allowed)
    assert.isTrue(circuit.admit(100).allowed)
    for (const permit of late) circuit.record(permit, "ignored", 101)
    assert.isFalse(circuit.admit(101).allowed)
    assert.strictEqual(circuit.view(101).probesInFlight, 2)
  })

  it("one probe reported twice gives back one slot (pitfall 2)", () => {
    const circuit = make({ permitted: 2, required: 2 })
    circuit.call("failure", 0)
    const probe = circuit.admit(100)
    circuit.admit(100)
    circuit.record(probe, "ignored", 101)
    assert.isTrue(circuit.admit(101).allowed)
    circuit.record(probe, "ignored", 102)
    assert.isFalse(circuit.admit(102).allowed)
  })

  it("a late success does not close an open circuit (pitfall 3)", () => {
    const circuit = make()
    const early = circuit.admit(0)
    circuit.call("failure", 0)
    assert.isFalse(circuit.record(early, "success", 1).changed)
    assert.strictEqual(circuit.view(1).phase, "Open")
  })

  it("successes need not be told to a closed circuit that counts failures in a row, while it counts none", () => {
    const circuit = make({ trips: [consecutive(2), consecutive(3, 1_000)] })
    assert.isTrue(circuit.indifferent())
    circuit.call("failure", 0)
    assert.isFalse(circuit.indifferent())
    circuit.call("success", 1)
    assert.isTrue(circuit.indifferent())
    circuit.call("failure", 2)
    circuit.call("failure", 3)
    assert.isFalse(circuit.indifferent())
    const later = circuit.view(3).openFor + 3
    const probe = circuit.admit(later)
    assert.isFalse(circuit.indifferent(), "a probe's success closes it")
    circuit.record(probe, "success", later)
    assert.isTrue(circuit.indifferent())
  })

  it("successes are told to a circuit that counts calls", () => {
    assert.isFalse(make({ trips: [consecutive(2), byCalls(50, 10, 1)] }).indifferent())
  })

  it("a reset fences the calls that were let through before it", () => {
    const circuit = make()
    const early = circuit.admit(5)
    assert.lengthOf(circuit.tell("reset", 5).transitions, 0)
    assert.isFalse(circuit.record(early, "failure", 6).changed)
    assert.strictEqual(circuit.view(6).phase, "Closed")
  })

  it("a permit of a forgotten circuit means nothing to its next life", () => {
    const circuit = make()
    circuit.call("failure", 10)
    const probe = circuit.admit(110)
    const { generation } = circuit.record(probe, "success", 110)
    // Closed at 110 in generation 111, so not to be forgotten while a new circuit could reach that number again.
    assert.deepEqual([generation, circuit.expiresAt()], [111, 112])
    assert.isFalse(make().record({ generation, probe: 0 }, "failure", 112).changed)
  })
})

describe("probes", () => {
  const hung = (changes: Partial<BreakerPolicy> = {}) => {
    const circuit = make(changes)
    circuit.call("failure", 0)
    assert.strictEqual(circuit.admit(100).probe, 1)
    return circuit
  }

  it("a hung probe does not block for ever (pitfall 4, C1)", () => {
    const circuit = hung()
    assert.strictEqual(circuit.admit(149).retryAfter, 101)
    // The lease lapsed at 150 as a failure, so the circuit opened again, until 250.
    assert.deepEqual([circuit.admit(150).phase, circuit.admit(249).allowed], ["Open", false])
    const next = circuit.admit(250)
    assert.deepEqual([next.allowed, next.phase], [true, "HalfOpen"])
    assert.deepEqual(
      next.transitions.map((move) => [move.from, move.to, move.at]),
      [
        ["HalfOpen", "Open", 150],
        ["Open", "HalfOpen", 250]
      ]
    )
    assert.isTrue(hung().admit(7 * 86_400_000).allowed)
  })

  it("without a lease of its own, a probe has as long as the opening before it, and at least a minute", () => {
    assert.strictEqual(hung({ lease: 0 }).view(100).retryAfter, 60_100)
    const long = make({ lease: 0, openLow: [90_000], openHigh: [90_000] })
    long.call("failure", 0)
    long.admit(90_000)
    assert.strictEqual(long.view(90_000).retryAfter, 180_000)
  })

  it("a probe that reports after its lease is not heard", () => {
    const circuit = hung()
    const { generation } = circuit.view(100)
    assert.isFalse(circuit.record({ generation, probe: 1 }, "success", 150).changed)
    assert.isTrue(hung().record({ generation, probe: 1 }, "success", 149).changed)
  })

  it("an interrupted probe gives its slot back, and decides nothing (pitfalls 5, 6, 7)", () => {
    const circuit = hung()
    const { generation } = circuit.view(100)
    assert.isFalse(circuit.admit(101).allowed)
    assert.strictEqual(circuit.record({ generation, probe: 1 }, "ignored", 102, { duration: 99 }).phase, "HalfOpen")
    assert.deepEqual(
      [circuit.view(102).successes, circuit.view(102).failures, circuit.view(102).probesInFlight],
      [0, 0, 0]
    )
    assert.strictEqual(circuit.admit(102).probe, 2)
  })

  it("an ignored call counts nowhere, closed or half-open (pitfall 9)", () => {
    const circuit = make({ trips: [consecutive(1), byCalls(1, 10, 1), byCalls(1, 10, 1, 5)] })
    assert.isFalse(circuit.call("ignored", 0, 99).changed)
    circuit.call("failure", 0)
    assert.strictEqual(circuit.call("ignored", 100, 99).phase, "HalfOpen")
  })

  it("a thousand calls find one probe slot (pitfall 10)", () => {
    const circuit = make()
    circuit.call("failure", 0)
    let allowed = 0
    for (let i = 0; i < 1000; i++) if (circuit.admit(100).allowed) allowed++
    assert.strictEqual(allowed, 1)
  })

  it("the verdict falls as soon as it cannot change", () => {
    const opens = make({ permitted: 5, required: 3 })
    opens.call("failure", 0)
    const probes = [1, 2, 3, 4, 5].map(() => opens.admit(100))
    const tell = (i: number, outcome: Outcome) => opens.record(probes[i] ?? opens.admit(0), outcome, 110).phase
    assert.deepEqual(
      [tell(0, "failure"), tell(1, "success"), tell(2, "failure"), tell(3, "failure")],
      ["HalfOpen", "HalfOpen", "HalfOpen", "Open"]
    )
    assert.strictEqual(opens.view(110).retryAfter, 100)
    const closes = make({ permitted: 5, required: 2 })
    closes.call("failure", 0)
    assert.deepEqual([closes.call("success", 100).phase, closes.call("success", 100).phase], ["HalfOpen", "Closed"])
  })
})

describe("openings", () => {
  /** Opens, and fails every probe: how long each opening lasts. */
  const lengths = (changes: Partial<BreakerPolicy>, draws: ReadonlyArray<number>) => {
    const circuit = make(changes)
    let now = 0
    return draws.map((draw) => {
      const { transitions } = circuit.record(circuit.admit(now), "failure", now, { draw })
      const openFor = transitions.at(-1)?.openFor ?? 0
      now += openFor
      return openFor
    })
  }

  it("the n-th opening in a row lasts its n-th delay, the last one for ever", () => {
    assert.deepEqual(lengths({ openLow: [10, 20, 40], openHigh: [10, 20, 40] }, [0, 0, 0, 0]), [10, 20, 40, 40])
    assert.deepEqual(lengths({ openLow: [0], openHigh: [0] }, [0, 0]), [1, 1])
  })

  it("a draw picks between the bounds, both included", () => {
    const last = Lives.DRAWS - 1
    assert.deepEqual(lengths({ openLow: [10], openHigh: [13] }, [0, last, Lives.DRAWS / 2]), [10, 13, 12])
    const year = 31_536_000_000
    assert.deepEqual(lengths({ openLow: [0], openHigh: [year] }, [last]), [year - Math.ceil(year / Lives.DRAWS) + 1])
  })

  it("a growing opening is drawn up to a multiple of the one before, and capped", () => {
    const last = Lives.DRAWS - 1
    const growing = { openLow: [10], openHigh: [30, 100], openGrowth: 3, openCap: 500 }
    assert.deepEqual(lengths(growing, [last, last, last, 0, last]), [30, 90, 100, 10, 30])
  })

  it("closing starts the row again", () => {
    const circuit = make({ openLow: [10, 20], openHigh: [10, 20] })
    circuit.call("failure", 0)
    assert.strictEqual(circuit.call("failure", 10).transitions.at(-1)?.openFor, 20)
    circuit.call("success", 30)
    assert.strictEqual(circuit.call("failure", 30).transitions.at(-1)?.openFor, 10)
  })

  it("the failure's retryAfter makes an opening longer, never shorter, up to the cap", () => {
    const openFor = (retryAfter: number) => {
      const circuit = make({ openCap: 400 })
      return circuit.record(circuit.admit(0), "failure", 0, { retryAfter }).transitions[0]?.openFor
    }
    assert.deepEqual([openFor(0), openFor(99), openFor(250), openFor(9000)], [100, 100, 250, 400])
  })

  it("an opening brought by a lapsed lease takes the draw of the admission before", () => {
    const circuit = make({ openLow: [100], openHigh: [200] })
    circuit.call("failure", 0)
    circuit.admit(100, Lives.DRAWS - 1)
    assert.strictEqual(circuit.admit(100).retryAfter, 250)
    assert.deepEqual([circuit.admit(349).allowed, circuit.admit(350).allowed], [false, true])
  })

  it("a clock that steps back shortens no opening and revives no probe", () => {
    const circuit = make({ permitted: 2, required: 2 })
    circuit.call("failure", 1000)
    assert.strictEqual(circuit.admit(900).retryAfter, 200)
    circuit.admit(1100)
    circuit.admit(1000)
    // The second lease counts from 1100 too.
    assert.deepEqual([circuit.view(1149).phase, circuit.view(1150).phase], ["HalfOpen", "Open"])
  })

  it("a lease never ends before one that was given earlier, nor counts from before the phase", () => {
    const circuit = make({ permitted: 2, required: 1 })
    circuit.call("failure", 1000)
    circuit.call("ignored", 1100)
    circuit.admit(1000)
    assert.deepEqual([circuit.view(1149).failures, circuit.view(1150).failures], [0, 1])
    const two = make({ permitted: 2, required: 1 })
    two.call("failure", 1000)
    two.admit(1140)
    two.admit(1120)
    assert.deepEqual([two.view(1189).failures, two.view(1190).phase], [0, "Open"])
  })

  it("no phase begins before the one it follows", () => {
    const circuit = make()
    circuit.tell("reset", 1000)
    assert.strictEqual(circuit.call("failure", 900).transitions[0]?.at, 1000)
    assert.strictEqual(circuit.tell("isolate", 800).transitions[0]?.at, 1000)
  })
})

describe("commands", () => {
  it("isolated, a circuit refuses until it is closed or reset", () => {
    for (const op of ["close", "reset"] as const) {
      const circuit = make()
      const early = circuit.admit(0)
      assert.deepEqual(
        circuit.tell("isolate", 0).transitions.map((move) => move.to),
        ["Isolated"]
      )
      assert.isFalse(circuit.tell("isolate", 1).changed)
      assert.deepEqual([circuit.admit(9_999_999).allowed, circuit.admit(9_999_999).retryAfter], [false, -1])
      assert.isFalse(circuit.record(early, "failure", 2).changed)
      circuit.tell(op, 3)
      assert.isTrue(circuit.admit(3).allowed)
    }
  })

  it("close ends an opening and forgets its row; closed, it changes nothing", () => {
    const circuit = make({ openLow: [10, 20], openHigh: [10, 20] })
    circuit.call("failure", 0)
    circuit.call("failure", 10)
    assert.deepEqual(
      circuit.tell("close", 11).transitions.map((move) => [move.from, move.to]),
      [["Open", "Closed"]]
    )
    assert.isFalse(circuit.tell("close", 11).changed)
    assert.strictEqual(circuit.call("failure", 12).transitions[0]?.openFor, 10)
  })

  it("reset empties the windows", () => {
    const circuit = make({ trips: [consecutive(2)] })
    circuit.call("failure", 0)
    circuit.tell("reset", 1)
    assert.strictEqual(circuit.view(1).windows[0]?.calls, 0)
    assert.strictEqual(circuit.call("failure", 2).phase, "Closed")
  })
})
