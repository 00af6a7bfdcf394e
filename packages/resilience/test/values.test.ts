/**
 * Policies are values: what one does is what its options say, also where it is a copy of another.
 */
import { assert, describe, it } from "@effect/vitest"
import { Backoff, Bulkhead, CircuitBreaker, Policy, RateLimiter, Resilience, Retry } from "../src/index.ts"
import { Effect, Schedule } from "effect"
import { refusal } from "./refusal.ts"

const tripPolicy = CircuitBreaker.consecutive(5)
const limit = RateLimiter.tokenBucket({ limit: 1, window: "1 hour" })
const every = RateLimiter.every({ user: limit, all: RateLimiter.shared(limit) })
const circuitBreaker = CircuitBreaker.policy({ tripPolicy, openDuration: "30 seconds" })
const bulkhead = Bulkhead.policy({ maxConcurrent: 1 })
const retry = Retry.policy({ maxAttempts: 2 })
const values: ReadonlyArray<readonly [string, Policy.AnyPolicy]> = [
  ["tokenBucket", limit],
  ["leakyBucket", RateLimiter.leakyBucket({ limit: 1, window: 1, capacity: 1 })],
  ["fixedWindow", RateLimiter.fixedWindow({ limit: 1, window: 1 })],
  ["slidingWindow", RateLimiter.slidingWindow({ limit: 1, window: 1 })],
  ["slidingLog", RateLimiter.slidingLog({ limit: 1, window: 1 })],
  ["shared", RateLimiter.shared(limit)],
  ["by", RateLimiter.by("user", limit)],
  ["every", every],
  ["unlimited", RateLimiter.unlimited],
  ["a circuit breaker", circuitBreaker],
  ["a bulkhead", bulkhead],
  ["a retry", retry],
  ["a retry by schedule", Retry.fromSchedule(Schedule.recurs(1))]
]

const freeIn = (policies: Resilience.ResilienceService<{ bulkhead: Bulkhead.Policy }>) =>
  Effect.map(policies.inspect("k"), (seen) => seen.bulkhead?.free)

describe("a policy", () => {
  it("has a kind, its options and how it is opened, and says nothing beside", () => {
    for (const [name, value] of values) {
      assert.deepStrictEqual(Object.keys(value), [Policy.TypeId, "kind", "options", "open"], name)
    }
  })

  it("is printed as JSON with the options that it was given", () => {
    const printed = (value: unknown) => (JSON.parse(JSON.stringify(value)) as { readonly options: unknown }).options
    assert.deepStrictEqual(printed(bulkhead), { maxConcurrent: 1 })
    assert.deepStrictEqual(printed(limit), { limit: 1, window: "1 hour", algorithm: "TokenBucket" })
    assert.deepStrictEqual(printed(retry), { maxAttempts: 2 })
    assert.deepStrictEqual(printed(circuitBreaker), {
      tripPolicy: {
        "~effect-resilience/TripPolicy": "TripPolicy",
        trips: [{ kind: "consecutive", failures: 5, within: 0 }]
      },
      openDuration: "30 seconds"
    })
    const nested = printed(every) as { readonly limits: Readonly<Record<string, unknown>> }
    assert.deepStrictEqual(printed(nested.limits["all"]), {
      limit: 1,
      window: "1 hour",
      algorithm: "TokenBucket",
      shared: true
    })
  })

  it("does not change with the object that its options were read from", () => {
    const options = { maxConcurrent: 1 }
    const policy = Bulkhead.policy(options)
    options.maxConcurrent = 9
    assert.strictEqual(policy.options.maxConcurrent, 1)
    assert.throws(() => ((policy.options as { maxConcurrent: number }).maxConcurrent = 9), TypeError)
  })
})

describe("a copy with other options", () => {
  it.effect("of a bulkhead has as many slots as they say", () =>
    Effect.gen(function* () {
      const copy = { ...bulkhead, options: { maxConcurrent: 5 } }
      assert.strictEqual(yield* freeIn(yield* Resilience.make("app", { bulkhead: copy })), 5)
      assert.strictEqual((yield* (yield* Bulkhead.make(copy)).inspect).free, 5)
    })
  )

  it.effect("of a limit admits what they say, alone, shared, and as a part of every", () =>
    Effect.gen(function* () {
      const copy = { ...limit, options: { ...limit.options, limit: 3 } }
      const peeks = [
        (yield* RateLimiter.make(copy)).peek("k"),
        (yield* RateLimiter.make(RateLimiter.shared(copy))).peek("k"),
        (yield* RateLimiter.make(RateLimiter.every({ user: copy }))).peek({ user: "u" }),
        (yield* RateLimiter.make({
          ...every,
          options: { limits: { ...every.options.limits, user: copy, all: copy } }
        })).peek({
          user: "u",
          all: "a"
        } as never) // the types of a copy are those of the original
      ]
      for (const peek of peeks) assert.strictEqual((yield* peek).remaining, 3)
      assert.strictEqual(RateLimiter.shared(copy).capacity, 3)
    })
  )

  it.effect("of a circuit breaker opens when they say", () =>
    Effect.gen(function* () {
      const copy = {
        ...circuitBreaker,
        options: { ...circuitBreaker.options, tripPolicy: CircuitBreaker.consecutive(1) }
      }
      const breaker = yield* CircuitBreaker.make(copy)
      yield* Effect.exit(breaker.execute(Effect.fail("down")))
      assert.strictEqual((yield* breaker.state()).state, "Open")
    })
  )

  it.effect("of a retry makes as many attempts as they say", () =>
    Effect.gen(function* () {
      let runs = 0
      const fails = Effect.suspend(() => (runs++, Effect.fail("down")))
      const copy = { ...retry, options: { maxAttempts: 4, backoff: Backoff.constant(0) } }
      yield* Effect.exit(Retry.execute(fails, copy))
      assert.strictEqual(runs, 4)
    })
  )

  it("is refused where it is opened, by the names of the policy, if they make no sense", () => {
    const make = (bulkhead: Bulkhead.Policy) => () => Resilience.make("app", { bulkhead })
    assert.strictEqual(
      refusal(make({ ...bulkhead, options: { maxConcurrent: 0 } })),
      "Bulkhead.policy: maxConcurrent must be at least 1 (got 0)"
    )
    const other = { ...limit, options: { ...limit.options, algorithm: "FixedWindow" } } as const
    assert.strictEqual(
      refusal(() => Resilience.make("app", { rateLimiter: other })),
      'RateLimiter.tokenBucket: algorithm must be "TokenBucket" here (got "FixedWindow")'
    )
  })
})

describe("a copy that says something beside its options is refused", () => {
  it("in a service", () => {
    const copy = { ...bulkhead, maxConcurrent: 5 }
    assert.strictEqual(
      refusal(() => Resilience.make("app", { bulkhead: copy as Bulkhead.Policy })),
      "Policy: bulkhead.maxConcurrent is not read: write it into options (got 5)"
    )
  })

  it.effect("alone, and as a part of every", () =>
    Effect.gen(function* () {
      const copy = { ...limit, capacity: 10 }
      const message = "Policy: rateLimiter.capacity is not read: write it into options (got 10)"
      assert.include(String(yield* Effect.exit(RateLimiter.make(copy))), "rateLimiter.capacity is not read")
      assert.strictEqual(
        refusal(() => RateLimiter.every({ user: copy })),
        message.replace("rateLimiter", "limit")
      )
    })
  )
})

describe("what no module made is refused by name", () => {
  const literal = { _tag: "Bulkhead", kind: "bulkhead", maxConcurrent: 1, maxQueued: 1, maxWait: 0 } as never
  it("in the field of a policy", () => {
    assert.include(
      refusal(() => Resilience.make("app", { bulkhead: literal })),
      "Resilience: bulkhead must be made by its module: Bulkhead"
    )
    assert.include(
      refusal(() => Resilience.make("app", { rateLimiter: bulkhead as never })),
      "Resilience: rateLimiter must be made by its module: TokenBucket"
    )
  })

  it("under a label", () => {
    assert.include(
      refusal(() => Resilience.make("app", { policies: { mine: literal } })),
      "Resilience: policies.mine must be a policy: of a module, or of Policy.make"
    )
  })
})
