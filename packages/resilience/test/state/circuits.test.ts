/** What a process keeps of its circuits while calls run, and what it tells of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, Resilience, Retry } from "../../src/index.ts"
import { layerMemory, Step, Store } from "../../src/Store.ts"
import { arrive } from "../laws/caller.ts"
import { Stage } from "../laws/harness.ts"
import { remote, serviceOn } from "./remote.ts"
import { breakerOn, inMemory, type Memory, recorder } from "./support.ts"

const start = <A, E>(self: Effect.Effect<A, E>) => Effect.forkChild(self, { startImmediately: true })
const down = Effect.fail("down")
const consecutive = (failures: number, more: Partial<Parameters<typeof CircuitBreaker.policy>[0]> = {}) =>
  CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(failures), openDuration: "1 minute", ...more })
const slow = (minimumCalls: number) =>
  CircuitBreaker.slowCallRate({
    slowAfter: "1 second",
    threshold: 1,
    window: { calls: 9 },
    minimumCalls
  })

/** A store that counts the keys that are kept for somebody. */
const holding = Effect.gen(function* () {
  const store = inMemory(yield* Store)
  const held = { now: 0, most: 0 }
  const { sync } = store
  return {
    held,
    store: {
      ...store,
      sync: {
        ...sync,
        hold: (step, now) => {
          held.most = Math.max(held.most, ++held.now)
          sync.hold(step, now)
        },
        release: (step) => {
          held.now--
          sync.release(step)
        }
      }
    } satisfies Memory
  }
}).pipe(Effect.provide(layerMemory))

describe("a key is kept", () => {
  for (const [what, body] of [
    ["succeeds", Effect.void],
    ["fails", down]
  ] as const) {
    it.effect(`while a call runs, and no longer, where it ${what}`, () =>
      Effect.gen(function* () {
        const { held, store } = yield* holding
        const breaker = yield* breakerOn(store, consecutive(9))
        yield* Effect.exit(breaker.execute(body, "a"))
        assert.deepStrictEqual(held, { now: 0, most: 1 })
      })
    )
  }

  it.effect("once for all who watch its circuit, until the last of them has left", () =>
    Effect.gen(function* () {
      const { held, store } = yield* holding
      const { gate } = yield* breakerOn(store, consecutive(9))
      const moves: Array<string> = []
      const step = new Step(gate.space, "", { op: "admit", draw: 0 })
      const [first, second] = ["first", "second"].map((name) => gate.watch(step, () => void moves.push(name), 0))
      assert.strictEqual(held.now, 1)
      first!()
      gate.moved("")
      assert.deepStrictEqual([held.now, moves], [1, ["second"]])
      second!()
      gate.moved("")
      assert.deepStrictEqual([held.now, gate.locals.size, moves], [0, 0, ["second"]])
      const third = gate.watch(step, () => void moves.push("third"), 0)
      second!() // who leaves twice does not take along who came after
      gate.moved("")
      assert.deepStrictEqual([held.now, gate.locals.size, moves], [1, 1, ["second", "third"]])
      third()
    })
  )
})

it.effect("where only the rate of failures counts, a process notes no calls in flight", () =>
  Effect.gen(function* () {
    const tripPolicy = CircuitBreaker.failureRate({ threshold: 1, window: { calls: 9 }, minimumCalls: 9 })
    const breaker = yield* CircuitBreaker.make(consecutive(1, { tripPolicy }))
    const call = yield* start(breaker.execute(Effect.never))
    assert.deepStrictEqual([breaker.gate.slowAfter, breaker.gate.locals.size], [[], 0])
    yield* Fiber.interrupt(call)
  })
)

it.effect("a backoff that has ended watches its circuit no longer", () =>
  Effect.sync(() => {
    const stage = new Stage({
      circuitBreaker: consecutive(9),
      retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("1 second") })
    })
    const { circuit } = stage.service.pipeline
    const call = arrive(stage, {}, down)
    assert.strictEqual(circuit?.locals.size, 1)
    stage.world.runOut()
    assert.strictEqual(call.ended?.error, "down")
    assert.strictEqual(circuit?.locals.size, 0)
  })
)

it.effect("a quick call beside a slow one that ended is counted by its own time", () =>
  Effect.gen(function* () {
    const { inspect, resilient } = yield* Resilience.make("app", {
      circuitBreaker: consecutive(1, { tripPolicy: slow(9) })
    })
    const call = yield* start(resilient(Effect.sleep("2 seconds"), "a"))
    yield* TestClock.adjust("2 seconds")
    yield* Fiber.join(call)
    yield* resilient(Effect.void, "a")
    yield* resilient(Effect.void, "a")
    assert.deepInclude((yield* inspect("a")).circuitBreaker!.windows[0], { calls: 3, bad: 1 })
  })
)

it.effect("calls that are slow already are told to a circuit of this process before it is asked", () =>
  Effect.gen(function* () {
    const { resilient } = yield* Resilience.make("app", { circuitBreaker: consecutive(1, { tripPolicy: slow(2) }) })
    const calls = [yield* start(resilient(Effect.never, "a")), yield* start(resilient(Effect.never, "a"))]
    yield* TestClock.adjust("2 seconds")
    assert.deepInclude(yield* Effect.flip(resilient(Effect.void, "a")), { _tag: "CircuitOpen" })
    yield* Fiber.interruptAll(calls)
  })
)

for (const [others, runs] of [
  [1, 2],
  [2, 1]
] as const) {
  it.effect(
    `a call that backs off counts the slow calls beside it (${others}), and not itself, before it goes on`,
    () =>
      Effect.gen(function* () {
        let ran = 0
        const { resilient } = yield* Resilience.make("app", {
          circuitBreaker: consecutive(1, { tripPolicy: slow(2) }),
          retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("5 seconds") })
        })
        const slowOnes = yield* start(
          Effect.all(
            Array.from({ length: others }, () => resilient(Effect.never, "a")),
            { concurrency: "unbounded" }
          )
        )
        const failing = Effect.suspend(() => (ran++, down))
        const call = yield* start(Effect.exit(resilient(failing, "a")))
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual([yield* Fiber.join(call), ran], [Exit.fail("down"), runs])
        yield* Fiber.interrupt(slowOnes)
      })
  )
}

const broken = () => {
  throw new Error("a bug of the user")
}

it.effect("a call whose retryAfter throws counts nowhere", () =>
  Effect.gen(function* () {
    const { inspect, resilient } = yield* Resilience.make("app", {
      circuitBreaker: consecutive(1, {
        tripPolicy: CircuitBreaker.failureRate({ threshold: 1, window: { calls: 9 }, minimumCalls: 9 }),
        retryAfter: broken
      })
    })
    assert.isTrue(Exit.isFailure(yield* Effect.exit(resilient(down, "a"))))
    assert.deepInclude((yield* inspect("a")).circuitBreaker!.windows[0], { calls: 0, bad: 0 })
  })
)

describe("elsewhere", () => {
  it.effect("a probe whose retryAfter throws is given back", () =>
    Effect.gen(function* () {
      const { layer } = yield* remote
      let isBroken = false
      const { inspect, resilient } = yield* serviceOn(layer, {
        circuitBreaker: consecutive(1, {
          openDuration: "1 second",
          retryAfter: () => (isBroken ? broken() : Option.none())
        })
      })
      yield* Effect.flip(resilient(down, "a"))
      yield* TestClock.adjust("1 second")
      isBroken = true
      assert.isTrue(Exit.isFailure(yield* Effect.exit(resilient(down, "a"))))
      assert.deepInclude((yield* inspect("a")).circuitBreaker, { state: "HalfOpen", probesInFlight: 0 })
    })
  )

  it.effect("the moves of a circuit that a report brings are told", () =>
    Effect.gen(function* () {
      const { layer } = yield* remote
      const { events, record } = recorder()
      const { resilient } = yield* serviceOn(layer, { circuitBreaker: consecutive(1) })
      yield* Effect.flip(record(resilient(down, "a")))
      assert.deepStrictEqual(
        events.flatMap((event) => (event._tag === "CircuitTransition" ? [[event.from, event.to]] : [])),
        [["Closed", "Open"]]
      )
    })
  )

  it.effect("a circuit that was not asked, since there is no slot, does not refuse", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      const { resilient } = yield* serviceOn(layer, {
        circuitBreaker: consecutive(9),
        bulkhead: Bulkhead.policy({ maxConcurrent: 1 })
      })
      const call = yield* start(resilient(Effect.never, "a"))
      const { asked } = line
      assert.deepInclude(yield* Effect.flip(resilient(Effect.void, "a")), { policy: "bulkhead", reason: "full" })
      assert.strictEqual(line.asked, asked)
      yield* Fiber.interrupt(call)
    })
  )

  it.effect("each attempt is reported before the next one asks", () =>
    Effect.gen(function* () {
      const { layer } = yield* remote
      const { inspect, resilient } = yield* serviceOn(layer, {
        admission: "attempt",
        circuitBreaker: consecutive(9),
        retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("1 second") })
      })
      let ran = 0
      const call = yield* start(
        resilient(
          Effect.suspend(() => (++ran < 3 ? down : Effect.succeed(ran))),
          "a"
        )
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.await(call), Exit.succeed(3))
      assert.strictEqual((yield* inspect("a")).circuitBreaker?.state, "Closed")
    })
  )
})
