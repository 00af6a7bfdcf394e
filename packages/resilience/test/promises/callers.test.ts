/** What a caller sees of the attempts of its call, and what it leaves behind when it goes. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Option, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker, type Outcome, RateLimiter, Resilience, Retry } from "../../src/index.ts"
import type { Policies } from "../../src/Policies.ts"

describe("a herd (case retry-after-herd)", () => {
  /** When 500 calls that were told the same time come back: counted from the moment at which they may. */
  const herd = Effect.fnUntraced(function* (
    call: (begin: Effect.Effect<void>) => Effect.Effect<unknown, unknown>,
    hint: number
  ) {
    const start = yield* Clock.currentTimeMillis
    const at: Array<number> = []
    const noted = Effect.map(Clock.currentTimeMillis, (now) => void at.push(now - start))
    for (let i = 0; i < 500; i++) yield* Effect.forkChild(Effect.exit(call(noted)), { startImmediately: true })
    for (let i = 0; i < 200; i++) yield* TestClock.adjust(100)
    const second = at.filter((time) => time > 0)
    assert.isAtLeast(second.length, 300)
    assert.isAtLeast(Math.min(...second), hint, "none before the time")
    const times = new Map<number, number>()
    for (const time of second) times.set(time, (times.get(time) ?? 0) + 1)
    return Math.max(...times.values())
  })

  it.effect("that was told the same Retry-After comes back spread, and not before it, whatever the jitter", () =>
    Effect.gen(function* () {
      for (const jitter of ["none", "full"] as const) {
        const { resilient } = yield* Resilience.make("app/Api", {
          retry: Retry.policy({
            maxAttempts: 2,
            backoff: Backoff.exponential({ base: "1 second", jitter }),
            retryAfter: () => Option.some(Duration.seconds(10))
          })
        })
        const most = yield* herd((noted) => resilient(Effect.andThen(noted, Effect.fail("429")), "k"), 10_000)
        assert.isAtMost(most, 10, `${jitter}: calls that come back in one millisecond`)
      }
    })
  )

  it.effect("does the same after refusals that are tried again", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("app/Api", {
        rateLimiter: RateLimiter.fixedWindow({ limit: 1_000, window: "10 seconds" }),
        retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(1), retryRejections: true })
      })
      yield* resilient(Effect.void, "k", { cost: 1_000 })
      assert.isAtMost(yield* herd((noted) => resilient(noted, "k"), 10_000), 10)
    })
  )

  it.effect("the hint is not the previous delay of a decorrelated backoff", () =>
    Effect.gen(function* () {
      const at: Array<number> = []
      const call = Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(at.push(now)))
      const retry = Retry.policy({
        maxAttempts: 3,
        backoff: Backoff.decorrelated({ base: 100, cap: "1 minute" }),
        retryAfter: (n: number) => (n === 1 ? Option.some("10 seconds") : Option.none())
      })
      const fiber = yield* Effect.forkChild(Effect.exit(Retry.execute(call, retry)))
      for (let i = 0; i < 400; i++) yield* TestClock.adjust(100)
      yield* Fiber.join(fiber)
      // at most three times the first delay of its own, which was at most 300 ms
      assert.isAtMost(at[2]! - at[1]!, 900)
    })
  )
})

describe("a caller who leaves after an attempt of its call has failed (case interrupted-backoff)", () => {
  const counting = (tripPolicy: CircuitBreaker.TripPolicy) =>
    CircuitBreaker.policy({ tripPolicy, openDuration: "1 minute" })
  const rate = CircuitBreaker.failureRate({ threshold: 1, window: { calls: 1_000 }, minimumCalls: 1_000 })

  for (const admission of ["call", "attempt"] as const) {
    it.effect(`does not hide the failure: five of them open the circuit (admission per ${admission})`, () =>
      Effect.gen(function* () {
        const { inspect, resilient } = yield* Resilience.make("app/Api", {
          admission,
          circuitBreaker: counting(CircuitBreaker.consecutive(5)),
          retry: Retry.policy({ maxAttempts: 5, backoff: Backoff.constant("4 seconds") })
        })
        for (let i = 0; i < 5; i++) {
          assert.strictEqual((yield* inspect("k")).circuitBreaker!.state, "Closed")
          const fiber = yield* Effect.forkChild(resilient(Effect.fail("503"), "k"), { startImmediately: true })
          yield* TestClock.adjust("1 second")
          yield* Fiber.interrupt(fiber)
        }
        assert.strictEqual((yield* inspect("k")).circuitBreaker!.state, "Open")
      })
    )
  }

  const left = Effect.fnUntraced(function* (
    self: (run: number) => Effect.Effect<unknown, string>,
    options: Pick<Policies, "admission" | "attemptTimeout"> = {},
    more: { readonly classify?: () => Outcome.Outcome | undefined } = {}
  ) {
    const { inspect, resilient } = yield* Resilience.make("app/Api", {
      retry: Retry.policy({ maxAttempts: 5, backoff: Backoff.constant("4 seconds") }),
      ...options,
      ...more,
      circuitBreaker: counting(rate)
    })
    let run = 0
    const call = resilient(
      Effect.suspend(() => self(++run)),
      "k"
    )
    const fiber = yield* Effect.forkChild(call, { startImmediately: true })
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.interrupt(fiber)
    return (yield* inspect("k")).circuitBreaker!.windows[0]
  })
  const once = (run: number) => (run === 1 ? Effect.fail("503") : Effect.never)

  it.effect("in a further attempt, it is one failure", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* left(once), { calls: 1, bad: 1 })
      assert.deepStrictEqual(yield* left(once, { admission: "attempt" }), { calls: 1, bad: 1 })
    })
  )

  it.effect("what the failure was, classify says", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* left(once, {}, { classify: () => "ignored" }), { calls: 0, bad: 0 })
      assert.deepStrictEqual(yield* left(once, {}, { classify: () => undefined }), { calls: 1, bad: 1 })
    })
  )

  it.effect("in its first attempt, it tells nothing", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* left(() => Effect.never), { calls: 0, bad: 0 })
    })
  )

  it.effect("after an attempt that timed out, that is the failure", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* left(() => Effect.never, { attemptTimeout: "2 seconds" }), { calls: 1, bad: 1 })
    })
  )
})

describe("an interruption without a delay to wait for (case zero-backoff)", () => {
  it("is seen before the next attempt begins: an AbortSignal that the attempt fires", async () => {
    for (const backoff of [Backoff.constant(0), Backoff.exponential({ base: 1, jitter: "full" })]) {
      const caller = new AbortController()
      let runs = 0
      const self = Effect.suspend(() => (runs++, caller.abort(), Effect.fail("busy")))
      const policy = Retry.policy({ maxAttempts: 10, backoff })
      const exit = await Effect.runPromiseExit(Retry.execute(self, policy), { signal: caller.signal })
      assert.strictEqual(exit._tag, "Failure")
      assert.strictEqual(runs, 1)
    }
  })

  it("is seen before a later one, without a yield", async () => {
    const caller = new AbortController()
    let runs = 0
    const self = Effect.suspend(() => (++runs === 3 && caller.abort(), Effect.fail("busy")))
    const policy = Retry.policy({ maxAttempts: 10, backoff: Backoff.constant(0) })
    await Effect.runPromiseExit(Retry.execute(self, policy), { signal: caller.signal })
    assert.strictEqual(runs, 3)
  })
})

describe("an attempt knows which it is (case attempt-number)", () => {
  const seen = Effect.fnUntraced(function* (
    retried: (self: Effect.Effect<never, string>) => Effect.Effect<never, string>
  ) {
    const seen: Array<Schedule.Metadata> = []
    const body = Effect.gen(function* () {
      seen.push(yield* Schedule.CurrentMetadata)
      yield* Effect.sleep(50)
      return yield* Effect.fail(`no ${seen.length}`)
    })
    const fiber = yield* Effect.forkChild(Effect.exit(retried(body)))
    for (let i = 0; i < 100; i++) yield* TestClock.adjust(10)
    yield* Fiber.join(fiber)
    return seen.map((metadata) => ({ ...metadata, duration: Duration.toMillis(metadata.duration) }))
  })
  const spaced = Schedule.spaced(100).pipe(Schedule.upTo({ times: 2 }))

  it.effect("from Schedule.CurrentMetadata, whose fields are those that Effect.retry fills", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_000_000)
      const policy = Retry.policy({ maxAttempts: 3, backoff: Backoff.constant(100) })
      const own = yield* seen((self) => Retry.execute(self, policy))
      const at = 1_000_050
      assert.deepStrictEqual(
        own.map(({ attempt }) => attempt),
        [0, 1, 2]
      )
      assert.deepStrictEqual(
        own.slice(1).map(({ output: _, ...rest }) => rest),
        [
          { input: "no 1", duration: 100, attempt: 1, start: at, now: at, elapsed: 0, elapsedSincePrevious: 0 },
          {
            input: "no 2",
            duration: 100,
            attempt: 2,
            start: at,
            now: at + 150,
            elapsed: 150,
            elapsedSincePrevious: 150
          }
        ]
      )
      yield* TestClock.setTime(1_000_000)
      const theirs = yield* seen((self) => Effect.retry(self, spaced))
      const without = (all: typeof own) => all.map(({ output: _, ...rest }) => rest)
      assert.deepStrictEqual(without(own), without(theirs))
    })
  )

  it.effect("also where a schedule decides, and in a pipeline with a timeout, after a refusal too", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("app/Api", {
        attemptTimeout: "1 second",
        retry: Retry.fromSchedule(spaced)
      })
      const inPipeline = yield* seen((self) => resilient(self, "k") as Effect.Effect<never, string>)
      const alone = yield* seen((self) => Retry.execute(self, Retry.fromSchedule(spaced)))
      for (const all of [inPipeline, alone]) {
        assert.deepStrictEqual(
          all.map(({ attempt, input }) => [attempt, input]),
          [
            [0, undefined],
            [1, "no 1"],
            [2, "no 2"]
          ]
        )
      }
    })
  )

  it.effect("a retry around the pipeline still shows in the first attempt", () =>
    Effect.gen(function* () {
      const numbers: Array<number> = []
      const body = Effect.flatMap(Schedule.CurrentMetadata, ({ attempt }) => Effect.fail(numbers.push(attempt)))
      const policy = Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(0) })
      yield* Effect.exit(Effect.retry(Retry.execute(body, policy), { times: 1 }))
      assert.deepStrictEqual(numbers, [0, 1, 1, 1])
    })
  )
})
