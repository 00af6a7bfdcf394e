/**
 * Law 4. Before each further attempt, and at once while in backoff, the loop ends with the last error if the circuit
 * has left the generation that admitted the call (a retry never enters HalfOpen without a slot). A probe makes one
 * attempt. A bulkhead refusal of attempt 2 or later ends the loop with the last error.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, type Fiber } from "effect"
import { readKey } from "../../src/internal/key.ts"
import { Backoff, Bulkhead, CircuitBreaker, Retry } from "../../src/index.ts"
import type { Policies } from "../../src/Policies.ts"
import type { Store } from "../../src/Store.ts"
import { clean, elsewhere, Stage, tell } from "./harness.ts"
import { conserved, type Scenario, sweep } from "./sweep.ts"

const trips = (failures: number) =>
  CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(failures), openDuration: "1 second" })
const retry = (delay: number, maxAttempts = 5) =>
  Retry.policy({ maxAttempts, backoff: Backoff.constant({ delay, jitter: "none" }) })

const stores = {
  "store here": undefined,
  "store elsewhere": (memory: Store["Service"]) => elsewhere(memory, () => ({}))
}

/** What an ended call said, and when. */
const watched = (stage: Stage, call: Fiber.Fiber<unknown, unknown>) => {
  const seen: { at: number | undefined; exit: Exit.Exit<unknown, unknown> | undefined } = {
    at: undefined,
    exit: undefined
  }
  call.addObserver((exit) => {
    seen.at = stage.world.elapsed
    seen.exit = exit
  })
  return seen
}
/** What somebody tells the circuit by hand. */
const command = (stage: Stage, op: "isolate" | "reset") => {
  const gate = stage.service.pipeline.circuit!
  stage.world.fork(tell(gate, gate.keyOf(readKey(stage.key)), { op }))
  stage.world.settle()
}
const fails = (stage: Stage, error = "mine") => stage.call(stage.body.of(() => Effect.fail(error)))
/** Another call, which fails and so opens the circuit. */
const trip = (stage: Stage) => stage.world.fork(stage.call(Effect.die("down")))

describe("law 4: a retry never enters a circuit that did not admit it", () => {
  for (const [where, store] of Object.entries(stores)) {
    const make = (policies: Policies) => new Stage(policies, { store })

    it(`backoff ends at once, with the last error, when another call opens the circuit (${where})`, () => {
      const stage = make({ circuitBreaker: trips(1), retry: retry(60_000) })
      const seen = watched(stage, stage.world.fork(fails(stage)))
      stage.world.advance(700)
      assert.isUndefined(seen.at)
      trip(stage)
      stage.world.settle()
      assert.deepStrictEqual(seen, { at: 700, exit: Exit.fail("mine") })
      assert.strictEqual(stage.body.started, 1)
      stage.world.runOut()
      assert.deepStrictEqual(stage.debris(), clean)
    })

    it(`where the backoff is longer than the time that is left, the call has ended before that (${where})`, () => {
      const stage = make({ timeout: "10 seconds", circuitBreaker: trips(1), retry: retry(60_000) })
      const seen = watched(stage, stage.world.fork(fails(stage)))
      stage.world.settle()
      assert.deepStrictEqual(seen, { at: 0, exit: Exit.fail("mine") })
    })

    it(`and with every error, where they are wrapped, only when attempts are exhausted (${where})`, () => {
      const stage = make({
        circuitBreaker: trips(1),
        retry: Retry.policy({ maxAttempts: 9, backoff: Backoff.constant("1 minute"), onExhausted: "wrap" })
      })
      const seen = watched(stage, stage.world.fork(fails(stage)))
      stage.world.advance(700)
      trip(stage)
      stage.world.settle()
      assert.deepStrictEqual(seen.exit, Exit.fail("mine"))
    })

    it(`a circuit that opened and lets probes through again is not entered by the retry (${where})`, () => {
      const stage = make({ circuitBreaker: trips(1), retry: retry(5_000) })
      let held = true
      const call = stage.call(stage.body.of(() => Effect.andThen(Effect.sleep(held ? 2_500 : 0), Effect.fail("mine"))))
      const seen = watched(stage, stage.world.fork(call))
      stage.world.advance(100)
      trip(stage)
      stage.world.advance(2_000)
      assert.strictEqual(stage.inspect().circuitBreaker!.state, "HalfOpen")
      held = false
      stage.world.runOut()
      assert.deepStrictEqual(seen, { at: 2_500, exit: Exit.fail("mine") })
      assert.strictEqual(stage.body.started, 1)
      assert.deepInclude(stage.inspect().circuitBreaker, { state: "HalfOpen", probesInFlight: 0 })
    })

    it(`where each attempt is recorded, its own failures open the circuit and end the loop (${where})`, () => {
      const stage = make({ admission: "attempt", circuitBreaker: trips(2), retry: retry(100, 9) })
      const seen = watched(stage, stage.world.fork(fails(stage)))
      stage.world.runOut()
      assert.deepStrictEqual(seen, { at: 100, exit: Exit.fail("mine") })
      assert.strictEqual(stage.body.started, 2)
    })

    for (const admission of ["call", "attempt"] as const) {
      it(`a probe makes one attempt (admission per ${admission}, ${where})`, () => {
        const stage = make({ admission, circuitBreaker: trips(1), retry: retry(10) })
        trip(stage)
        stage.world.advance(1_000)
        const seen = watched(stage, stage.world.fork(fails(stage)))
        stage.world.runOut()
        assert.deepStrictEqual(seen, { at: 1_000, exit: Exit.fail("mine") })
        assert.strictEqual(stage.body.started, 1)
        assert.strictEqual(stage.inspect().circuitBreaker!.state, "Open")
      })
    }
  }

  it("backoff ends at once when somebody isolates the circuit", () => {
    const stage = new Stage({ circuitBreaker: trips(1), retry: retry(60_000) })
    const seen = watched(stage, stage.world.fork(fails(stage)))
    stage.world.advance(700)
    command(stage, "isolate")
    assert.deepStrictEqual(seen, { at: 700, exit: Exit.fail("mine") })
    assert.strictEqual(stage.body.started, 1)
  })

  it("no further attempt follows a reset: it starts a new generation", () => {
    const stage = new Stage({ circuitBreaker: trips(2), retry: retry(1_000) })
    const seen = watched(stage, stage.world.fork(fails(stage)))
    stage.world.advance(700)
    command(stage, "reset")
    stage.world.runOut()
    assert.deepStrictEqual(seen.exit, Exit.fail("mine"))
    assert.strictEqual(stage.body.started, 1)
    assert.deepStrictEqual(stage.inspect().circuitBreaker!.windows, [{ calls: 0, bad: 0 }], "nor is it counted")
  })

  it("a circuit that stays as it was lets the loop go on", () => {
    const stage = new Stage({ circuitBreaker: trips(2), retry: retry(1_000, 3) })
    const seen = watched(stage, stage.world.fork(fails(stage)))
    stage.world.advance(500)
    trip(stage) // one failure of two
    stage.world.runOut()
    assert.strictEqual(stage.body.started, 3)
    assert.strictEqual(seen.at, 2_000)
  })
})

describe("law 4: a further attempt and the bulkhead", () => {
  const one = { maxConcurrent: 1 }
  const other = (stage: Stage, millis: number) => stage.world.fork(Effect.delay(stage.call(Effect.sleep(millis)), 10))

  for (const [name, policy] of Object.entries({
    "as it was": retry(100),
    "though rejections are retried": Retry.policy({
      maxAttempts: 5,
      backoff: Backoff.constant("100 millis"),
      retryRejections: true
    })
  })) {
    it(`a refused slot ends the loop with the last error, ${name}`, () => {
      const stage = new Stage({ circuitBreaker: trips(1), bulkhead: Bulkhead.policy(one), retry: policy })
      other(stage, 10_000)
      const seen = watched(stage, stage.world.fork(fails(stage)))
      stage.world.advance(500)
      assert.deepStrictEqual(seen, { at: 100, exit: Exit.fail("mine") })
      assert.strictEqual(stage.body.started, 1)
      assert.strictEqual(stage.inspect().circuitBreaker!.state, "Open", "and the call counts")
      stage.world.runOut()
      assert.deepStrictEqual(stage.debris(), clean)
    })
  }

  const waits = {
    circuitBreaker: trips(1),
    bulkhead: Bulkhead.policy({ ...one, maxWait: "1 minute" }),
    retry: retry(100)
  }

  it("waits for a slot where it may, and then runs", () => {
    const stage = new Stage(waits)
    other(stage, 2_000)
    const call = stage.call(stage.body.of((run) => (run === 1 ? Effect.fail("mine") : Effect.succeed(run))))
    const seen = watched(stage, stage.world.fork(call))
    stage.world.runOut()
    assert.deepStrictEqual(seen, { at: 2_010, exit: Exit.succeed(2) })
  })

  it("ends with the last error, at once, when the circuit opens while it waits for a slot", () => {
    const stage = new Stage(waits)
    const { world } = stage
    other(stage, 5_000)
    const seen = watched(stage, world.fork(fails(stage)))
    world.advance(1_000)
    assert.deepInclude(stage.inspect().bulkhead, { running: 1, queued: 1 })
    command(stage, "isolate")
    assert.deepStrictEqual(seen, { at: 1_000, exit: Exit.fail("mine") })
    world.runOut()
    assert.strictEqual(stage.body.started, 1)
    assert.deepStrictEqual(stage.debris(), clean)
  })

  it("does not run on a slot that came free together with the circuit's opening", () => {
    const stage = new Stage(waits)
    const { world } = stage
    world.fork(Effect.delay(stage.call(Effect.andThen(Effect.sleep(2_000), Effect.die("down"))), 10))
    const seen = watched(stage, world.fork(fails(stage)))
    world.runOut()
    assert.deepStrictEqual(seen, { at: 2_010, exit: Exit.fail("mine") })
    assert.strictEqual(stage.body.started, 1)
  })

  const open: Scenario = {
    policies: { ...waits, timeout: "1 minute" },
    others: (stage) => {
      stage.world.fork(Effect.delay(stage.call(Effect.andThen(Effect.sleep(300), Effect.die("down"))), 10))
    },
    self: () => Effect.fail("mine")
  }
  it("gives everything back wherever it is interrupted", () => {
    sweep(open, (run) => conserved(run, { spends: () => 0 }))
    sweep({ ...open, policies: { ...open.policies, bulkhead: undefined } }, (run) =>
      conserved(run, { spends: () => 0 })
    )
  })
})
