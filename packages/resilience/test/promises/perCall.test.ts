/** What one call says for itself, and retries by result. */
import { assert, describe, it } from "@effect/vitest"
import { Data, Duration, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker, Rejection, Resilience, Retry } from "../../src/index.ts"

class HttpError extends Data.TaggedError("HttpError")<{ readonly status: number }> {}

const everySecond = Backoff.constant("1 second")
const counting = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.failureRate({ threshold: 1, window: { calls: 99 }, minimumCalls: 99 }),
  openDuration: "1 minute"
})

/** An effect that counts its runs, and ends the n-th as told. */
const runs = <A, E>(end: (n: number) => Effect.Effect<A, E>) => {
  let n = 0
  return { effect: Effect.suspend(() => end(++n)), count: () => n }
}

const after = <A, E>(duration: Duration.Input, self: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(self), { startImmediately: true })
    yield* TestClock.adjust(duration)
    return yield* Fiber.join(fiber)
  })

describe("a call says for itself", () => {
  it.effect("retry false: it makes one attempt, whatever fails, and its error is never wrapped", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("app/Pay", {
        attemptTimeout: "1 second",
        retry: Retry.policy({ maxAttempts: 5, backoff: everySecond, onExhausted: "wrap" })
      })
      const failing = runs(() => Effect.fail(new HttpError({ status: 503 })))
      const exit = yield* after("1 minute", resilient(failing.effect, "ada", { retry: false }))
      assert.deepStrictEqual([exit, failing.count()], [Exit.fail(new HttpError({ status: 503 })), 1])
      const hanging = runs(() => Effect.never)
      yield* after("1 minute", hanging.effect.pipe(resilient("ada", { retry: false })))
      assert.strictEqual(hanging.count(), 1)
    })
  )

  it.effect("what it retries: both it and the policy must want it, and timeouts are then left alone", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("app/Pay", {
        attemptTimeout: "1 second",
        retry: Retry.policy({
          maxAttempts: 3,
          backoff: everySecond,
          while: (error: HttpError) => error.status >= 500,
          retryTimeouts: true
        })
      })
      const attempts = (status: number, retry: Resilience.RetryOptions<HttpError>) =>
        Effect.gen(function* () {
          const failing = runs(() => Effect.fail(new HttpError({ status })))
          yield* after("1 minute", resilient(failing.effect, "ada", { retry }))
          return failing.count()
        })
      assert.strictEqual(yield* attempts(503, {}), 3)
      assert.strictEqual(yield* attempts(503, { while: ({ status }) => status !== 503 }), 1)
      assert.strictEqual(yield* attempts(404, { while: () => true }), 1, "the policy does not want it")
      const hanging = runs((): Effect.Effect<never, HttpError> => Effect.never)
      yield* after("1 minute", resilient(hanging.effect, "ada", { retry: { while: () => true } }))
      assert.strictEqual(hanging.count(), 3, "the policy says that timeouts are repeated")
    })
  )

  it.effect("what it retries: with a while of its own, timeouts are not repeated by default", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("app/Pay", {
        attemptTimeout: "1 second",
        retry: Retry.policy({ maxAttempts: 3, backoff: everySecond })
      })
      for (const [retry, expected] of [
        [undefined, 3],
        [{ while: () => true }, 1],
        [{ retryAfter: () => Option.none() }, 3]
      ] as const) {
        const hanging = runs(() => Effect.never)
        yield* after("1 minute", resilient(hanging.effect, "ada", { retry }))
        assert.strictEqual(hanging.count(), expected)
      }
    })
  )

  it.effect("how long the server asks for, in place of the policy's reading", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("app/Api", {
        retry: Retry.policy({
          maxAttempts: 2,
          backoff: Backoff.constant(0),
          retryAfter: () => Option.some("20 seconds")
        })
      })
      const failing = runs(() => Effect.fail("busy"))
      const retry = { retryAfter: () => Option.some("5 seconds" as const) }
      const fiber = yield* Effect.forkChild(Effect.exit(resilient(failing.effect, "ada", { retry })), {
        startImmediately: true
      })
      yield* TestClock.adjust(4_999)
      assert.strictEqual(failing.count(), 1)
      yield* TestClock.adjust(501)
      assert.strictEqual(failing.count(), 2)
      yield* Fiber.join(fiber)
    })
  )

  it.effect("a timeout, which can only shorten the service's", () =>
    Effect.gen(function* () {
      const timed = yield* Resilience.make("app/Api", { timeout: "2 seconds", circuitBreaker: counting })
      const endOf = (timeout: Duration.Input) =>
        Effect.gen(function* () {
          const exit = yield* after("1 minute", timed.resilient(Effect.never, "ada", { timeout }))
          const error = Option.getOrThrow(Exit.findErrorOption(exit))
          if (!(error instanceof Rejection.TimeoutExceeded)) throw error
          return error.timeoutMillis
        })
      assert.strictEqual(yield* endOf("500 millis"), 500)
      assert.strictEqual(yield* endOf("1 minute"), 2_000)
      const window = (yield* timed.inspect("ada")).circuitBreaker?.windows[0]
      assert.deepInclude(window, { calls: 2, bad: 2 }, "each had all the time that it was given")
      const untimed = yield* Resilience.make("app/Slow", {})
      const exit = yield* after("10 seconds", untimed.resilient(Effect.sleep("5 seconds"), "ada", { timeout: 1 }))
      assert.deepStrictEqual(exit, Exit.void, "there is none to shorten")
    })
  )

  it("nothing that no call has: the option is named", () => {
    const service = Effect.runSync(Resilience.make("app/Api", {}))
    const refused = (options: object, message: RegExp) => {
      assert.throws(() => service.resilient(Effect.void, "ada", options), message)
      assert.throws(() => service.resilient("ada", options)(Effect.void), message)
      assert.throws(() => Resilience.resilient("ada", options)(Effect.void), message)
    }
    refused({ retrry: false }, /^resilient: retrry is not one of cost, timeout, classify, retry/)
    refused({ retry: { whille: () => true } }, /^resilient: retry\.whille is not one of while, retryAfter/)
    refused({ retry: true }, /^resilient: retry must be false, or what narrows the retries/)
    refused({ timeout: "soon" }, /^resilient: timeout must be a duration/)
    refused({ classify: "failure" }, /^resilient: classify must be a function/)
  })
})

describe("a value may be worth another attempt", () => {
  const make = (admission: "call" | "attempt") =>
    Resilience.make("app/Api", {
      admission,
      circuitBreaker: counting,
      retry: Retry.policy({
        maxAttempts: 3,
        backoff: everySecond,
        onExhausted: "wrap",
        retryIf: (response: { readonly status: number }) => response.status === 503
      })
    })
  const answers = (bad: number) => runs((n) => Effect.succeed({ status: n <= bad ? 503 : 200 }))

  for (const [admission, tells] of [
    [
      "call",
      [
        { calls: 1, bad: 0 },
        { calls: 2, bad: 1 }
      ]
    ],
    [
      "attempt",
      [
        { calls: 3, bad: 2 },
        { calls: 6, bad: 5 }
      ]
    ]
  ] as const) {
    it.effect(`it is asked again, and the last value is the call's (admission per ${admission})`, () =>
      Effect.gen(function* () {
        const { inspect, resilient } = yield* make(admission)
        const windows = Effect.map(inspect("ada"), ({ circuitBreaker }) => circuitBreaker?.windows[0])
        const recovers = answers(2)
        assert.deepStrictEqual(
          yield* after("1 minute", resilient(recovers.effect, "ada")),
          Exit.succeed({ status: 200 })
        )
        assert.strictEqual(recovers.count(), 3)
        assert.deepInclude(yield* windows, tells[0])
        const down = answers(9)
        assert.deepStrictEqual(yield* after("1 minute", resilient(down.effect, "ada")), Exit.succeed({ status: 503 }))
        assert.strictEqual(down.count(), 3)
        assert.deepInclude(yield* windows, tells[1], "a value that was rejected is a failure")
      })
    )
  }

  it.effect("a caller who leaves in the backoff does not hide it", () =>
    Effect.gen(function* () {
      const { inspect, resilient } = yield* make("call")
      const fiber = yield* Effect.forkChild(resilient(answers(9).effect, "ada"), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.deepInclude((yield* inspect("ada")).circuitBreaker?.windows[0], { calls: 1, bad: 1 })
    })
  )
})

describe("Resilience.remaining", () => {
  it.effect("is what is left of the nearest deadline around the effect, and undefined without one", () =>
    Effect.gen(function* () {
      assert.isUndefined(yield* Resilience.remaining)
      const outer = yield* Resilience.make("outer", { timeout: "1 second" })
      const inner = yield* Resilience.make("inner", { attemptTimeout: "10 seconds" })
      const left = Effect.map(Resilience.remaining, (one) => (one === undefined ? undefined : Duration.toMillis(one)))
      const both = Effect.andThen(Effect.sleep(300), inner.resilient(Effect.all([left, Effect.sleep(100), left]), "k"))
      const exit = yield* after("1 second", outer.resilient(both, "k"))
      assert.deepStrictEqual(exit, Exit.succeed([700, undefined, 600]))
    })
  )
})
