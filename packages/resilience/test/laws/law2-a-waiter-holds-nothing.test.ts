/**
 * Law 2. A waiter holds nothing. When any wait ends, the whole admission is asked again in one step. A waiter stands in
 * the queue of the member with the longest wait, ordered by arrival, and keeps its age when it moves. So: no deadlock;
 * FIFO among calls with equal key sets. When the circuit opens, waiters ask again at once. `maxQueued` and the estimated
 * wait are checked on arrival; the wait allowed is min(`maxWait`, what is left of `timeout`).
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Rejection, Retry } from "../../src/index.ts"
import { NEVER } from "../../src/kernel/Limiter.ts"
import type { Store } from "../../src/Store.ts"
import { arrive, type Caller } from "./caller.ts"
import { clean, elsewhere, Stage } from "./harness.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const stores = {
  "store here": undefined,
  "store elsewhere": (memory: Store["Service"]) => elsewhere(memory, () => ({}))
}

const bucket = (limit: number, burst: number, maxWait = "1 day" as const) =>
  RateLimiter.tokenBucket({ limit, window: "1 second", burst, maxWait, maxQueued: 10_000 })

describe("law 2: a waiter holds nothing", () => {
  it("what it waits for is still there for others", () => {
    const stage = new Stage(
      { rateLimiter: RateLimiter.every({ user: bucket(1, 1), tenant: bucket(1, 5) }) },
      { key: { user: "a", tenant: "t" } }
    )
    arrive(stage)
    const waiter = arrive(stage)
    assert.strictEqual(stage.inspect().rateLimiter!.limits["tenant"]!.remaining, 4, "one call ran, one waits")
    const others = ["b", "c", "d", "e"].map((user) => arrive(stage, { key: { user, tenant: "t" } }))
    assert.deepStrictEqual(
      others.map(({ ranAt }) => ranAt),
      [0, 0, 0, 0],
      "another key set may overtake"
    )
    stage.world.runOut()
    assert.strictEqual(waiter.ranAt, 1_000)
  })

  it("nor does it hold a probe while it waits for a slot", () => {
    const stage = new Stage({
      circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 second" }),
      rateLimiter: RateLimiter.tokenBucket({ limit: 10, window: "1 day" }),
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 day" })
    })
    arrive(stage, {}, Effect.die("down"))
    stage.world.advance(1_000)
    const { slots } = stage.service.pipeline
    slots!.take()
    const waiter = arrive(stage)
    assert.deepInclude(stage.inspect().circuitBreaker, { state: "HalfOpen", probesInFlight: 0 })
    assert.strictEqual(stage.inspect().rateLimiter!.remaining, 9)
    slots!.release()
    stage.world.runOut()
    assert.strictEqual(waiter.ranAt, 1_000)
    assert.deepStrictEqual(stage.debris(), clean)
  })

  it("when its wait ends it is asked for everything again, also for what it had passed", () => {
    const stage = new Stage({
      rateLimiter: bucket(1, 2),
      bulkhead: Bulkhead.policy({ maxConcurrent: 2, maxWait: "1 day" })
    })
    const { slots } = stage.service.pipeline
    slots!.take()
    slots!.take()
    const waiter = arrive(stage)
    assert.deepInclude(stage.inspect().bulkhead, { queued: 1 })
    const { limits } = stage.service.pipeline
    const taken = limits!.entry("key", 2)
    stage.counted.store.sync!.commit(taken.steps, stage.world.now) // another service of the same limiter
    slots!.release()
    stage.world.settle()
    assert.isUndefined(waiter.ranAt, "a slot is free, but not a token")
    assert.deepInclude(stage.inspect().bulkhead, { queued: 0, running: 1 })
    stage.world.runOut()
    assert.strictEqual(waiter.ranAt, 1_000)
  })

  it("a waiter in front that gives up lets the next be asked at once", () => {
    const stage = new Stage({ rateLimiter: bucket(1, 5) })
    arrive(stage, { cost: 4 })
    const greedy = arrive(stage, { cost: 5 })
    const modest = arrive(stage, { cost: 1 })
    stage.world.advance(700)
    assert.isUndefined(modest.ranAt)
    greedy.fiber.interruptUnsafe()
    stage.world.settle()
    assert.strictEqual(modest.ranAt, 700)
    stage.world.runOut()
    assert.deepStrictEqual(stage.debris(), clean)
  })

  it("is let through when its turn comes at the very end of its wait, also behind more patient ones", () => {
    const stage = new Stage({
      rateLimiter: RateLimiter.fixedWindow({ limit: 3, window: "1 second", maxWait: "1 day" })
    })
    const edge = 1_000 - (stage.world.now % 1_000)
    arrive(stage, { cost: 3 })
    const line = [arrive(stage), arrive(stage), arrive(stage, { maxWait: edge }), arrive(stage, { maxWait: edge + 1 })]
    stage.world.runOut()
    assert.deepStrictEqual(
      line.map(({ ranAt }) => ranAt),
      [edge, edge, edge, undefined]
    )
    assert.deepStrictEqual(stage.debris(), clean)
  })

  it("keeps its age when it moves to another queue", () => {
    const second = (seconds: number) =>
      RateLimiter.tokenBucket({ limit: 1, window: `${seconds} seconds`, burst: 1, maxWait: "1 day" })
    const stage = new Stage({ rateLimiter: RateLimiter.every({ slow: second(5), fast: second(3) }) })
    const call = (slow: string) => arrive(stage, { key: { slow, fast: "f" } })
    call("s")
    const moves = call("s") // waits for `slow` until 5 s
    stage.world.advance(1_000)
    const early = call("x") // waits for `fast` until 3 s
    stage.world.advance(3_000)
    const late = call("y") // waits for `fast` until 6 s
    stage.world.runOut()
    assert.deepStrictEqual([early.ranAt, moves.ranAt, late.ranAt], [3_000, 6_000, 9_000])
  })
})

describe("law 2: order", () => {
  const Arrivals = Arbitrary.array(
    Arbitrary.all({ after: int(0, 900), cost: int(1, 4), leaves: int(0, 9), key: int(0, 7), slow: int(0, 3) }),
    { minLength: 2, maxLength: 150 }
  )

  it.effect.prop(
    "calls of one key are let through in the order in which they came, each as early as can be",
    { arrivals: Arrivals, limit: int(1, 9), kind: int(0, 3) },
    ({ arrivals, kind, limit }) =>
      Effect.sync(() => {
        const rate = { limit: limit + 3, window: "1 second", maxWait: "1 day", maxQueued: 10_000 } as const
        const stage = new Stage({
          rateLimiter: [
            () => RateLimiter.tokenBucket({ ...rate, burst: 4 }),
            () => RateLimiter.fixedWindow(rate),
            () => RateLimiter.slidingWindow(rate),
            () => RateLimiter.slidingLog(rate)
          ][kind]!()
        })
        const { kernel, policy } = stage.service.pipeline.limits!.members[0]!.space
        let state: unknown = kernel.initial(policy)
        let last = stage.world.now
        const expected = arrivals.map(({ after, cost }) => {
          stage.world.advance(after)
          const caller = arrive(stage, { cost })
          last = Math.max(last, stage.world.now)
          let [answer, next] = kernel.step(policy, state, { op: "take", cost }, last)
          if (!answer.allowed) {
            last += answer.retryAfter
            ;[answer, next] = kernel.step(policy, state, { op: "take", cost }, last)
          }
          state = next
          return { caller, at: last - stage.world.now + stage.world.elapsed }
        })
        stage.world.runOut()
        assert.deepStrictEqual(
          expected.map(({ caller }) => caller.ranAt),
          expected.map(({ at }) => at)
        )
        assert.deepStrictEqual(stage.debris(), clean)
      }),
    { arbitrary: { runs: 60 } }
  )

  it.effect.prop(
    "crossing keys, slots and calls that leave: nobody is stuck, and equal keys keep their order",
    { arrivals: Arrivals, distant: Arbitrary.schema(Schema.Boolean) },
    ({ arrivals, distant }) =>
      Effect.sync(() => {
        const stage = new Stage(
          {
            rateLimiter: RateLimiter.every({ x: bucket(5, 4), y: bucket(7, 4), z: bucket(11, 4) }),
            bulkhead: Bulkhead.policy({ maxConcurrent: 2, maxWait: "1 day", maxQueued: 10_000 })
          },
          { key: { x: "a", y: "a", z: "a" }, store: distant ? stores["store elsewhere"] : undefined }
        )
        const calls = arrivals.map(({ after, cost, key, leaves, slow }) => {
          stage.world.advance(Math.floor(after / 10))
          const parts = { x: key & 1 ? "a" : "b", y: key & 2 ? "a" : "b", z: key & 4 ? "a" : "b" }
          const caller = arrive(stage, { cost, key: parts }, slow === 0 ? Effect.void : Effect.sleep(slow * 50))
          if (leaves === 0)
            stage.world.fork(
              Effect.delay(
                Effect.sync(() => caller.fiber.interruptUnsafe()),
                after
              )
            )
          return { caller, key }
        })
        stage.world.runOut()
        for (let key = 0; key < 8; key++) {
          const ran = calls.filter((call) => call.key === key).flatMap(({ caller }) => caller.ranAt ?? [])
          assert.deepStrictEqual(
            ran,
            ran.toSorted((a, b) => a - b)
          )
        }
        for (const { caller } of calls) {
          assert.isDefined(caller.ended)
          assert.isTrue(caller.ranAt !== undefined || caller.ended.interrupted)
        }
        assert.deepStrictEqual(stage.debris(), clean)
      }),
    { arbitrary: { runs: 60 } }
  )
})

const refusal = ({ ended }: Caller) => {
  assert.isDefined(ended)
  assert.instanceOf(ended.error, Rejection.RateLimitExceeded)
  return { at: ended.at, reason: ended.error.reason, retryAfter: ended.error.retryAfterMillis }
}

describe("law 2: what is refused on arrival", () => {
  it("a wait of 9 s where 2 s are allowed: now, with retryAfter 9 s", () => {
    const stage = new Stage({ rateLimiter: bucket(1, 1) })
    arrive(stage)
    for (let i = 0; i < 8; i++) arrive(stage)
    assert.deepStrictEqual(refusal(arrive(stage, { maxWait: 2_000 })), {
      at: 0,
      reason: "wait-too-long",
      retryAfter: 9_000
    })
    assert.deepStrictEqual(refusal(arrive(stage, { maxWait: 8_999 })), {
      at: 0,
      reason: "wait-too-long",
      retryAfter: 9_000
    })
    const last = arrive(stage, { maxWait: 9_000 })
    stage.world.runOut()
    assert.strictEqual(last.ranAt, 9_000)
  })

  it("more waiters than maxQueued, and those who left do not count", () => {
    const stage = new Stage({
      rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 second", burst: 1, maxWait: "1 day", maxQueued: 2 })
    })
    arrive(stage)
    const first = arrive(stage)
    arrive(stage)
    assert.deepStrictEqual(refusal(arrive(stage)), { at: 0, reason: "queue-full", retryAfter: 3_000 })
    first.fiber.interruptUnsafe()
    stage.world.settle()
    const third = arrive(stage)
    stage.world.runOut()
    assert.strictEqual(third.ranAt, 2_000)
  })

  it.effect.prop(
    "the estimate is exact for one limit where each asks for one unit, else a lower bound, also where waiters leave",
    {
      arrivals: Arbitrary.array(
        Arbitrary.all({ after: int(0, 700), cost: int(1, 5), maxWait: int(1, 3_000), leaves: int(0, 9) }),
        { maxLength: 60 }
      ),
      limit: int(1, 9),
      mixed: Arbitrary.schema(Schema.Boolean)
    },
    ({ arrivals, limit, mixed }) =>
      Effect.sync(() => {
        const stage = new Stage({ rateLimiter: bucket(limit, 4) })
        const { world } = stage
        const { space } = stage.service.pipeline.limits!.members[0]!
        const callers: Array<{ readonly caller: Caller; readonly cost: number }> = []
        for (const { after, cost: drawn, leaves, maxWait } of arrivals) {
          const cost = mixed ? drawn : 1
          world.advance(after)
          const waiting = () => callers.filter(({ caller }) => caller.ended === undefined)
          waiting()[leaves]?.caller.fiber.interruptUnsafe()
          world.settle()
          let state: unknown = stage.states()[0] ?? space.kernel.initial(space.policy)
          let at = world.now
          let never = false
          for (const ahead of [...waiting(), { cost }]) {
            const input = { op: "take", cost: ahead.cost }
            const [answer] = space.kernel.step(space.policy, state, input, at)
            never = answer.retryAfter === NEVER
            at += Math.max(0, answer.retryAfter)
            ;[, state] = space.kernel.step(space.policy, state, input, at)
          }
          const caller = arrive(stage, { cost, maxWait })
          const told = { at: world.elapsed, retryAfter: never ? undefined : at - world.now }
          if (never) assert.deepStrictEqual(refusal(caller), { ...told, reason: "cost-exceeds-capacity" })
          else if (at - world.now > maxWait) {
            if (!mixed) assert.deepStrictEqual(refusal(caller), { ...told, reason: "wait-too-long" })
            else if (caller.ended !== undefined) assert.isAtMost(refusal(caller).retryAfter!, told.retryAfter!)
          } else assert.strictEqual(caller.ended === undefined, at > world.now, "it waits, or runs")
          callers.push({ caller, cost })
        }
        world.runOut()
        assert.deepStrictEqual(stage.debris(), clean)
      }),
    { arbitrary: { runs: 150 } }
  )

  it("a wait longer than what is left of the call's timeout", () => {
    const stage = new Stage({ timeout: "5 seconds", rateLimiter: bucket(1, 1) })
    arrive(stage)
    for (let i = 0; i < 4; i++) arrive(stage)
    const fifth = arrive(stage)
    assert.strictEqual(fifth.ended?.at, undefined)
    assert.deepStrictEqual(refusal(arrive(stage)), { at: 0, reason: "wait-too-long", retryAfter: 6_000 })
  })

  it("and for a further attempt, what is left then", () => {
    const stage = new Stage({
      admission: "attempt",
      timeout: "5 seconds",
      rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "3 seconds", burst: 1, maxWait: "1 day" }),
      retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(0) })
    })
    arrive(stage, {}, Effect.never)
    const fails = arrive(stage, {}, Effect.fail("mine"))
    stage.world.runOut()
    assert.deepStrictEqual(fails.ended, { at: 3_000, error: "mine", interrupted: false })
  })

  it("the same of the bulkhead: queue and wait are bounded, in order", () => {
    const stage = new Stage({
      timeout: "1 minute",
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxQueued: 2, maxWait: "2 seconds" })
    })
    arrive(stage, {}, Effect.sleep(1_500))
    const first = arrive(stage, {}, Effect.sleep(1_500))
    const second = arrive(stage)
    const third = arrive(stage)
    assert.deepInclude(third.ended?.error, { _tag: "BulkheadFull", reason: "queue-full" })
    stage.world.runOut()
    assert.strictEqual(first.ranAt, 1_500)
    assert.strictEqual(second.ended?.at, 2_000)
    assert.deepInclude(second.ended?.error, { _tag: "BulkheadFull", reason: "wait-too-long" })
    assert.deepStrictEqual(stage.debris(), clean)
  })
})

describe("law 2: waiters ask again at once when the circuit opens", () => {
  for (const [where, store] of Object.entries(stores)) {
    for (const [what, policies] of Object.entries({
      "a limit": { rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 hour", burst: 1, maxWait: "1 day" }) },
      "a slot": { bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 day" }) }
    })) {
      it(`those who wait for ${what} (${where})`, () => {
        const stage = new Stage(
          {
            ...policies,
            circuitBreaker: CircuitBreaker.policy({
              tripPolicy: CircuitBreaker.consecutive(1),
              openDuration: "1 minute"
            })
          },
          { store }
        )
        arrive(stage, {}, Effect.andThen(Effect.sleep(700), Effect.die("down")))
        const waiters = [1, 2, 3, 4, 5].map(() => arrive(stage))
        stage.world.advance(699)
        for (const { ended } of waiters) assert.isUndefined(ended)
        stage.world.advance(1)
        for (const { ended, ranAt } of waiters) {
          assert.isUndefined(ranAt)
          assert.strictEqual(ended?.at, 700)
          assert.deepInclude(ended?.error, { _tag: "CircuitOpen", state: "Open", retryAfterMillis: 60_000 })
        }
        stage.world.runOut()
        assert.deepStrictEqual(stage.debris(), clean)
      })
    }
  }
})
