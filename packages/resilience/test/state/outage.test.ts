/** `policies.store.onError`: what a store elsewhere does to calls when it fails, hangs, and comes back. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, RateLimiter, Rejection, Retry } from "../../src/index.ts"
import { remote, serviceOn } from "./remote.ts"
import { breakerOn, limiterOn, recorder, settle } from "./support.ts"

const limit = RateLimiter.fixedWindow({ limit: 2, window: "1 hour" })

describe("while the store is down", () => {
  it.effect(
    '"local", the default, decides by the same limits in this process, and by the shared ones again once it is back',
    () =>
      Effect.gen(function* () {
        const { layer, line } = yield* remote
        const { resilient } = yield* serviceOn(layer, { rateLimiter: limit })
        const call = Effect.exit(resilient(Effect.succeed("ran"), "a"))
        assert.deepStrictEqual(yield* call, Exit.succeed("ran"))
        line.mode = "down"
        assert.deepStrictEqual(yield* call, Exit.succeed("ran"))
        assert.deepStrictEqual(yield* call, Exit.succeed("ran"))
        assert.isTrue(Exit.isFailure(yield* call), "the limit holds in this process too")
        line.mode = "up"
        assert.deepStrictEqual(yield* call, Exit.succeed("ran"), "one of two was spent in the store")
        assert.isTrue(Exit.isFailure(yield* call))
        line.mode = "down"
        assert.isTrue(Exit.isFailure(yield* call), "what was spent here is still known here")
      })
  )

  it.effect(
    '"local" keeps a circuit of its own, and what the store\'s is told meanwhile is lost and does no harm',
    () =>
      Effect.gen(function* () {
        const { layer, line } = yield* remote
        const policy = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(2), openDuration: "1 minute" })
        const { inspect, resilient } = yield* serviceOn(layer, { circuitBreaker: policy })
        const state = Effect.map(inspect("a"), ({ circuitBreaker }) => circuitBreaker!.state)
        const failing = Effect.flip(resilient(Effect.fail("down"), "a"))
        line.mode = "down"
        assert.strictEqual(yield* failing, "down")
        assert.strictEqual(yield* failing, "down")
        assert.deepInclude(yield* failing, { _tag: "CircuitOpen", state: "Open" })
        line.mode = "up"
        assert.strictEqual(yield* state, "Closed")
        assert.strictEqual(yield* failing, "down")
        // the line is cut while a call is in flight: its outcome reaches nobody, the call is not disturbed
        const inFlight = yield* Effect.forkChild(failing.pipe(Effect.delay(0)))
        yield* settle
        line.mode = "down"
        yield* TestClock.adjust(0)
        assert.include(["down", "CircuitOpen"], (yield* Fiber.join(inFlight)) as string)
      })
  )

  it.effect('"allow" lets everything pass that could ever pass, and remembers nothing', () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      const { resilient } = yield* serviceOn(layer, { rateLimiter: limit, store: { onError: "allow" } })
      line.mode = "down"
      for (let i = 0; i < 20; i++) yield* resilient(Effect.void, "a")
      const error = yield* Effect.flip(resilient(Effect.void, "a", { cost: 3 }))
      assert.deepInclude(error, { _tag: "RateLimitExceeded", reason: "cost-exceeds-capacity" })
      line.mode = "up"
      yield* resilient(Effect.void, "a", { cost: 2 })
      assert.strictEqual((yield* Effect.flip(resilient(Effect.void, "a")))._tag, "RateLimitExceeded")
    })
  )

  it.effect('"fail" fails with the store\'s own error, runs nothing, retries nothing, and no circuit counts it', () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      const policy = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" })
      const { inspect, resilient } = yield* serviceOn(layer, {
        rateLimiter: limit,
        circuitBreaker: policy,
        retry: Retry.policy({ maxAttempts: 3 }),
        store: { onError: "fail" }
      })
      line.mode = "down"
      let ran = 0
      const error = yield* Effect.flip(
        resilient(
          Effect.sync(() => ++ran),
          "a"
        )
      )
      assert.deepInclude(error, { _tag: "StoreError", reason: "unavailable", cause: "ECONNREFUSED" })
      assert.isTrue(Rejection.isRejection(error))
      assert.strictEqual(ran, 0)
      assert.strictEqual(line.asked, 1)
      line.mode = "up"
      assert.strictEqual((yield* inspect("a")).circuitBreaker!.state, "Closed")
      assert.strictEqual(
        yield* resilient(
          Effect.sync(() => ++ran),
          "a"
        ),
        1
      )
    })
  )

  it.effect("a limiter and a breaker of their own decide in this process", () =>
    Effect.gen(function* () {
      const { line, store } = yield* remote
      const limiter = yield* limiterOn(store, limit)
      const breaker = yield* breakerOn(
        store,
        CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" })
      )
      line.mode = "down"
      assert.deepStrictEqual(
        [yield* limiter.allow("a"), yield* limiter.allow("a"), yield* limiter.allow("a")],
        [true, true, false]
      )
      assert.strictEqual((yield* limiter.peek("a")).remaining, 0)
      yield* Effect.exit(breaker.execute(Effect.fail("503")))
      assert.strictEqual((yield* breaker.state()).state, "Open")
    })
  )
})

describe("while the store hangs", () => {
  for (const mode of ["hangs", "hangs and cannot be interrupted"] as const) {
    it.effect(`it is given the deadline and no more (${mode})`, () =>
      Effect.gen(function* () {
        const { layer, line } = yield* remote
        const { resilient } = yield* serviceOn(layer, {
          rateLimiter: limit,
          store: { onError: "fail", deadline: "200 millis" }
        })
        line.mode = mode
        const call = yield* Effect.forkChild(Effect.flip(resilient(Effect.void, "a")))
        yield* TestClock.adjust(199)
        assert.isUndefined(call.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.deepInclude(yield* Fiber.join(call), { _tag: "StoreError", reason: "deadline" })
      })
    )

    it.effect(`it is given one second by default, and then the call is decided here (${mode})`, () =>
      Effect.gen(function* () {
        const { layer, line } = yield* remote
        const { resilient } = yield* serviceOn(layer, { rateLimiter: limit })
        line.mode = mode
        const call = yield* Effect.forkChild(resilient(Effect.succeed("ran"), "a"))
        yield* TestClock.adjust(999)
        assert.isUndefined(call.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* Fiber.join(call), "ran")
      })
    )

    it.effect(`a caller that is interrupted is free at once (${mode})`, () =>
      Effect.gen(function* () {
        const { layer, line } = yield* remote
        const { resilient } = yield* serviceOn(layer, { rateLimiter: limit })
        line.mode = mode
        const call = yield* Effect.forkChild(resilient(Effect.void, "a"))
        yield* settle
        yield* Fiber.interrupt(call)
        assert.isTrue(Exit.isFailure(call.pollUnsafe()!))
      })
    )

    it.effect(`a call's own timeout ends it, and counts for nothing (${mode})`, () =>
      Effect.gen(function* () {
        const { layer, line } = yield* remote
        const { resilient } = yield* serviceOn(layer, { rateLimiter: limit, timeout: "50 millis" })
        line.mode = mode
        const call = yield* Effect.forkChild(Effect.flip(resilient(Effect.void, "a")))
        yield* TestClock.adjust(50)
        assert.deepInclude(call.pollUnsafe(), { _tag: "Success" })
        assert.deepInclude(yield* Fiber.join(call), { _tag: "TimeoutExceeded", scope: "call" })
      })
    )

    it.effect(`a call that ends while its outcome cannot be told is not kept longer than the deadline (${mode})`, () =>
      Effect.gen(function* () {
        const { layer, line } = yield* remote
        const policy = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" })
        const { resilient } = yield* serviceOn(layer, { circuitBreaker: policy, store: { deadline: "200 millis" } })
        const call = yield* Effect.forkChild(
          Effect.flip(resilient(Effect.sync(() => (line.mode = mode)).pipe(Effect.andThen(Effect.fail("down"))), "a"))
        )
        yield* TestClock.adjust(200)
        assert.deepStrictEqual(call.pollUnsafe(), Exit.succeed("down"))
      })
    )
  }

  it.effect("nothing is asked twice, and a store that committed late has spent in the store only", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      const { resilient } = yield* serviceOn(layer, { rateLimiter: limit, store: { deadline: 10 } })
      line.mode = "answers and then hangs"
      const call = yield* Effect.forkChild(resilient(Effect.succeed("ran"), "a"))
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* Fiber.join(call), "ran")
      assert.deepInclude(line, { asked: 1, committed: 1 })
      line.mode = "up"
      assert.strictEqual(yield* resilient(Effect.succeed("ran"), "a"), "ran")
      assert.strictEqual((yield* Effect.flip(resilient(Effect.void, "a")))._tag, "RateLimitExceeded")
    })
  )
})

describe("when the store is back", () => {
  for (const onError of ["local", "allow"] as const) {
    it.effect(`what was taken here meanwhile is given back here, and frees nothing there (${onError})`, () =>
      Effect.gen(function* () {
        const { layer, line } = yield* remote
        const policies = {
          rateLimiter: limit,
          timeout: "50 millis",
          store: { onError, deadline: "100 millis" }
        } as const
        const { resilient } = yield* serviceOn(layer, policies)
        line.mode = "hangs"
        const left = yield* Effect.forkChild(Effect.flip(resilient(Effect.succeed("ran"), "a")))
        yield* TestClock.adjust(50)
        assert.deepInclude(yield* Fiber.join(left), { _tag: "TimeoutExceeded" })
        line.mode = "up"
        assert.strictEqual(yield* resilient(Effect.succeed("ran"), "a"), "ran")
        yield* TestClock.adjust(50) // the call that has left is let in here, and gives that back
        assert.strictEqual(yield* resilient(Effect.succeed("ran"), "a"), "ran")
        assert.deepInclude(yield* Effect.flip(resilient(Effect.succeed("ran"), "a")), { _tag: "RateLimitExceeded" })
      })
    )
  }
})

describe("when the store goes", () => {
  it.effect("what was taken there frees nothing here", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      const { resilient } = yield* serviceOn(layer, { rateLimiter: limit, timeout: "50 millis" })
      line.mode = "slow"
      yield* Effect.forkChild(Effect.exit(resilient(Effect.void, "a")))
      yield* TestClock.adjust(60)
      line.mode = "down"
      for (let i = 0; i < 2; i++) assert.strictEqual(yield* resilient(Effect.succeed("ran"), "a"), "ran")
      yield* TestClock.adjust(10) // the call that has left is let in there, and cannot give it back
      assert.deepInclude(yield* Effect.flip(resilient(Effect.succeed("ran"), "a")), { _tag: "RateLimitExceeded" })
    })
  )
})

describe("the events of an outage", () => {
  it.effect("tell once that the store is gone and once that it is back, however many calls there are", () =>
    Effect.gen(function* () {
      const { events, record } = recorder()
      const { layer, line } = yield* remote
      const { resilient } = yield* serviceOn(layer, {
        rateLimiter: RateLimiter.fixedWindow({ limit: 100, window: "1 hour" })
      })
      const flips = () => events.flatMap((event) => (event._tag === "StoreFlipped" ? [event] : []))
      const calls = Effect.forEach(Array.from({ length: 5 }), () => resilient(Effect.void, "a"), {
        concurrency: "unbounded"
      })
      yield* Effect.gen(function* () {
        yield* calls
        assert.deepStrictEqual(flips(), [])
        line.mode = "down"
        yield* calls
        yield* calls
        assert.deepStrictEqual(flips(), [
          { _tag: "StoreFlipped", service: "app/orders", key: "app/orders", available: false }
        ])
        line.mode = "up"
        yield* calls
        yield* calls
        assert.deepStrictEqual(
          flips().map(({ available }) => available),
          [false, true]
        )
        line.mode = "hangs"
        const waiting = yield* Effect.forkChild(calls)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(waiting)
        assert.deepStrictEqual(
          flips().map(({ available }) => available),
          [false, true, false]
        )
      }).pipe(record)
    })
  )
})

describe("a store elsewhere that works", () => {
  it.effect("a call that may not overtake a waiter spends nothing", () =>
    Effect.gen(function* () {
      const { store } = yield* remote
      const limiter = yield* limiterOn(
        store,
        RateLimiter.tokenBucket({ limit: 4, window: "4 hours", maxWait: "1 day" })
      )
      yield* limiter.acquire("a", { cost: 2 })
      const waiter = yield* Effect.forkChild(limiter.acquire("a", { cost: 3 }))
      yield* settle
      assert.isFalse(yield* limiter.allow("a"))
      assert.strictEqual((yield* limiter.peek("a")).remaining, 2)
      yield* Fiber.interrupt(waiter)
      assert.isTrue(yield* limiter.allow("a"))
      assert.strictEqual((yield* limiter.peek("a")).remaining, 1)
    })
  )

  it.effect("a store that dies is a bug of the store, and shows", () =>
    Effect.gen(function* () {
      const { store } = yield* remote
      const limiter = yield* limiterOn({ ...store, commit: () => Effect.die("bug") }, limit)
      const exit = yield* Effect.exit(limiter.allow("a"))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      yield* Effect.exit(limiter.execute(Effect.void, "a")).pipe(
        Effect.map((exit) => assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause)))
      )
    })
  )
})

it.effect("where no sink listens, an outage leaves no line in the log", () =>
  Effect.gen(function* () {
    const lines: Array<unknown> = []
    const logger = Logger.make(({ message }) => void lines.push(message))
    const { layer, line } = yield* remote
    const { resilient } = yield* serviceOn(layer, { rateLimiter: limit })
    line.mode = "down"
    yield* Effect.provide(Effect.andThen(resilient(Effect.void, "a"), settle), Logger.layer([logger]))
    assert.deepStrictEqual(lines, [])
  })
)
