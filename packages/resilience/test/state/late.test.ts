/** Answers that come when nobody waits for them any more: what they took goes back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, RateLimiter } from "../../src/index.ts"
import { remote, serviceOn } from "./remote.ts"
import { limiterOn } from "./support.ts"

const limit = RateLimiter.fixedWindow({ limit: 2, window: "1 hour" })

describe("an answer after the deadline", () => {
  for (const onError of ["local", "allow", "fail"] as const) {
    it.effect(`gives back what it took in the store (${onError})`, () =>
      Effect.gen(function* () {
        const { layer, line } = yield* remote
        const { resilient } = yield* serviceOn(layer, { rateLimiter: limit, store: { onError, deadline: "50 millis" } })
        line.mode = "slow"
        const call = yield* Effect.forkChild(Effect.exit(resilient(Effect.succeed("ran"), "a", { cost: 2 })))
        yield* TestClock.adjust(50)
        assert.strictEqual(Exit.isSuccess(yield* Fiber.join(call)), onError !== "fail", "nobody waits for the answer")
        assert.strictEqual(line.committed, 0)
        yield* TestClock.adjust(20)
        assert.strictEqual(line.committed, 1, "the question goes on")
        yield* TestClock.adjust(70)
        assert.strictEqual(line.committed, 2, "and is taken back")
        line.mode = "up"
        yield* resilient(Effect.void, "a", { cost: 2 })
        assert.isTrue(Exit.isFailure(yield* Effect.exit(resilient(Effect.void, "a"))))
      })
    )
  }

  it.effect("gives nothing back where the call was decided here, and not twice", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      const { resilient } = yield* serviceOn(layer, { rateLimiter: limit, store: { deadline: "50 millis" } })
      line.mode = "slow"
      const call = yield* Effect.forkChild(resilient(Effect.never, "a", { cost: 2 }))
      yield* TestClock.adjust(500)
      assert.strictEqual(line.asked, 2)
      yield* Fiber.interrupt(call)
      yield* TestClock.adjust(500)
      assert.strictEqual(line.asked, 2, "its permit is one of this process")
      line.mode = "down"
      assert.isTrue(Exit.isFailure(yield* Effect.exit(resilient(Effect.void, "a"))), "where it keeps what it spent")
    })
  )

  it.effect("gives back the slot of a probe, which counts for nothing", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      const policy = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 second" })
      const store = { onError: "fail", deadline: "50 millis" } as const
      const { inspect, resilient } = yield* serviceOn(layer, { circuitBreaker: policy, store })
      const state = Effect.map(inspect("a"), ({ circuitBreaker }) => circuitBreaker!)
      yield* Effect.flip(resilient(Effect.fail("down"), "a"))
      yield* TestClock.adjust(1_000)
      line.mode = "slow"
      yield* Effect.forkChild(Effect.exit(resilient(Effect.void, "a")))
      yield* TestClock.adjust(75)
      line.mode = "up"
      assert.deepInclude(yield* state, { state: "HalfOpen", probesInFlight: 1 })
      line.mode = "slow"
      yield* TestClock.adjust(75)
      line.mode = "up"
      assert.deepInclude(yield* state, { state: "HalfOpen", probesInFlight: 0 })
      yield* resilient(Effect.void, "a")
      assert.deepInclude(yield* state, { state: "Closed" })
    })
  )

  it.effect("gives nothing back that was refused, nor what was reset since", () =>
    Effect.gen(function* () {
      const { line, store } = yield* remote
      const { allow, reset } = yield* limiterOn(store, limit)
      line.mode = "slow"
      const abandoned = (key: string) =>
        Effect.flatMap(Effect.forkChild(allow(key, { cost: 2 }), { startImmediately: true }), Fiber.interrupt)
      yield* abandoned("a")
      yield* abandoned("a")
      yield* TestClock.adjust(500)
      assert.strictEqual(line.committed, 3, "one of the two took something")
      yield* abandoned("b")
      yield* Effect.forkChild(reset("b"))
      yield* TestClock.adjust(500)
      assert.strictEqual(line.committed, 5, "a reset forgets it anyway, and what came after is not its")
      assert.strictEqual(line.asked, 5, "nor is anything asked in vain")
      yield* abandoned("c")
      yield* Effect.forkChild(reset("c"))
      yield* Effect.forkChild(reset())
      yield* TestClock.adjust(500)
      assert.strictEqual(line.committed, 8, "each of two resets counts")
    })
  )
})

it.effect("a decision that is interrupted in mid-trip gives back what it took", () =>
  Effect.gen(function* () {
    const { line, store } = yield* remote
    const service = yield* limiterOn(store, limit)
    line.mode = "slow"
    const call = yield* Effect.forkChild(service.allow("a", { cost: 2 }), { startImmediately: true })
    yield* Fiber.interrupt(call)
    yield* TestClock.adjust(140)
    assert.strictEqual(line.committed, 2)
    line.mode = "up"
    assert.isTrue(yield* service.allow("a", { cost: 2 }))
  })
)

it.effect("a question that fails when nobody waits for it any more has taken nothing", () =>
  Effect.gen(function* () {
    const { line, store } = yield* remote
    const service = yield* limiterOn(store, limit)
    line.mode = "fails slowly"
    const call = yield* Effect.forkChild(service.allow("a", { cost: 2 }), { startImmediately: true })
    yield* Fiber.interrupt(call)
    yield* TestClock.adjust(500)
    assert.strictEqual(line.asked, 1)
  })
)

it.effect("of questions that nobody waits for, no more than a thousand are kept", () =>
  Effect.gen(function* () {
    const { layer, line } = yield* remote
    const { resilient } = yield* serviceOn(layer, { rateLimiter: limit, store: { onError: "allow", deadline: 50 } })
    yield* resilient(Effect.void, "a")
    yield* TestClock.adjust(500) // what was answered at once is none of them, also when its deadline has come
    line.asked = line.committed = 0
    line.mode = "slow"
    yield* Effect.forkChild(
      Effect.forEach(Array.from({ length: 1_005 }), (_, i) => resilient(Effect.void, `key ${i}`), {
        concurrency: "unbounded"
      })
    )
    yield* TestClock.adjust(50)
    assert.strictEqual(line.asked, 1_005)
    yield* TestClock.adjust(20)
    assert.strictEqual(line.committed, 1_000)
    yield* TestClock.adjust(500)
    const before = line.committed
    yield* Effect.forkChild(resilient(Effect.void, "one more"))
    yield* TestClock.adjust(500)
    assert.strictEqual(line.committed, before + 2, "those that were answered are not kept any more")
  })
)
