/** A dependency that is well and says "not now" is no failure, and is left alone for as long as it asks. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker, Event, Outcome, Resilience, Retry, type Rejection } from "../../src/index.ts"

class Answer {
  readonly status: number
  readonly retryAfter: number | undefined
  constructor(status: number, retryAfter?: number) {
    this.status = status
    this.retryAfter = retryAfter
  }
}

const classify = (exit: Exit.Exit<unknown, Answer>): Outcome.Outcome => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  return error?.status === 429 ? "throttled" : Outcome.fromExit(exit)
}

const policyOf = (tripPolicy: CircuitBreaker.TripPolicy, more: Partial<CircuitBreaker.Options> = {}) =>
  CircuitBreaker.policy({
    tripPolicy,
    openDuration: "10 seconds",
    maxOpenDuration: "1 minute",
    retryAfter: (error) => Option.fromUndefinedOr((error as Answer).retryAfter), // all errors here
    ...more
  })

const circuitOf = Effect.fnUntraced(function* (
  tripPolicy: CircuitBreaker.TripPolicy,
  more?: Partial<CircuitBreaker.Options>
) {
  const { execute, state } = yield* CircuitBreaker.make(policyOf(tripPolicy, more))
  const run = <A>(self: Effect.Effect<A, Answer>): Effect.Effect<Exit.Exit<A, Answer | Rejection.CircuitOpen>> =>
    Effect.exit(execute(self, undefined, { classify }))
  const now = (status: number, retryAfter?: number) =>
    run(status === 200 ? Effect.void : Effect.fail(new Answer(status, retryAfter)))
  /** A call that is in flight until it is told how it ends. */
  const begin = Effect.gen(function* () {
    const end = yield* Deferred.make<void, Answer>()
    const fiber = yield* Effect.forkChild(run(Deferred.await(end)), { startImmediately: true })
    return (status: number, retryAfter?: number) =>
      Deferred.done(end, status === 200 ? Exit.void : Exit.fail(new Answer(status, retryAfter))).pipe(
        Effect.andThen(Fiber.await(fiber))
      )
  })
  return { state, now, begin }
})

describe("a circuit that is closed", () => {
  it.effect("does not count what is throttled, and a run of failures goes on over it", () =>
    Effect.gen(function* () {
      const { now, state } = yield* circuitOf(CircuitBreaker.consecutive(3))
      for (let i = 0; i < 50; i++) yield* now(429, 5_000)
      assert.deepInclude(yield* state(), { state: "Closed", windows: [{ calls: 0, bad: 0 }] })
      yield* now(503)
      yield* now(503)
      yield* now(429)
      assert.deepInclude(yield* state(), { state: "Closed", windows: [{ calls: 2, bad: 2 }] })
      yield* now(503)
      assert.strictEqual((yield* state()).state, "Open")
    })
  )

  it.effect("does not count it as slow when it ends, but keeps what it counted while the call was in flight", () =>
    Effect.gen(function* () {
      const window = { calls: 10 }
      const rate = CircuitBreaker.failureRate({ threshold: 1, window, minimumCalls: 10 })
      const slow = CircuitBreaker.slowCallRate({ slowAfter: "1 second", threshold: 1, window, minimumCalls: 10 })
      const { begin, state } = yield* circuitOf(CircuitBreaker.anyOf(rate, slow))
      const end = yield* begin
      yield* TestClock.adjust("1 minute")
      yield* end(429)
      assert.deepStrictEqual((yield* state()).windows, [
        { calls: 0, bad: 0 },
        { calls: 0, bad: 0 }
      ])
      const seen = yield* begin
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual((yield* state()).windows[1], { calls: 1, bad: 1 })
      yield* seen(429)
      assert.deepStrictEqual((yield* state()).windows, [
        { calls: 0, bad: 0 },
        { calls: 1, bad: 1 }
      ])
    })
  )
})

describe("a probe that is throttled", () => {
  for (const [asks, opens] of [
    [undefined, 10_000],
    [3_000, 10_000],
    [25_000, 25_000],
    [3_600_000, 60_000]
  ] as const) {
    it.effect(`opens the circuit again for ${opens} ms where it asks for ${asks ?? "nothing"}`, () =>
      Effect.gen(function* () {
        const { now, state } = yield* circuitOf(CircuitBreaker.consecutive(1), {
          probes: { permitted: 3, required: 1 }
        })
        yield* now(503)
        yield* TestClock.adjust("10 seconds")
        yield* now(429, asks)
        assert.deepInclude(yield* state(), { state: "Open", retryAfterMillis: opens, openForMillis: opens })
      })
    )
  }

  it.effect("is one however slow it was", () =>
    Effect.gen(function* () {
      const slow = CircuitBreaker.slowCallRate({ slowAfter: "1 second", threshold: 1, window: { calls: 1 } })
      const { begin, now, state } = yield* circuitOf(CircuitBreaker.anyOf(CircuitBreaker.consecutive(1), slow))
      yield* now(503)
      yield* TestClock.adjust("10 seconds")
      const end = yield* begin
      yield* TestClock.adjust("2 seconds")
      yield* end(429, 25_000)
      assert.deepInclude(yield* state(), { state: "Open", retryAfterMillis: 25_000 })
    })
  )
})

describe("a circuit that is open", () => {
  const opened = Effect.gen(function* () {
    const circuit = yield* circuitOf(CircuitBreaker.consecutive(1))
    const late = yield* Effect.replicateEffect(circuit.begin, 5)
    yield* circuit.now(503)
    const [first, second, third, fourth, fifth] = late as [
      (typeof late)[0] & {},
      (typeof late)[0] & {},
      (typeof late)[0] & {},
      (typeof late)[0] & {},
      (typeof late)[0] & {}
    ] // of five
    const left = Effect.map(circuit.state(), ({ retryAfterMillis, state }) => [state, retryAfterMillis])
    return { ...circuit, left, first, second, third, fourth, fifth }
  })

  it.effect("stays open as long as a call asks that ran when it opened, never less, and never beyond its longest", () =>
    Effect.gen(function* () {
      const { fifth, first, fourth, left, second, third } = yield* opened
      yield* TestClock.adjust("2 seconds")
      yield* first(429, 3_000)
      assert.deepStrictEqual(yield* left, ["Open", 8_000])
      yield* second(429, 20_000)
      assert.deepStrictEqual(yield* left, ["Open", 20_000])
      yield* third(503, 40_000)
      assert.deepStrictEqual(yield* left, ["Open", 20_000])
      yield* TestClock.adjust("5 seconds")
      yield* fourth(429)
      assert.deepStrictEqual(yield* left, ["Open", 15_000])
      yield* fifth(429, 3_600_000)
      assert.deepStrictEqual(yield* left, ["Open", 53_000])
      yield* TestClock.adjust("53 seconds")
      assert.deepStrictEqual(yield* left, ["HalfOpen", 0])
    })
  )

  it.effect("does not listen to a call of an earlier generation, nor once the opening has ended", () =>
    Effect.gen(function* () {
      const { first, left, now, second } = yield* opened
      yield* TestClock.adjust("10 seconds")
      yield* first(429, 30_000)
      assert.deepStrictEqual(yield* left, ["HalfOpen", 0])
      yield* now(503)
      assert.deepStrictEqual(yield* left, ["Open", 10_000])
      yield* second(429, 30_000)
      assert.deepStrictEqual(yield* left, ["Open", 10_000])
    })
  )

  it.effect("listens to the other probes of the trial that failed", () =>
    Effect.gen(function* () {
      const { begin, now, state } = yield* circuitOf(CircuitBreaker.consecutive(1), { probes: { permitted: 2 } })
      yield* now(503)
      yield* TestClock.adjust("10 seconds")
      const [one, two] = [yield* begin, yield* begin]
      yield* one(503)
      yield* two(429, 30_000)
      assert.deepInclude(yield* state(), { state: "Open", retryAfterMillis: 30_000 })
    })
  )
})

it("no exit is throttled by itself", () => {
  const exits = [Exit.void, Exit.fail(new Answer(429, 1)), Exit.die("no"), Exit.interrupt()]
  assert.deepStrictEqual(exits.map(Outcome.fromExit), ["success", "failure", "failure", "ignored"])
})

it.effect(
  "the event of a call says that it was throttled; its hint is the retry policy's where the circuit has none",
  () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const service = yield* Resilience.make("app/Api", {
        circuitBreaker: policyOf(CircuitBreaker.consecutive(1), { retryAfter: undefined }),
        retry: Retry.policy({
          maxAttempts: 1,
          backoff: Backoff.constant(1),
          retryAfter: (error) => Option.fromUndefinedOr((error as Answer).retryAfter) // all errors here
        }),
        classify: classify as (exit: Exit.Exit<unknown, unknown>) => Outcome.Outcome // all errors here
      })
      const call = (status: number, retryAfter: number) =>
        service
          .resilient(Effect.fail(new Answer(status, retryAfter)), "a")
          .pipe(
            Effect.exit,
            Effect.provide(Event.layer((event) => void (event._tag === "CallEnded" && seen.push(event.outcome))))
          )
      yield* call(503, 0)
      yield* TestClock.adjust("10 seconds")
      yield* call(429, 30_000)
      assert.deepStrictEqual(seen, ["failure", "throttled"])
      assert.deepInclude((yield* service.inspect("a")).circuitBreaker, { state: "Open", retryAfterMillis: 30_000 })
    })
)
