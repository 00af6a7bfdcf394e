/** What a timeout means: whether it is repeated, what the circuit hears of it, and what becomes of a result that comes late. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Data, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, type Outcome, Rejection, Resilience, Retry } from "../../src/index.ts"
import type { Policies } from "../../src/Policies.ts"

class HttpError extends Data.TaggedError("HttpError")<{ readonly method: string }> {}

const tripping = (failures = 1) =>
  CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(failures), openDuration: "1 minute" })

const errorIn = (exit: Exit.Exit<unknown, unknown>): unknown => Option.getOrUndefined(Exit.findErrorOption(exit))

describe("a request that hangs (case hung-post)", () => {
  /** How often a POST is sent that never ends. */
  const sent = Effect.fnUntraced(function* (options: Partial<Retry.Options<HttpError, "last">>) {
    let posts = 0
    const { resilient } = yield* Resilience.make("app/Api", {
      attemptTimeout: "1 second",
      retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant(1), ...options })
    })
    const post = Effect.suspend((): Effect.Effect<never, HttpError> => {
      posts++
      return Effect.never
    })
    const fiber = yield* Effect.forkChild(Effect.exit(resilient(post, "k")))
    yield* TestClock.adjust("1 minute")
    const error = errorIn(yield* Fiber.join(fiber))
    assert.instanceOf(error, Rejection.TimeoutExceeded)
    return [posts, error.message.includes("retryTimeouts")] as const
  })

  it.effect("is sent once where a `while` says which errors are worth a repeat, and the error says why", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const worth = (error: HttpError) => (asked.push(error), error.method === "GET")
      assert.deepStrictEqual(yield* sent({ while: worth }), [1, true])
      assert.deepStrictEqual(asked, [])
    })
  )

  it.effect("is sent again where there is no `while`, and where the policy says it of timeouts", () =>
    Effect.gen(function* () {
      const never = { while: () => false }
      assert.deepStrictEqual(yield* sent({}), [3, false])
      assert.deepStrictEqual(yield* sent({ ...never, retryTimeouts: true }), [3, false])
      assert.deepStrictEqual(yield* sent({ retryTimeouts: false }), [1, false])
      assert.deepStrictEqual(yield* sent({ ...never, retryTimeouts: false }), [1, false])
    })
  )

  it.effect("is sent again where `retryTimeouts` says so of that very timeout", () =>
    Effect.gen(function* () {
      const asked: Array<Rejection.TimeoutExceeded> = []
      const twice = (error: Rejection.TimeoutExceeded) => asked.push(error) < 2
      assert.deepStrictEqual(yield* sent({ while: () => true, retryTimeouts: twice }), [2, false])
      for (const error of asked) assert.deepInclude(error, { scope: "attempt", service: "app/Api", key: "k" })
    })
  )

  it.effect("a timeout that the effect itself fails with is an error like any other", () =>
    Effect.gen(function* () {
      let runs = 0
      const foreign = new Rejection.TimeoutExceeded({ key: "inner", scope: "call", timeoutMillis: 1 })
      const call = Effect.suspend(() => (runs++, Effect.fail(foreign)))
      const policy = { maxAttempts: 3, backoff: Backoff.constant(0) }
      yield* Effect.exit(Retry.execute(call, Retry.policy({ ...policy, while: () => true })))
      assert.strictEqual(runs, 3)
      yield* Effect.exit(Retry.execute(call, Retry.policy({ ...policy, while: () => false, retryTimeouts: true })))
      assert.strictEqual(runs, 4)
    })
  )
})

describe("classify (case classify-timeouts)", () => {
  const three = Effect.fnUntraced(function* (
    timeouts: Pick<Policies, "timeout" | "attemptTimeout">,
    answer: Outcome.Outcome | undefined
  ) {
    const asked: Array<unknown> = []
    const { inspect, resilient } = yield* Resilience.make("app/Api", {
      ...timeouts,
      circuitBreaker: tripping(3),
      classify: (exit) => (asked.push(errorIn(exit)), answer)
    })
    for (let i = 0; i < 3; i++) {
      const fiber = yield* Effect.forkChild(Effect.exit(resilient(Effect.sleep("5 seconds"), "k")))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
    }
    assert.strictEqual(asked.length, 3)
    for (const error of asked) assert.instanceOf(error, Rejection.TimeoutExceeded)
    return (yield* inspect("k")).circuitBreaker!.state
  })

  for (const timeouts of [{ timeout: "1 second" }, { attemptTimeout: "1 second" }] as const) {
    it.effect(
      `is asked about a timeout and obeyed, and answers the default with undefined (${Object.keys(timeouts)})`,
      () =>
        Effect.gen(function* () {
          assert.strictEqual(yield* three(timeouts, "ignored"), "Closed")
          assert.strictEqual(yield* three(timeouts, "success"), "Closed")
          assert.strictEqual(yield* three(timeouts, "failure"), "Open")
          assert.strictEqual(yield* three(timeouts, undefined), "Open")
        })
    )
  }
})

describe("a result that comes after the timer, from a region that cannot be interrupted (case late-success)", () => {
  const late = Effect.fnUntraced(function* <E>(
    policies: { readonly timeout?: number; readonly attemptTimeout?: number },
    end: Effect.Effect<string, E>,
    after: Effect.Effect<unknown, E> = Effect.void
  ) {
    let runs = 0
    const { inspect, resilient } = yield* Resilience.make("app/Pay", {
      ...policies,
      circuitBreaker: tripping(),
      retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant(1) })
    })
    const body = Effect.uninterruptible(
      Effect.andThen(
        Effect.sleep(45),
        Effect.suspend(() => (runs++, end))
      )
    )
    const fiber = yield* Effect.forkChild(
      Effect.exit(
        resilient(
          Effect.tap(body, () => after),
          "k"
        )
      )
    )
    yield* TestClock.adjust("1 minute")
    return { exit: yield* Fiber.join(fiber), runs, state: (yield* inspect("k")).circuitBreaker!.state }
  })

  it.effect("is the attempt's: a success is returned, and the body is run once", () =>
    Effect.gen(function* () {
      const { exit, runs, state } = yield* late({ attemptTimeout: 20 }, Effect.succeed("receipt"))
      assert.deepStrictEqual([exit, runs, state], [Exit.succeed("receipt"), 1, "Closed"])
    })
  )

  it.effect("a typed failure is judged as any failure, and not repeated as a timeout", () =>
    Effect.gen(function* () {
      const { exit, runs, state } = yield* late({ attemptTimeout: 20 }, Effect.fail("declined"))
      // three times, as the policy says of errors
      assert.deepStrictEqual([exit, runs, state], [Exit.fail("declined"), 3, "Open"])
    })
  )

  it.effect(
    "past the call's own deadline a success is returned as well, though the circuit has heard of the timeout",
    () =>
      Effect.gen(function* () {
        const { exit, runs, state } = yield* late({ timeout: 20 }, Effect.succeed("receipt"))
        assert.deepStrictEqual([exit, runs, state], [Exit.succeed("receipt"), 1, "Open"])
      })
  )

  it.effect("an effect that goes on after that region is interrupted there", () =>
    Effect.gen(function* () {
      const { exit, runs } = yield* late({ timeout: 20 }, Effect.succeed("receipt"), Effect.never)
      assert.instanceOf(errorIn(exit), Rejection.TimeoutExceeded)
      assert.strictEqual(runs, 1)
    })
  )

  it.effect("the fiber is looked at again after 2, 4, 8 ms and so on, at most 100 ms apart", () =>
    Effect.gen(function* () {
      for (const [region, found] of [
        [21, 22],
        [25, 26],
        [200, 246],
        [1_000, 1_046]
      ] as const) {
        const { resilient } = yield* Resilience.make("app/Pay", { attemptTimeout: 20 })
        const start = yield* Clock.currentTimeMillis
        let at = 0
        const body = Effect.andThen(Effect.uninterruptible(Effect.sleep(region)), Effect.never)
        const noted = Effect.onExit(Effect.exit(resilient(body, "k")), () =>
          Effect.map(Clock.currentTimeMillis, (now) => void (at = now - start))
        )
        const fiber = yield* Effect.forkChild(noted, { startImmediately: true })
        for (let i = 0; i < 1_100; i++) yield* TestClock.adjust(1)
        yield* Fiber.join(fiber)
        assert.strictEqual(at, found, `region of ${region} ms`)
      }
    })
  )
})

describe("a call that hangs past its timeout and cannot be interrupted (case uninterruptible)", () => {
  for (const [scope, policies] of [
    ["the call's", { timeout: "1 second" }],
    ["an attempt's, each admitted", { attemptTimeout: "1 second", admission: "attempt" }]
  ] as const) {
    it.effect(`is a failure when the timer fires, once, and its slot stays taken (${scope})`, () =>
      Effect.gen(function* () {
        const { inspect, resilient } = yield* Resilience.make("app/Pay", {
          ...policies,
          bulkhead: Bulkhead.policy({ maxConcurrent: 2 }),
          circuitBreaker: CircuitBreaker.policy({
            tripPolicy: CircuitBreaker.failureRate({ threshold: 1, window: { calls: 10 }, minimumCalls: 10 }),
            openDuration: "1 minute"
          })
        })
        const body = Effect.uninterruptible(Effect.sleep("1 minute"))
        const fiber = yield* Effect.forkDetach(resilient(body, "k"), { startImmediately: true })
        const look = Effect.map(inspect("k"), ({ bulkhead, circuitBreaker }) => [
          circuitBreaker!.windows[0],
          bulkhead!.running
        ])
        yield* TestClock.adjust("999 millis")
        assert.deepStrictEqual(yield* look, [{ calls: 0, bad: 0 }, 1])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* look, [{ calls: 1, bad: 1 }, 1])
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 minute")
        assert.isDefined(fiber.pollUnsafe())
        assert.deepStrictEqual(yield* look, [{ calls: 1, bad: 1 }, 0])
      })
    )
  }

  it.effect("opens the circuit while it hangs", () =>
    Effect.gen(function* () {
      const { inspect, resilient } = yield* Resilience.make("app/Pay", {
        timeout: "1 second",
        circuitBreaker: tripping()
      })
      yield* Effect.forkDetach(resilient(Effect.uninterruptible(Effect.sleep("1 hour")), "k"), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* inspect("k")).circuitBreaker!.state, "Open")
      yield* TestClock.adjust("1 hour")
    })
  )

  it.effect("a defect in a finalizer of an effect that was cut is not swallowed", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("app/Pay", { timeout: "1 second" })
      const body = Effect.ensuring(Effect.never, Effect.die("bug"))
      const fiber = yield* Effect.forkChild(Effect.exit(resilient(body, "k")))
      yield* TestClock.adjust("2 seconds")
      const exit = yield* Fiber.join(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )
})
