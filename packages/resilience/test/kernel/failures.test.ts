/** So many failures in a span of time, and what a circuit says of its opening. */
import { assert, describe, it } from "@effect/vitest"
import type { Trip } from "../../src/kernel/Breaker.ts"
import { byCalls, consecutive, make } from "./breakerCircuit.ts"

const failures = (count: number, within: number): Trip => ({ kind: "failures", failures: count, within })

describe("failures within a time", () => {
  it("opens at the last of them, whatever came between", () => {
    const circuit = make({ trips: [failures(3, 100)] })
    circuit.call("failure", 0)
    circuit.call("success", 10)
    circuit.call("failure", 20)
    circuit.call("success", 30)
    assert.strictEqual(circuit.view(98).phase, "Closed")
    circuit.call("failure", 99)
    assert.strictEqual(circuit.view(99).phase, "Open")
  })

  it("a failure counts for that long, and no longer", () => {
    const circuit = make({ trips: [failures(2, 100)] })
    circuit.call("failure", 0)
    assert.strictEqual(circuit.expiresAt(), 100)
    circuit.call("failure", 100)
    assert.strictEqual(circuit.view(100).phase, "Closed")
    circuit.call("failure", 199)
    assert.strictEqual(circuit.view(199).phase, "Open")
  })

  it("a success changes nothing, so it is not reported", () => {
    const circuit = make({ trips: [failures(3, 100)] })
    circuit.call("failure", 0)
    assert.isTrue(circuit.indifferent())
    assert.isFalse(circuit.call("success", 1).changed)
  })

  it("a success ends failures in a row beside it, so it is reported", () => {
    const circuit = make({ trips: [failures(3, 100), consecutive(2)] })
    assert.isTrue(circuit.indifferent())
    circuit.call("failure", 0)
    assert.isFalse(circuit.indifferent())
    circuit.call("success", 1)
    assert.isTrue(circuit.indifferent())
    assert.deepStrictEqual(
      circuit.view(1).windows.map(({ bad }) => bad),
      [1, 0]
    )
  })
})

describe("what opened a circuit", () => {
  it("is the first trip policy that says so, then the probe that failed, and nothing once it is closed", () => {
    const circuit = make({ trips: [byCalls(50, 4, 2), failures(2, 100), consecutive(2)] })
    assert.strictEqual(circuit.call("failure", 0).openedBy, "none")
    const opening = circuit.call("failure", 1)
    assert.deepStrictEqual([opening.openedBy, opening.transitions[0]?.openedBy], ["failureRate", "failureRate"])
    assert.strictEqual(circuit.admit(50).openedBy, "failureRate", "a refusal says so")
    const probe = circuit.admit(101)
    assert.deepStrictEqual([probe.openedBy, probe.transitions[0]?.openedBy], ["failureRate", "none"])
    assert.strictEqual(circuit.view(101).openedBy, "failureRate")
    assert.strictEqual(circuit.record(probe, "failure", 102).openedBy, "probe")
    circuit.admit(202)
    assert.strictEqual(circuit.view(252).openedBy, "probe", "a lease that ended")
    assert.strictEqual(circuit.tell("isolate", 253).openedBy, "none")
    assert.strictEqual(circuit.tell("close", 254).openedBy, "none")
  })

  it("is a call that hangs", () => {
    const circuit = make({ trips: [byCalls(100, 1, 1, 20)] })
    assert.strictEqual(circuit.slow(circuit.admit(0), 20).openedBy, "slowCallRate")
  })
})
