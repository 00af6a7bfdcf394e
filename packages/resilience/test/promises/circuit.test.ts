/** What a circuit takes for the dependency's doing: not our own waits, and not a call inside one of its own probes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, Resilience, Retry } from "../../src/index.ts"

const errorIn = (exit: Exit.Exit<unknown, unknown>): unknown => Option.getOrUndefined(Exit.findErrorOption(exit))
const isRefused = (exit: Exit.Exit<unknown, unknown>): boolean =>
  (errorIn(exit) as { readonly _tag?: string } | undefined)?._tag === "CircuitOpen"

describe("a service that is called inside its own calls (case nested-service)", () => {
  /** A service whose circuit has opened, and lets a probe through. */
  const halfOpen = ({ by, probes }: Pick<CircuitBreaker.Options, "probes"> & { readonly by?: "key" } = {}) =>
    Effect.gen(function* () {
      const circuit = { tripPolicy: CircuitBreaker.consecutive(1), openDuration: "10 seconds", probes } as const
      const service = yield* Resilience.make("app/Db", {
        circuitBreaker:
          by === undefined ? CircuitBreaker.policy(circuit) : CircuitBreaker.policy({ ...circuit, by: "key" }),
        retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant(0) })
      })
      yield* Effect.exit(service.resilient(Effect.die("down"), "k"))
      yield* TestClock.adjust("10 seconds")
      return { ...service, state: Effect.map(service.inspect("k"), ({ circuitBreaker }) => circuitBreaker!.state) }
    })

  it.effect("recovers: the inner call is let in under the outer one's probe", () =>
    Effect.gen(function* () {
      const { resilient, state } = yield* halfOpen()
      assert.strictEqual(yield* state, "HalfOpen")
      const tenant = resilient(Effect.succeed("tenant"), "k")
      assert.strictEqual(
        yield* resilient(
          Effect.map(tenant, (one) => `user of ${one}`),
          "k"
        ),
        "user of tenant"
      )
      assert.strictEqual(yield* state, "Closed")
    })
  )

  it.effect("the inner call reports nothing, and makes one attempt", () =>
    Effect.gen(function* () {
      const { resilient, state } = yield* halfOpen()
      let runs = 0
      const inner = Effect.exit(
        resilient(
          Effect.suspend(() => (runs++, Effect.fail("down"))),
          "k"
        )
      )
      // what the probe makes of it is the probe's outcome
      yield* resilient(Effect.andThen(inner, inner), "k")
      assert.strictEqual(runs, 2)
      assert.strictEqual(yield* state, "Closed")
    })
  )

  it.effect("a thousand inner calls in one probe are one probe", () =>
    Effect.gen(function* () {
      const { inspect, resilient, state } = yield* halfOpen({ probes: { permitted: 2, required: 2 } })
      let reached = 0
      const many = Effect.forEach(
        Array.from({ length: 1_000 }),
        () =>
          resilient(
            Effect.sync(() => void reached++),
            "k"
          ),
        { concurrency: "unbounded", discard: true }
      )
      yield* resilient(many, "k")
      assert.strictEqual(reached, 1_000)
      assert.strictEqual((yield* inspect("k")).circuitBreaker!.probesInFlight, 0)
      assert.strictEqual(yield* state, "HalfOpen", "it takes two")
      yield* resilient(many, "k")
      assert.strictEqual(yield* state, "Closed")
    })
  )

  it.effect("a worker that the probe started and that outlives it is treated like any other call", () =>
    Effect.gen(function* () {
      const { resilient, state } = yield* halfOpen()
      const counts = { sent: 0, refused: 0 }
      const call = resilient(
        Effect.suspend(() => (counts.sent++, Effect.fail("down"))),
        "k"
      )
      const work = Effect.map(Effect.exit(call), (exit) => void (counts.refused += +isRefused(exit)))
      yield* resilient(Effect.forkDetach(Effect.forever(Effect.andThen(Effect.sleep("1 second"), work))), "k")
      yield* Effect.exit(resilient(Effect.die("down"), "k"))
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(counts, { sent: 0, refused: 9 })
      assert.strictEqual(yield* state, "Open")
    })
  )

  it.effect("also where the circuit waits for a second probe: the worker's call is that one", () =>
    Effect.gen(function* () {
      const { resilient, state } = yield* halfOpen({ probes: { permitted: 2, required: 2 } })
      const work = Effect.andThen(Effect.sleep("1 second"), resilient(Effect.void, "k"))
      yield* resilient(Effect.forkDetach(work), "k")
      assert.strictEqual(yield* state, "HalfOpen")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* state, "Closed")
    })
  )

  it.effect("a worker of a probe that is still in flight is let in, until the circuit moves", () =>
    Effect.gen(function* () {
      const { resilient, state } = yield* halfOpen({ probes: { permitted: 2, required: 2 } })
      const first = yield* Effect.forkChild(
        Effect.exit(resilient(Effect.andThen(Effect.sleep("2 seconds"), resilient(Effect.succeed("inner"), "k")), "k")),
        { startImmediately: true }
      )
      yield* Effect.exit(resilient(Effect.die("down"), "k")) // the other probe: the circuit opens again
      assert.strictEqual(yield* state, "Open")
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(isRefused(yield* Fiber.join(first)))
    })
  )

  it.effect("only under a probe, and only at the probe's own circuit", () =>
    Effect.gen(function* () {
      const { resilient } = yield* halfOpen({ by: "key" })
      yield* Effect.exit(resilient(Effect.die("down"), "other"))
      const other = yield* resilient(Effect.exit(resilient(Effect.void, "other")), "k")
      assert.isTrue(isRefused(other), "another key")
      const foreign = yield* halfOpen()
      const { resilient: outer } = yield* halfOpen()
      yield* Effect.exit(foreign.resilient(Effect.die("down"), "k"))
      assert.isTrue(isRefused(yield* outer(Effect.exit(foreign.resilient(Effect.void, "k")), "k")), "another service")
    })
  )
})

describe("slow calls are slow attempts (case slow-calls)", () => {
  const slow = CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.slowCallRate({
      slowAfter: "1 second",
      threshold: 0.5,
      window: { calls: 20 },
      minimumCalls: 10
    }),
    openDuration: "1 minute"
  })
  const retry = Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("2 seconds") })

  for (const admission of ["call", "attempt"] as const) {
    it.effect(`our own backoff is not the dependency's slowness (admission per ${admission})`, () =>
      Effect.gen(function* () {
        const { inspect, resilient } = yield* Resilience.make("app/Api", { admission, circuitBreaker: slow, retry })
        const state = Effect.map(inspect("k"), ({ circuitBreaker }) => circuitBreaker!.state)
        const fibers = yield* Effect.forEach(Array.from({ length: 30 }), () => {
          let n = 0
          const call = Effect.suspend(() => (n++ === 0 ? Effect.fail("503") : Effect.succeed("ok")))
          return Effect.forkChild(resilient(call, "k"), { startImmediately: true })
        })
        yield* TestClock.adjust("1500 millis")
        assert.strictEqual(yield* state, "Closed")
        yield* TestClock.adjust("10 seconds")
        for (const fiber of fibers) assert.strictEqual(yield* Fiber.join(fiber), "ok")
        assert.strictEqual(yield* state, "Closed")
      })
    )

    it.effect(`nor is a wait for a slot (admission per ${admission})`, () =>
      Effect.gen(function* () {
        const { inspect, resilient } = yield* Resilience.make("app/Api", {
          admission,
          circuitBreaker: slow,
          bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute" })
        })
        for (let i = 0; i < 30; i++)
          yield* Effect.forkChild(resilient(Effect.sleep(500), "k"), { startImmediately: true })
        yield* TestClock.adjust("20 seconds")
        assert.deepInclude((yield* inspect("k")).circuitBreaker, { state: "Closed", windows: [{ calls: 20, bad: 0 }] })
      })
    )

    it.effect(`an attempt that is slow counts while it runs, and once for its call (admission per ${admission})`, () =>
      Effect.gen(function* () {
        const { inspect, resilient } = yield* Resilience.make("app/Api", { admission, circuitBreaker: slow, retry })
        const call = Effect.andThen(Effect.sleep("1500 millis"), Effect.fail("503"))
        const fiber = yield* Effect.forkChild(Effect.exit(resilient(call, "k")), { startImmediately: true })
        const window = Effect.map(inspect("k"), ({ circuitBreaker }) => circuitBreaker!.windows[0])
        yield* TestClock.adjust("999 millis")
        assert.deepStrictEqual(yield* window, { calls: 0, bad: 0 })
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* window, { calls: 1, bad: 1 })
        for (let i = 0; i < 100; i++) {
          yield* TestClock.adjust(100)
          yield* window // a look is when an attempt in flight is counted
        }
        yield* Fiber.join(fiber)
        const times = admission === "call" ? 1 : 3
        assert.deepStrictEqual(yield* window, { calls: times, bad: times })
      })
    )
  }
})
