import { assert, describe, it } from "@effect/vitest"
import { Context, Data, type Duration, Effect, Exit, Fiber, Layer, Option, Schedule } from "effect"
import { TestClock } from "effect/testing"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Event,
  RateLimiter,
  Resilience,
  Retry,
  RetryBudget
} from "../../src/index.ts"
import type { Policies } from "../../src/Policies.ts"

class Busy extends Data.TaggedError("Busy")<{ readonly n: number; readonly wait?: Duration.Input }> {}

class Budget extends RetryBudget.Service<Budget>()("test/Budget", { capacity: 50 }) {}

const every100 = {
  backoff: Backoff.constant("100 millis"),
  retryAfter: (error: Busy) => Option.fromUndefinedOr(error.wait)
}
const retry = Retry.policy({ ...every100, budget: Budget })
const balance = Effect.map(Budget.inspect, (budget) => budget.balance)

/** Fails the first `times` times, with the waits that are given. */
const fails = (times: number, ...waits: ReadonlyArray<Duration.Input | undefined>) => {
  let n = 0
  return Effect.suspend(() => {
    n++
    const wait = waits[n - 1]
    return n > times ? Effect.succeed(n) : Effect.fail(new Busy(wait === undefined ? { n } : { n, wait }))
  })
}
const always = () => fails(Infinity)

/** Runs to the end, however long it takes. */
const finish = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self)
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.await(fiber)
  })
const provided = Effect.provide(Budget.layer)
const failedAt = (exit: Exit.Exit<unknown, Busy>): number =>
  Exit.isFailure(exit) ? (exit.cause.reasons[0] as unknown as { error: Busy }).error.n : 0

describe("a retry", () => {
  it.effect("takes 14, and 5 where its error asked for a time", () =>
    Effect.gen(function* () {
      const shop = yield* Resilience.make("test/Shop", { retry })
      yield* finish(shop.resilient(fails(2), "k", { retry: { while: ({ n }) => n < 2 } }))
      assert.strictEqual(yield* balance, 50 - 14)
      yield* finish(shop.resilient(fails(2, "1 second"), "k", { retry: { while: ({ n }) => n < 2 } }))
      assert.strictEqual(yield* balance, 36 - 5)
    }).pipe(provided)
  )

  it.effect("that is refused ends the call with the last error as it was, without a wait", () =>
    Effect.gen(function* () {
      const wrapping = Retry.policy({ ...every100, maxAttempts: 9, budget: Budget, onExhausted: "wrap" })
      const shop = yield* Resilience.make("test/Shop", { retry: wrapping })
      const fiber = yield* Effect.forkChild(Effect.exit(shop.resilient(always(), "k")))
      yield* TestClock.adjust("300 millis")
      const exit = fiber.pollUnsafe()
      assert.isDefined(exit, "three retries of 14 leave 8: the call has ended after 300 ms")
      assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail(new Busy({ n: 4 })))
      assert.strictEqual(yield* balance, 8)
    }).pipe(provided)
  )

  it.effect("takes before its backoff what no other can take then", () =>
    Effect.gen(function* () {
      const shop = yield* Resilience.make("test/Shop", { retry })
      const calls = yield* Effect.forEach([1, 2, 3, 4], () =>
        Effect.forkChild(Effect.exit(shop.resilient(always(), "k")))
      )
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(
        calls.map((call) => call.pollUnsafe() !== undefined),
        [false, false, false, true]
      )
      assert.strictEqual(yield* balance, 8)
      yield* Effect.forEach(calls, Fiber.interrupt)
    }).pipe(provided)
  )

  it.effect("is refused for one unit, and let through with the last", () =>
    Effect.gen(function* () {
      const run = (capacity: number) => {
        const own = Retry.policy({ ...every100, budget: RetryBudget.policy({ capacity }) })
        return Effect.map(finish(Retry.execute(always(), own)), failedAt)
      }
      assert.strictEqual(yield* run(27), 2)
      assert.strictEqual(yield* run(28), 3)
    })
  )

  it.effect(
    "after a rejection of ours takes what one with a hint takes, and gives it back where it is refused again",
    () =>
      Effect.gen(function* () {
        const retry = Retry.policy({ ...every100, while: (_: Busy) => false, retryRejections: true, budget: Budget })
        const rateLimiter = RateLimiter.fixedWindow({ limit: 1, window: "10 seconds" })
        const shop = yield* Resilience.make("test/Shop", { rateLimiter, retry })
        yield* shop.resilient(Effect.void, "k")
        const calls = yield* Effect.forEach([1, 2], () => Effect.forkChild(Effect.exit(shop.resilient(always(), "k"))))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* balance, 50 - 10)
        yield* TestClock.adjust("14 seconds")
        assert.strictEqual(yield* balance, 50 - 10, "one has begun, and one was refused and has taken again")
        assert.strictEqual(calls.filter((call) => call.pollUnsafe() !== undefined).length, 1)
        yield* Effect.forEach(calls, Fiber.interrupt)
        assert.strictEqual(yield* balance, 50 - 5)
      }).pipe(provided)
  )
})

describe("a success", () => {
  it.effect("of a first attempt returns 1, up to the capacity", () =>
    Effect.gen(function* () {
      const shop = yield* Resilience.make("test/Shop", { retry })
      yield* finish(shop.resilient(always(), "k", { retry: { while: ({ n }) => n < 2 } }))
      assert.strictEqual(yield* balance, 36)
      yield* shop.resilient(fails(0), "k")
      assert.strictEqual(yield* balance, 37)
      yield* shop.resilient(fails(0), "k", { retry: false })
      assert.strictEqual(yield* balance, 38)
      for (let i = 0; i < 20; i++) yield* shop.resilient(fails(0), "k")
      assert.strictEqual(yield* balance, 50)
    }).pipe(provided)
  )

  it.effect("after retries returns what the last of them took", () =>
    Effect.gen(function* () {
      const shop = yield* Resilience.make("test/Shop", { retry })
      yield* finish(shop.resilient(fails(2), "k"))
      assert.strictEqual(yield* balance, 50 - 14)
      yield* finish(shop.resilient(fails(2, undefined, "1 second"), "k"))
      assert.strictEqual(yield* balance, 36 - 14)
      yield* finish(shop.resilient(fails(2, "1 second"), "k"))
      assert.strictEqual(yield* balance, 22 - 5)
    }).pipe(provided)
  )

  it.effect("is no failure: a call that fails returns nothing", () =>
    Effect.gen(function* () {
      const shop = yield* Resilience.make("test/Shop", { retry })
      yield* finish(shop.resilient(always(), "k"))
      assert.strictEqual(yield* balance, 50 - 28)
      yield* finish(shop.resilient(always(), "k", { retry: false }))
      assert.strictEqual(yield* balance, 50 - 28)
    }).pipe(provided)
  )
})

describe("a value that retryIf rejects", () => {
  const answers = (...values: ReadonlyArray<number>) => {
    let n = 0
    return Effect.sync(() => values[Math.min(n++, values.length - 1)]!)
  }
  const options = { backoff: Backoff.constant("100 millis"), retryIf: (status: number) => status >= 500 }

  it.effect("is no success: its retries are spent, and a success after it returns what the last took", () =>
    Effect.gen(function* () {
      const retry = Retry.policy({ ...options, budget: Budget })
      const shop = yield* Resilience.make("test/Shop", { retry })
      assert.deepStrictEqual(yield* finish(shop.resilient(answers(503), "k")), Exit.succeed(503))
      assert.strictEqual(yield* balance, 50 - 28)
      assert.deepStrictEqual(yield* finish(shop.resilient(answers(503, 200), "k")), Exit.succeed(200))
      assert.strictEqual(yield* balance, 22)
      yield* finish(shop.resilient(answers(503), "k"))
      assert.strictEqual(yield* balance, 8)
      assert.deepStrictEqual(yield* finish(shop.resilient(answers(503), "k")), Exit.succeed(503))
      assert.strictEqual(yield* balance, 8, "the value of a refused retry returns nothing")
    }).pipe(provided)
  )

  it.effect("is no success where the next attempt finds no slot, either", () =>
    Effect.gen(function* () {
      const retry = Retry.policy({ ...options, budget: Budget })
      const shop = yield* Resilience.make("test/Shop", { retry, bulkhead: Bulkhead.policy({ maxConcurrent: 1 }) })
      yield* finish(shop.resilient(answers(503), "k"))
      const call = yield* Effect.forkChild(shop.resilient(answers(503), "k"))
      yield* TestClock.adjust("50 millis")
      const other = yield* Effect.forkChild(shop.resilient(Effect.never, "k"))
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(yield* Fiber.join(call), 503)
      assert.strictEqual(yield* balance, 22)
      yield* Fiber.interrupt(other)
    }).pipe(provided)
  )
})

describe("what was taken is given back where the attempt does not begin", () => {
  it.effect("since the call was interrupted in its backoff", () =>
    Effect.gen(function* () {
      const shop = yield* Resilience.make("test/Shop", { retry })
      const call = yield* Effect.forkChild(shop.resilient(always(), "k"))
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(yield* balance, 36)
      yield* Fiber.interrupt(call)
      assert.strictEqual(yield* balance, 50)
    }).pipe(provided)
  )

  it.effect("since the circuit has opened", () =>
    Effect.gen(function* () {
      const tripPolicy = CircuitBreaker.consecutive(1)
      const circuitBreaker = CircuitBreaker.policy({ tripPolicy, openDuration: "1 second" })
      const shop = yield* Resilience.make("test/Shop", { retry, circuitBreaker })
      const call = yield* Effect.forkChild(Effect.exit(shop.resilient(always(), "k")))
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(yield* balance, 36)
      yield* Effect.exit(shop.resilient(Effect.fail(new Busy({ n: 1 })), "k", { retry: false }))
      assert.deepStrictEqual(yield* Fiber.join(call), Exit.fail(new Busy({ n: 1 })))
      assert.strictEqual(yield* balance, 50)
    }).pipe(provided)
  )

  it.effect("since it found no slot", () =>
    Effect.gen(function* () {
      const shop = yield* Resilience.make("test/Shop", { retry, bulkhead: Bulkhead.policy({ maxConcurrent: 1 }) })
      const call = yield* Effect.forkChild(Effect.exit(shop.resilient(always(), "k")))
      yield* TestClock.adjust("50 millis")
      const other = yield* Effect.forkChild(shop.resilient(Effect.never, "k"))
      yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(yield* Fiber.join(call), Exit.fail(new Busy({ n: 1 })))
      assert.strictEqual(yield* balance, 50)
      yield* Fiber.interrupt(other)
    }).pipe(provided)
  )

  it.effect("since the deadline came while it waited for a slot", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute" })
      const shop = yield* Resilience.make("test/Shop", { retry, bulkhead, timeout: "1 second" })
      const call = yield* Effect.forkChild(Effect.exit(shop.resilient(always(), "k")))
      yield* TestClock.adjust("50 millis")
      const other = yield* Effect.forkChild(Effect.exit(shop.resilient(Effect.never, "k")))
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(yield* balance, 36)
      yield* TestClock.adjust("850 millis")
      yield* Fiber.join(call)
      assert.strictEqual(yield* balance, 50)
      yield* Fiber.interrupt(other)
    }).pipe(provided)
  )

  it.effect("and is spent where it began, however it ends", () =>
    Effect.gen(function* () {
      const shop = yield* Resilience.make("test/Shop", { retry })
      const hangs = Effect.suspend(
        (
          (n) => () =>
            ++n === 1 ? Effect.fail(new Busy({ n })) : Effect.never
        )(0)
      )
      const call = yield* Effect.forkChild(shop.resilient(hangs, "k"))
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(call)
      assert.strictEqual(yield* balance, 36)
    }).pipe(provided)
  )
})

describe("a budget", () => {
  it.effect("that is a service is shared by all services that name it", () =>
    Effect.gen(function* () {
      class Orders extends Resilience.Service<Orders>()("test/Orders", { retry }) {}
      class Prices extends Resilience.Service<Prices>()("test/Prices", { retry }) {}
      class Patient extends Retry.Service<Patient>()("test/Patient", retry) {}
      yield* Effect.gen(function* () {
        yield* finish(Orders.resilient(always(), "k"))
        assert.strictEqual(yield* balance, 22)
        assert.strictEqual(failedAt(yield* finish(Prices.resilient(always(), "k"))), 2)
        assert.strictEqual(yield* balance, 8)
        assert.strictEqual(failedAt(yield* finish(Patient.execute(always()))), 1)
        assert.strictEqual(failedAt(yield* finish(Retry.execute(always(), retry))), 1)
      }).pipe(Effect.provide([Orders.layer, Prices.layer, Patient.layer]))
    }).pipe(provided)
  )

  it.effect("that is a value is one of its own for each service", () =>
    Effect.gen(function* () {
      const own = Retry.policy({ ...every100, budget: RetryBudget.policy({ capacity: 28 }) })
      const orders = yield* Resilience.make("test/Orders", { retry: own })
      const prices = yield* Resilience.make("test/Prices", { retry: own })
      assert.strictEqual(failedAt(yield* finish(orders.resilient(always(), "k"))), 3)
      assert.strictEqual(failedAt(yield* finish(orders.resilient(always(), "k"))), 1)
      assert.strictEqual(failedAt(yield* finish(prices.resilient(always(), "k"))), 3)
      const [one, two] = [yield* Retry.make(own), yield* Retry.make(own)]
      assert.strictEqual(failedAt(yield* finish(one.execute(always()) as Effect.Effect<number, Busy>)), 3)
      assert.strictEqual(failedAt(yield* finish(one.execute(always()) as Effect.Effect<number, Busy>)), 1)
      assert.strictEqual(failedAt(yield* finish(two.execute(always()) as Effect.Effect<number, Busy>)), 3)
    })
  )

  it.effect("that is a value is one for all that runs through the policy alone", () =>
    Effect.gen(function* () {
      const own = Retry.policy({ ...every100, budget: RetryBudget.policy({ capacity: 28 }) })
      assert.strictEqual(failedAt(yield* finish(Retry.execute(always(), own))), 3)
      assert.strictEqual(failedAt(yield* finish(Retry.execute(always(), own))), 1)
      const copy = { ...own, options: { ...own.options, budget: RetryBudget.policy({ capacity: 14 }) } }
      assert.strictEqual(failedAt(yield* finish(Retry.execute(always(), copy))), 2)
      assert.strictEqual(failedAt(yield* finish(Retry.execute(always(), copy))), 1)
    })
  )

  it.effect("holds where a schedule decides, and a value made by hand stands under its tag", () =>
    Effect.gen(function* () {
      const scheduled = Retry.fromSchedule(Schedule.recurs(9), { budget: Budget })
      const hand = yield* RetryBudget.make(RetryBudget.policy({ capacity: 14 }))
      const shop = yield* Effect.provideService(Resilience.make("test/Shop", { retry: scheduled }), Budget, hand)
      assert.strictEqual(failedAt(yield* finish(shop.resilient(always(), "k"))), 2)
      assert.deepStrictEqual(yield* hand.inspect, { balance: 0, retries: 0 })
    })
  )

  it.effect("that is missing where the service is built ends the layer, and not each call", () =>
    Effect.gen(function* () {
      const untyped: Policies = { retry }
      const exit = yield* Effect.exit(Resilience.make("test/Shop", untyped))
      assert.match(String(exit), /test\/Budget/)
    })
  )

  it.effect("says in an event that a retry was refused", () =>
    Effect.gen(function* () {
      const events: Array<Event.Event> = []
      const shop = yield* Resilience.make("test/Shop", { retry })
      const call = shop.resilient(always(), "ada")
      yield* finish(Effect.exit(Effect.andThen(Effect.exit(call), call))).pipe(
        Effect.provide(Event.layer((event) => void events.push(event)))
      )
      assert.deepStrictEqual(
        events.filter(({ _tag }) => _tag === "PolicyEvent"),
        [
          {
            _tag: "PolicyEvent",
            service: "test/Shop",
            key: "ada",
            policy: "retry",
            name: "RetryRefused",
            detail: { attempt: 2 }
          }
        ]
      )
      assert.strictEqual(events.filter(({ _tag }) => _tag === "RetryScheduled").length, 3)
    }).pipe(provided)
  )

  it.effect("has 500 by default, of which a retry takes 14", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make(RetryBudget.policy())
      assert.deepStrictEqual(yield* budget.inspect, { balance: 500, retries: 35 })
    })
  )
})

describe("a share", () => {
  class Fifth extends RetryBudget.Service<Fifth>()(
    "test/Fifth",
    RetryBudget.share({ percent: 20, minPerSecond: 0.2, window: "10 seconds" })
  ) {}
  const retry = Retry.policy({ ...every100, maxAttempts: 2, budget: Fifth })
  const left = Effect.map(Fifth.inspect, ({ balance }) => balance)
  const shopWith = Effect.provide(Layer.fresh(Fifth.layer))

  it.effect("lets through its percentage of the calls of the window, and so many a second beside", () =>
    Effect.gen(function* () {
      const shop = yield* Resilience.make("test/Shop", { retry })
      const run = Effect.map(
        Effect.forEach(Array.from({ length: 20 }), () =>
          Effect.forkChild(Effect.exit(shop.resilient(always(), "k")))
        ).pipe(
          Effect.tap(() => TestClock.adjust("100 millis")),
          Effect.flatMap(Effect.forEach(Fiber.join))
        ),
        (exits) => exits.filter((exit) => failedAt(exit) === 2).length
      )
      assert.strictEqual(yield* left, 2)
      assert.strictEqual(yield* run, 6, "2 in 10 seconds, and 4 of 20 calls")
      assert.strictEqual(yield* run, 4)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* left, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* left, 2, "the window is over")
    }).pipe(shopWith)
  )

  it.effect("gets back what did not begin, and nothing for a success", () =>
    Effect.gen(function* () {
      const shop = yield* Resilience.make("test/Shop", { retry })
      const call = yield* Effect.forkChild(Effect.exit(shop.resilient(always(), "k")))
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(yield* left, 1.2)
      yield* Fiber.interrupt(call)
      assert.strictEqual(yield* left, 2.2)
      yield* finish(shop.resilient(fails(1), "k"))
      assert.strictEqual(yield* left, 2, "after an hour, all is as at the beginning")
      const retried = yield* Effect.forkChild(shop.resilient(fails(1), "k"))
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(yield* Fiber.join(retried), 2)
      assert.strictEqual(yield* left, 1.2)
    }).pipe(shopWith)
  )

  it.effect("has 20 percent and 10 a second in 10 seconds by default", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make(RetryBudget.share())
      assert.deepStrictEqual(yield* budget.inspect, { balance: 100, retries: 100 })
      const shop = yield* Resilience.make("test/Shop", { retry: Retry.policy({ budget: Fifth }) })
      yield* shop.resilient(Effect.void, "k").pipe(Effect.repeat({ times: 9 }))
      assert.strictEqual(yield* left, 4)
    }).pipe(shopWith)
  )
})

describe("numbers that make no sense are refused", () => {
  const refused: ReadonlyArray<readonly [message: RegExp, make: () => unknown]> = [
    [/RetryBudget.policy: capacity must be at least 1/, () => RetryBudget.policy({ capacity: 0 })],
    [/RetryBudget.policy: capacity must be a whole number/, () => RetryBudget.policy({ capacity: NaN })],
    [/RetryBudget.policy: retryCost must be at most 10/, () => RetryBudget.policy({ capacity: 10 })],
    [/RetryBudget.policy: retryCost must be at least 1/, () => RetryBudget.policy({ retryCost: 0 })],
    [/RetryBudget.policy: retryCost must be a whole number/, () => RetryBudget.policy({ retryCost: 1.5 })],
    [/RetryBudget.policy: throttledCost must be at least 1/, () => RetryBudget.policy({ throttledCost: 0 })],
    [/RetryBudget.policy: throttledCost must be at most 500/, () => RetryBudget.policy({ throttledCost: 501 })],
    [/RetryBudget.share: percent must be a finite number above 0/, () => RetryBudget.share({ percent: 0 })],
    [/RetryBudget.share: percent must be a finite number/, () => RetryBudget.share({ percent: NaN })],
    [
      /RetryBudget.share: minPerSecond must be a finite number at least 0/,
      () => RetryBudget.share({ minPerSecond: -1 })
    ],
    [/RetryBudget.share: window must be at least 10 milliseconds/, () => RetryBudget.share({ window: 9 })],
    [/RetryBudget.share: window must be a finite duration/, () => RetryBudget.share({ window: Infinity })],
    [/Retry.policy: budget must be a RetryBudget/, () => Retry.policy({ budget: {} as never })],
    [/Retry.policy: budget must be a RetryBudget/, () => Retry.policy({ budget: 500 as never })],
    [/Retry.fromSchedule: budget must be/, () => Retry.fromSchedule(Schedule.recurs(1), { budget: "b" as never })]
  ]
  for (const [message, make] of refused) it(`refuses ${message}`, () => assert.throws(make, message))

  it("and a cheap retry makes one with a hint as cheap", () => {
    assert.doesNotThrow(() => RetryBudget.policy({ capacity: 3, retryCost: 2 }))
    assert.isTrue(Context.isKey(Budget))
  })
})
