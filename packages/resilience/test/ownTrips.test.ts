/** Trip policies of a user's own: a pure function that counts calls and says when a circuit opens. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  CircuitBreaker,
  Event,
  MemoryStore,
  Outcome,
  RateLimiter,
  RemoteStore,
  Resilience,
  Store
} from "../src/index.ts"
import { InvalidPolicyError } from "../src/Rejection.ts"
import { recorder } from "./watching.ts"

/** Opens at so many failures, however many calls succeed. Its state is their number. */
const total = (failures: number, id = "total@1") =>
  CircuitBreaker.trip({
    id,
    initial: 0,
    step: (count, { outcome }) => {
      const next = outcome === "failure" ? count + 1 : count
      return [next >= failures, next]
    },
    expiresAt: () => undefined
  })

const policy = (tripPolicy: CircuitBreaker.TripPolicy, options: Partial<CircuitBreaker.Options> = {}) =>
  CircuitBreaker.policy({ openDuration: "10 seconds", ...options, tripPolicy })

const down = Effect.fail("503")

const play = (breaker: CircuitBreaker.CircuitBreakerService, calls: string) =>
  Effect.forEach([...calls], (call) => Effect.exit(breaker.execute(call === "+" ? Effect.void : down)), {
    discard: true
  })

describe("a trip policy of one's own", () => {
  it.effect("opens the circuit when it says so, and is named by the refusal, the inspection and the event", () =>
    Effect.gen(function* () {
      const { events, sink } = recorder()
      const breaker = yield* CircuitBreaker.make(policy(total(3)))
      yield* play(breaker, "-+-+").pipe(Effect.provide(Event.layer(sink)))
      assert.deepInclude(yield* breaker.state(), { state: "Closed", own: { "total@1": 2 } })
      yield* play(breaker, "-").pipe(Effect.provide(Event.layer(sink)))
      assert.deepInclude(yield* breaker.state(), {
        state: "Open",
        openedBy: "total@1",
        openForMillis: 10_000,
        own: { "total@1": 0 }
      })
      assert.strictEqual((yield* Effect.flip(breaker.execute(Effect.void))).openedBy, "total@1")
      const moves = events.filter((event) => event._tag === "CircuitTransition")
      assert.deepStrictEqual(
        moves.map(({ exit, openedBy, to }) => [to, openedBy, exit]),
        [["Open", "total@1", Exit.fail("503")]]
      )
    })
  )

  it.effect("begins anew when the circuit closes, and when it is reset", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(policy(total(2)))
      yield* play(breaker, "--")
      yield* TestClock.adjust("10 seconds")
      yield* play(breaker, "+-")
      assert.deepInclude(yield* breaker.state(), { state: "Closed", own: { "total@1": 1 } })
      yield* breaker.reset()
      assert.deepInclude(yield* breaker.state(), { own: { "total@1": 0 } })
      yield* play(breaker, "-")
      assert.strictEqual((yield* breaker.state()).state, "Closed")
    })
  )

  it.effect("is asked about the calls that a closed circuit counts, and about no others", () =>
    Effect.gen(function* () {
      const asked: Array<CircuitBreaker.TripInput> = []
      const listens = CircuitBreaker.trip({
        id: "listens@1",
        initial: 0,
        step: (n, input) => {
          asked.push(input)
          return [asked.length === 3, n + 1]
        },
        expiresAt: () => undefined
      })
      const classify = (exit: Exit.Exit<unknown, unknown>) =>
        Exit.isFailure(exit) && Cause.squash(exit.cause) === "429" ? "throttled" : Outcome.fromExit(exit)
      const service = yield* Resilience.make("app/Asked", { circuitBreaker: policy(listens), classify })
      const call = (self: Effect.Effect<unknown, string>) => Effect.exit(service.resilient(self, "a"))
      const late = yield* Effect.forkChild(call(Effect.andThen(Effect.sleep("15 seconds"), down)))
      const left = yield* Effect.forkChild(service.resilient(Effect.never, "a"), { startImmediately: true })
      yield* Fiber.interrupt(left)
      yield* call(Effect.fail("429"))
      yield* call(Effect.void)
      const slow = yield* Effect.forkChild(call(Effect.andThen(Effect.sleep("1 second"), down)))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(slow)
      yield* call(down) // opens
      yield* TestClock.adjust("10 seconds")
      yield* call(Effect.void) // a probe
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.join(late) // let in before the circuit opened
      assert.deepStrictEqual(asked, [
        { outcome: "success", duration: 0 },
        { outcome: "failure", duration: 1_000 },
        { outcome: "failure", duration: 0 }
      ])
      assert.strictEqual((yield* service.inspect("a")).circuitBreaker?.state, "Closed")
    })
  )

  it.effect("stands beside others: whichever says so first opens the circuit", () =>
    Effect.gen(function* () {
      const both = CircuitBreaker.anyOf(CircuitBreaker.consecutive(2), total(3), total(3, "later@1"))
      for (const [calls, openedBy] of [
        ["--", "consecutive"],
        ["-+-+-", "total@1"],
        ["-+-+", undefined]
      ] as const) {
        const breaker = yield* CircuitBreaker.make(policy(both))
        yield* play(breaker, calls)
        assert.strictEqual((yield* breaker.state()).openedBy, openedBy, calls)
      }
    })
  )

  const story = Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))), {
    minLength: 3,
    maxLength: 60
  })

  it.effect.prop(
    "that counts failures in a row does what `consecutive` does, whatever happens",
    { dice: story },
    ({ dice }) =>
      Effect.gen(function* () {
        const failures = 1 + (dice[0]! % 3) // it has three at least
        const inARow = CircuitBreaker.trip({
          id: "in-a-row@1",
          initial: 0,
          step: (count, { outcome }) => {
            const next = outcome === "failure" ? count + 1 : 0
            return [next >= failures, next]
          },
          expiresAt: (count) => (count === 0 ? 0 : undefined)
        })
        const make = (tripPolicy: CircuitBreaker.TripPolicy) =>
          CircuitBreaker.make(CircuitBreaker.policy({ openDuration: "1 second", by: "key", tripPolicy }))
        const one = yield* make(CircuitBreaker.consecutive(failures))
        const other = yield* make(inARow)
        const look = (breaker: CircuitBreaker.CircuitBreakerService, key: string) =>
          Effect.map(breaker.state(key), ({ openedBy, own: _, windows: _windows, ...rest }) => ({
            ...rest,
            openedBy: openedBy === "in-a-row@1" ? "consecutive" : openedBy
          }))
        for (const [i, die] of dice.entries()) {
          const key = i % 3 === 0 ? "b" : "a"
          yield* TestClock.adjust(die === 9 ? 1_000 : die)
          for (const breaker of [one, other]) {
            if (die === 8) yield* breaker.reset(key)
            else yield* Effect.exit(breaker.execute(die < 4 ? Effect.void : down, key))
          }
          assert.deepStrictEqual(yield* look(other, key), yield* look(one, key))
        }
      }),
    { arbitrary: { runs: 100, size: 60, seed: 1 } }
  )

  it.effect("says when a circuit may be forgotten", () =>
    Effect.gen(function* () {
      const within = CircuitBreaker.trip({
        id: "within@1",
        initial: { until: 0 },
        step: (state, { outcome }, now) => [false, outcome === "failure" ? { until: now + 60_000 } : state],
        expiresAt: ({ until }) => until
      })
      const keyed = { by: "key", openDuration: "1 second" } as const
      const forgets = yield* CircuitBreaker.make(CircuitBreaker.policy({ ...keyed, tripPolicy: within }))
      const keeps = yield* CircuitBreaker.make(CircuitBreaker.policy({ ...keyed, tripPolicy: total(9) }))
      /** How many of the first fifty are known. */
      const sizes = () =>
        [forgets, keeps].map(
          ({ gate }) => [...gate.store.sync!.entries(gate.space)].filter(([key]) => Number(key) < 50).length
        )
      const all = (self: Effect.Effect<unknown, string>, from: number, to: number) =>
        Effect.forEach([forgets, keeps], (breaker) =>
          Effect.forEach(
            Array.from({ length: to - from }, (_, i) => `${from + i}`),
            (key) => Effect.exit(breaker.execute(self, key))
          )
        )
      yield* all(down, 0, 50)
      assert.deepStrictEqual(sizes(), [50, 50])
      yield* TestClock.adjust(59_999)
      yield* all(Effect.void, 1_000, 3_000)
      assert.deepStrictEqual(sizes(), [50, 50])
      yield* TestClock.adjust(1)
      yield* all(Effect.void, 1_000, 3_000)
      assert.deepStrictEqual(sizes(), [0, 50])
    })
  )

  it.effect("is not forgotten before a circuit of which it has counted nothing, where keys are bounded", () =>
    Effect.gen(function* () {
      const slow = CircuitBreaker.trip({
        id: "slow@1",
        initial: 0,
        step: (count, { duration }) => [false, duration >= 1_000 ? count + 1 : count],
        expiresAt: () => undefined
      })
      const rate = CircuitBreaker.failureRate({ threshold: 1, window: { calls: 9 } })
      const tripPolicy = CircuitBreaker.anyOf(slow, rate)
      const breaker = yield* CircuitBreaker.make(
        CircuitBreaker.policy({ tripPolicy, openDuration: "1 second", by: "key", maxKeys: 2 })
      )
      const waits = yield* Effect.forkChild(breaker.execute(Effect.sleep("1 second"), "slow"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(waits)
      for (const key of ["fine", "new", "newer"]) yield* breaker.execute(Effect.void, key)
      assert.deepStrictEqual((yield* breaker.state("slow")).own, { "slow@1": 1 })
      assert.strictEqual((yield* breaker.state("fine")).windows[0]?.calls, 0)
    })
  )

  it.effect("kills with what it throws the call that was counted, and no other", () =>
    Effect.gen(function* () {
      const throws = CircuitBreaker.trip({
        id: "throws@1",
        initial: 0,
        step: (n, { outcome }) => {
          if (outcome === "failure") throw new Error("cannot count")
          return [false, n + 1] as const
        },
        expiresAt: () => undefined
      })
      const service = yield* Resilience.make("app/Throws", {
        circuitBreaker: policy(throws),
        rateLimiter: RateLimiter.tokenBucket({ limit: 10, window: "1 second" })
      })
      yield* service.resilient(Effect.void, "a")
      const exit = yield* Effect.exit(service.resilient(down, "a"))
      assert.isTrue(Exit.isFailure(exit) && exit.cause.reasons.some(Cause.isDieReason))
      assert.deepInclude((yield* service.inspect("a")).circuitBreaker, { state: "Closed", own: { "throws@1": 1 } })
      yield* service.resilient(Effect.void, "a")
      assert.deepInclude((yield* service.inspect("a")).circuitBreaker?.own, { "throws@1": 2 })
      const keyed = yield* CircuitBreaker.make(
        CircuitBreaker.policy({ tripPolicy: throws, openDuration: "1 second", by: "key", maxKeys: 1 })
      )
      for (const self of [Effect.void, down]) yield* Effect.exit(keyed.execute(self, "a"))
      yield* keyed.execute(Effect.void, "b")
      assert.strictEqual(keyed.gate.store.sync!.size(keyed.gate.space), 1, "the key of the call that died is free")
    })
  )
})

describe("where it cannot run", () => {
  class Scored extends Resilience.Service<Scored>()("app/Scored", { circuitBreaker: policy(total(2)) }) {}
  const call = Effect.exit(Scored.resilient(down, "a"))

  it.effect("a layer on a remote store fails, and names it", () =>
    Effect.gen(function* () {
      const inner = yield* Store.Store
      const remote = Layer.succeed(Store.Store, RemoteStore.make(inner))
      const exit = yield* Effect.exit(Effect.provide(call, Layer.provide(Scored.layerFromStore, remote)))
      assert.isTrue(Exit.isFailure(exit))
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(error, InvalidPolicyError)
      assert.deepInclude(error, { module: "CircuitBreaker.policy", parameter: "tripPolicy", value: "total@1" })
      assert.include((error as InvalidPolicyError).message, "total@1") // it is one
    }).pipe(Effect.provide(MemoryStore.layer))
  )

  it.effect("on a memory store it runs", () =>
    Effect.gen(function* () {
      yield* call
      yield* call
      assert.strictEqual((yield* Scored.inspect("a")).circuitBreaker?.state, "Open")
    }).pipe(Effect.provide(Scored.layerFromStore), Effect.provide(MemoryStore.layer))
  )

  it("what is no trip policy is refused", () => {
    const good = { id: "good@1", initial: 0, step: () => [false, 0] as const, expiresAt: () => undefined }
    const refusal = (change: object): unknown => {
      try {
        return CircuitBreaker.trip({ ...good, ...change })
      } catch (error) {
        return error instanceof InvalidPolicyError ? `${error.parameter} ${error.reason}` : error
      }
    }
    assert.strictEqual(refusal({ id: "" }), "id must be a name")
    assert.strictEqual(refusal({ id: "failureRate" }), "id is the name of one of the library's own")
    assert.strictEqual(refusal({ step: undefined }), "step must be a function")
    assert.strictEqual(refusal({ expiresAt: 7 }), "expiresAt must be a function")
    assert.throws(() => CircuitBreaker.anyOf(total(1), total(2)), /is given twice/)
    for (const options of [
      { count: 0, within: 1 },
      { count: 1.5, within: 1 },
      { count: 1_001, within: 1 },
      { count: 1, within: 0 },
      { count: 1, within: NaN },
      { count: 1, within: Infinity }
    ]) {
      assert.throws(() => CircuitBreaker.failures(options), InvalidPolicyError)
    }
  })
})
