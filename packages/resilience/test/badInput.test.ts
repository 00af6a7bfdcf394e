/**
 * Bad input: every argument of every constructor, every cost, wait and key, tried with what should not be there.
 *
 * Whatever makes no sense is refused where it is written, with an `InvalidPolicyError` that names module and field; what
 * is refused costs nobody anything; and what is accepted works.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  EventStream,
  RateLimiter,
  Rejection,
  Resilience,
  resilient,
  Retry
} from "../src/index.ts"

/** A constructor with good arguments, but for those that are replaced. */
type Make = (replaced: Record<string, unknown>) => unknown
interface Field {
  readonly bad: ReadonlyArray<unknown>
  readonly good: ReadonlyArray<unknown>
}

const notNumbers = [NaN, Infinity, -Infinity, "5", "", "NaN", {}, [], [5], true, 5n, () => 5, Symbol("five")]
const hugeNumbers = [2 ** 53, 1e300, Number.MAX_VALUE]

/** A whole number. */
const count = (min: number, max = 2 ** 52): Field => ({
  bad: [...notNumbers, ...hugeNumbers, min - 1, -1, -0.5, 0.5, 1.5, min + 0.1, max + 1, Number.MIN_VALUE],
  good: [min, min + 1, max].filter((n) => n <= max)
})
/** A number in (above, max] or [min, max]. */
const ratio = (bad: ReadonlyArray<number>, good: ReadonlyArray<number>): Field => ({
  bad: [...notNumbers, ...bad],
  good
})
/** A duration in whole milliseconds. */
const duration = (
  min: 0 | 1,
  good: ReadonlyArray<unknown> = [1, "1 second", { seconds: 2 }, [3, 0], 5_000_000n]
): Field => ({
  bad: [
    NaN,
    Infinity,
    -Infinity,
    -1,
    -0.5,
    0.5,
    1.5,
    Number.MIN_VALUE,
    ...hugeNumbers,
    "",
    "soon",
    "5",
    "1 parsec",
    "-1 second",
    "Infinity",
    "NaN millis",
    "0.5 millis",
    -5n,
    1n,
    true,
    {},
    { millis: NaN },
    { seconds: -1 },
    [NaN, 0],
    [0, NaN],
    [],
    () => 5,
    Symbol("five"),
    "__proto__",
    ...(min === 1 ? [0, "0 millis", -0] : [])
  ],
  good: min === 0 ? [0, "0 millis", ...good] : good
})
const oneOf = (...good: ReadonlyArray<string>): Field => ({
  bad: [
    "",
    "x",
    good[0]!.toUpperCase(),
    `${good[0]} `,
    0,
    1,
    true,
    {},
    [],
    [good[0]],
    NaN,
    "__proto__",
    "constructor",
    "toString"
  ],
  good
})
const nothings = [undefined, null]
const required = (field: Field): Field => ({ ...field, bad: [...field.bad, ...nothings] })

const rate = { limit: 10, window: "1 second" }
/** Units of a window of a second that can still be counted in milliseconds. */
const perSecond = Math.floor(2 ** 52 / 1_000)
const bounds = {
  maxWait: duration(0),
  maxKeys: count(1),
  overflow: oneOf("evict", "reject"),
  idleTimeToLive: duration(1)
}
const limitOf =
  (make: (options: never) => unknown, base: object = rate): Make =>
  (replaced) =>
    make({ ...base, ...("maxQueued" in replaced ? { maxWait: "1 second" } : {}), ...replaced } as never) // bad on purpose
const flat =
  (make: (options: never) => unknown, base: object): Make =>
  (replaced) =>
    make({ ...base, ...replaced } as never) // as above
/** The one argument that is not a field. */
const first =
  (make: (argument: never) => unknown): Make =>
  (replaced) =>
    make(Object.values(replaced)[0] as never) // as above

const consecutive = CircuitBreaker.consecutive(1)
const limit = RateLimiter.tokenBucket({ limit: 1, window: "1 second" })
const byRate = { threshold: 0.5, window: "1 second", minimumCalls: 5 }
const threshold = required(ratio([0, -0.1, 1.1, -1], [Number.MIN_VALUE, 0.5, 1]))
const rateFields: Record<string, Field> = {
  threshold,
  window: required(duration(1)),
  minimumCalls: count(1, 1_000_000)
}
/** What is no policy, trip policy, limit, backoff or schedule. */
const notValues = [NaN, 0, 5, "", "policy", {}, [], true, () => {}, { _tag: "Limit" }, { _tag: "Exponential" }]
const circuit = { tripPolicy: consecutive, openDuration: "1 second" }
const backoff = { base: 10, cap: "1 minute" }
const jitter = oneOf("none", "full", "equal")

const constructors: ReadonlyArray<readonly [module: string, make: Make, fields: Record<string, Field>]> = [
  [
    "RateLimiter.tokenBucket",
    limitOf(RateLimiter.tokenBucket),
    {
      ...bounds,
      limit: required(count(1, perSecond)),
      window: required(duration(1)),
      burst: count(1, perSecond),
      maxQueued: count(1)
    }
  ],
  [
    "RateLimiter.leakyBucket",
    limitOf(RateLimiter.leakyBucket, { ...rate, capacity: 5 }),
    {
      ...bounds,
      limit: required(count(1, perSecond)),
      window: required(duration(1)),
      capacity: required(count(1, perSecond)),
      maxQueued: count(1)
    }
  ],
  [
    "RateLimiter.fixedWindow",
    limitOf(RateLimiter.fixedWindow),
    { ...bounds, limit: required(count(1)), window: required(duration(1)), maxQueued: count(1) }
  ],
  [
    "RateLimiter.slidingWindow",
    limitOf(RateLimiter.slidingWindow),
    {
      ...bounds,
      limit: required(count(1)),
      window: required(duration(1)),
      slices: count(1, 1_000),
      maxQueued: count(1)
    }
  ],
  [
    "RateLimiter.slidingLog",
    limitOf(RateLimiter.slidingLog),
    { ...bounds, limit: required(count(1, 1_000)), window: required(duration(1)), maxQueued: count(1) }
  ],
  [
    "RateLimiter.every",
    first(RateLimiter.every),
    { limits: { bad: [...notValues, ...nothings], good: [{ a: limit }] } }
  ],
  [
    "RateLimiter.every",
    first((value: never) => RateLimiter.every({ a: limit, users: value })),
    { "limits.users": { bad: [...notValues, ...nothings], good: [limit] } }
  ],
  [
    "RateLimiter.shared",
    first(RateLimiter.shared),
    { limit: { bad: [...notValues, ...nothings], good: [limit, RateLimiter.by("a", limit)] } }
  ],
  [
    "RateLimiter.by",
    first((name: never) => RateLimiter.by(name, limit)),
    { dimension: { bad: [NaN, 0, "", {}, [], true, null, undefined], good: ["a", "__proto__", ":", "\u0000"] } }
  ],
  [
    "RateLimiter.by",
    first((value: never) => RateLimiter.by("a", value)),
    { limit: { bad: [...notValues, ...nothings], good: [limit] } }
  ],
  ["CircuitBreaker.consecutive", first(CircuitBreaker.consecutive), { failures: required(count(1, 1_000)) }],
  [
    "CircuitBreaker.consecutive",
    flat((options: { within: never }) => CircuitBreaker.consecutive(1, options), {}),
    { within: duration(1) }
  ],
  ["CircuitBreaker.failureRate", flat(CircuitBreaker.failureRate, byRate), rateFields],
  [
    "CircuitBreaker.failureRate",
    first((calls: never) => CircuitBreaker.failureRate({ threshold: 0.5, window: { calls } })),
    { "window.calls": required(count(1, 10_000)) }
  ],
  [
    "CircuitBreaker.failureRate",
    flat(CircuitBreaker.failureRate, { ...byRate, window: { calls: 50 } }),
    { minimumCalls: count(1, 50) }
  ],
  [
    "CircuitBreaker.slowCallRate",
    flat(CircuitBreaker.slowCallRate, { ...byRate, slowAfter: "1 second" }),
    { ...rateFields, slowAfter: required(duration(1)) }
  ],
  [
    "CircuitBreaker.anyOf",
    (replaced) => CircuitBreaker.anyOf(...(replaced["policies"] as Array<never>)),
    {
      policies: {
        bad: [[], ...[...notValues, ...nothings].map((value) => [consecutive, value])],
        good: [[consecutive], [consecutive, consecutive]]
      }
    }
  ],
  [
    "CircuitBreaker.policy",
    flat(CircuitBreaker.policy, circuit),
    {
      tripPolicy: { bad: [...notValues, ...nothings], good: [consecutive] },
      openDuration: required({
        ...duration(1),
        good: [1, "1 second", Backoff.constant("1 second"), Backoff.decorrelated({ base: 1 })]
      }),
      maxOpenDuration: duration(1, ["1 second", "1 hour"]),
      idleTimeToLive: duration(1),
      by: { bad: ["", 0, NaN, {}, [], true, null], good: ["key", "user", "__proto__"] },
      retryAfter: { bad: [0, "", "1 second", {}, [], true], good: [() => ({ _tag: "None" })] }
    }
  ],
  [
    "CircuitBreaker.policy",
    flat((probes: never) => CircuitBreaker.policy({ ...circuit, probes } as never), {}),
    {
      "probes.permitted": count(1, 1_000),
      "probes.required": count(1, 1_000),
      "probes.lease": duration(1)
    }
  ],
  ["CircuitBreaker.policy", flat(CircuitBreaker.policy, { ...circuit, by: "key" }), { maxKeys: count(1) }],
  ["CircuitBreaker.policy", flat(CircuitBreaker.policy, circuit), { maxKeys: { bad: [NaN, 0, 5], good: [undefined] } }],
  [
    "Bulkhead.policy",
    limitOf(Bulkhead.policy, { maxConcurrent: 5 }),
    { maxConcurrent: required(count(1)), maxWait: duration(0), maxQueued: count(1) }
  ],
  [
    "Retry.policy",
    flat(Retry.policy, {}),
    {
      maxAttempts: count(1),
      maxRetryAfter: duration(1),
      onExhausted: oneOf("last", "wrap"),
      backoff: { bad: notValues, good: [Backoff.constant(0)] },
      while: { bad: [0, "", {}, [], true], good: [() => true] },
      retryAfter: { bad: [0, "", "1 second", {}, [], true], good: [() => ({ _tag: "None" })] }
    }
  ],
  [
    "Retry.fromSchedule",
    flat((options: never) => Retry.fromSchedule(Schedule.recurs(1), options), {}),
    { maxRetryAfter: duration(1), onExhausted: oneOf("last", "wrap") }
  ],
  [
    "Retry.fromSchedule",
    first((schedule: never) => Retry.fromSchedule(schedule)),
    { schedule: { bad: [...notValues, ...nothings], good: [Schedule.recurs(1)] } }
  ],
  [
    "Backoff.exponential",
    flat(Backoff.exponential, backoff),
    {
      base: required(duration(1)),
      cap: duration(1, ["1 second"]),
      jitter,
      factor: ratio([0, 0.9, -1, 1e10], [1, 1.5, 1e9])
    }
  ],
  [
    "Backoff.linear",
    flat(Backoff.linear, backoff),
    { base: required(duration(1)), cap: duration(1, ["1 second"]), jitter, increment: duration(1) }
  ],
  [
    "Backoff.fibonacci",
    flat(Backoff.fibonacci, backoff),
    { base: required(duration(1)), cap: duration(1, ["1 second"]), jitter }
  ],
  [
    "Backoff.decorrelated",
    flat(Backoff.decorrelated, backoff),
    { base: required(duration(1)), cap: duration(1, ["1 second"]) }
  ],
  ["Backoff.constant", flat(Backoff.constant, { delay: 1 }), { delay: required(duration(0)), jitter }],
  [
    "Resilience",
    flat((policies: never) => Resilience.make("id", policies), {}),
    {
      timeout: duration(1),
      attemptTimeout: duration(1),
      admission: oneOf("call", "attempt"),
      circuitBreaker: {
        bad: [...notValues, null],
        good: [CircuitBreaker.policy({ tripPolicy: consecutive, openDuration: 1 })]
      },
      rateLimiter: { bad: [...notValues, null], good: [limit, RateLimiter.unlimited, RateLimiter.every({ a: limit })] },
      bulkhead: { bad: [...notValues, null], good: [Bulkhead.policy({ maxConcurrent: 1 })] },
      retry: { bad: [...notValues, null], good: [Retry.policy()] },
      classify: { bad: [0, "", "failure", {}, [], true], good: [() => "success"] }
    }
  ],
  [
    "Resilience",
    flat((store: never) => Resilience.make("id", { store }), {}),
    { "store.onError": oneOf("local", "allow", "fail"), "store.deadline": duration(1) }
  ],
  [
    "Resilience",
    first((id: never) => Resilience.make(id, {})),
    { id: { bad: ["", NaN, 0, {}, [], true, null, undefined], good: ["a", "__proto__", "a/b:c", "\u0000"] } }
  ],
  ["EventStream.make", flat(EventStream.make, {}), { capacity: count(1) }]
]

const show = (value: unknown): string => {
  const text =
    typeof value === "symbol" || typeof value === "function" || typeof value === "bigint" || Object.is(value, -0)
      ? `${typeof value} ${String(value)}`
      : (JSON.stringify(value) ?? String(value))
  return `${text} (${typeof value})`
}

/** Nested fields are written where they stand: `probes.lease` as `{ lease }` of the object that the constructor is given. */
const asField = (name: string, value: unknown) => ({ [name.slice(name.indexOf(".") + 1)]: value })

describe("a constructor", () => {
  for (const [module, make, fields] of constructors) {
    for (const [name, { bad, good }] of Object.entries(fields)) {
      it(`${module} refuses what makes no sense as ${name}, by name`, () => {
        const wrong = bad.flatMap((value) => {
          try {
            make(asField(name, value))
            return [`accepted ${show(value)}`]
          } catch (error) {
            if (!(error instanceof Rejection.InvalidPolicyError)) return [`for ${show(value)} threw ${String(error)}`]
            const named =
              error.module === module &&
              error.parameter.startsWith(name) &&
              error.message.includes(module) &&
              error.message.includes(name)
            return named ? [] : [`for ${show(value)} said ${error.message}`]
          }
        })
        assert.deepStrictEqual(wrong, [])
      })

      it(`${module} takes what makes sense as ${name}`, () => {
        for (const value of good) make(asField(name, value))
      })
    }
  }

  it("refuses numbers that are fine one by one and cannot be counted together", () => {
    const refused = (make: () => unknown, module: string, field: string) => {
      try {
        make()
      } catch (error) {
        assert.instanceOf(error, Rejection.InvalidPolicyError)
        return assert.deepStrictEqual([error.module, error.parameter], [module, field])
      }
      assert.fail(`${module} accepted ${field}`)
    }
    const day = "1 day"
    refused(
      () => RateLimiter.tokenBucket({ limit: 1, window: day, burst: 2 ** 40 }),
      "RateLimiter.tokenBucket",
      "burst"
    )
    refused(
      () => RateLimiter.leakyBucket({ limit: 1, window: day, capacity: 2 ** 40 }),
      "RateLimiter.leakyBucket",
      "capacity"
    )
    refused(
      () => RateLimiter.tokenBucket({ limit: 2 ** 40, window: day, burst: 1 }),
      "RateLimiter.tokenBucket",
      "limit"
    )
    refused(() => RateLimiter.slidingWindow({ limit: 1, window: 5, slices: 6 }), "RateLimiter.slidingWindow", "slices")
    refused(
      () => CircuitBreaker.policy({ ...circuit, openDuration: "1 hour", maxOpenDuration: "1 minute" } as never),
      "CircuitBreaker.policy",
      "maxOpenDuration"
    )
    refused(
      () => CircuitBreaker.policy({ ...circuit, probes: { permitted: 2, required: 3 } } as never),
      "CircuitBreaker.policy",
      "probes.required"
    )
    refused(
      () => CircuitBreaker.failureRate({ threshold: 0.5, window: { calls: 5 }, minimumCalls: 6 }),
      "CircuitBreaker.failureRate",
      "minimumCalls"
    )
    refused(() => Backoff.exponential({ base: "1 minute", cap: "1 second" }), "Backoff.exponential", "cap")
    refused(() => Bulkhead.policy({ maxConcurrent: 1, maxQueued: 1 }), "Bulkhead.policy", "maxQueued")
    refused(
      () => RateLimiter.fixedWindow({ limit: 1, window: 1, maxQueued: 1 }),
      "RateLimiter.fixedWindow",
      "maxQueued"
    )
    const leased = CircuitBreaker.policy({ tripPolicy: consecutive, openDuration: 1, probes: { lease: "1 second" } })
    refused(
      () => Resilience.make("id", { circuitBreaker: leased, timeout: "1 minute" }),
      "CircuitBreaker.policy",
      "probes.lease"
    )
  })
})

const wrongCosts = [...notNumbers, ...hugeNumbers, 0, -1, -1_000, 0.5, 1.5, null]
const wrongWaits = duration(0).bad

/** Whether it was refused as a policy error: where it is built, or as a defect when it runs. */
const refusal = (
  build: () => Effect.Effect<unknown, unknown>
): Effect.Effect<Rejection.InvalidPolicyError | undefined> =>
  Effect.map(Effect.exit(Effect.suspend(build)), (exit) => {
    const reason = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isDieReason) : undefined
    return reason?.defect instanceof Rejection.InvalidPolicyError ? reason.defect : undefined
  })

describe("a call", () => {
  const policy = RateLimiter.tokenBucket({ limit: 5, window: "1 hour", maxWait: "1 second" })

  it.effect("refuses a cost that makes no sense, by name, and takes nothing", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(policy)
      const service = yield* Resilience.make("id", { rateLimiter: policy })
      yield* limiter.allow("a")
      yield* service.resilient(Effect.void, "a")
      for (const bad of wrongCosts) {
        const options = { cost: bad as number } // bad on purpose, as all of these
        const ways = {
          "RateLimiter.allow": () => limiter.allow("a", options),
          "RateLimiter.acquire": () => limiter.acquire("a", options),
          "RateLimiter.execute": () => limiter.execute(Effect.void, "a", options),
          "RateLimiter.peek": () => Effect.map(limiter.peek("a"), ({ waitFor }) => waitFor(bad as number)),
          resilient: () => service.resilient(Effect.void, "a", options)
        }
        for (const [module, way] of Object.entries(ways)) {
          const error = yield* refusal(way)
          assert.isDefined(error, `${module} accepted ${show(bad)}`)
          assert.deepStrictEqual([error!.module, error!.parameter], [module, "cost"], show(bad))
          assert.include(error!.message, `${module}: cost`)
        }
      }
      assert.strictEqual((yield* limiter.peek("a")).remaining, 4)
      assert.strictEqual((yield* service.inspect("a")).rateLimiter!.remaining, 4)
    })
  )

  it.effect("refuses a wait that makes no sense, by name, and takes nothing", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(policy)
      for (const bad of wrongWaits) {
        const options = { maxWait: bad as number }
        for (const way of [() => limiter.acquire("a", options), () => limiter.execute(Effect.void, "a", options)]) {
          const error = yield* refusal(way)
          assert.isDefined(error, show(bad))
          assert.strictEqual(error!.parameter, "maxWait")
          assert.match(error!.message, /^RateLimiter\.(acquire|execute): maxWait /)
        }
      }
      assert.deepInclude(yield* limiter.peek("a"), { remaining: 5, queued: 0 })
    })
  )

  const user = RateLimiter.tokenBucket({ limit: 5, window: "1 hour" })
  const tenant = RateLimiter.tokenBucket({ limit: 5, window: "1 hour" })
  const noStrings = [undefined, null, NaN, 0, 5, 5n, true, Symbol("a"), () => "a"]

  it.effect("refuses a key that is no string, by name, and takes nothing", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(user)
      const breaker = yield* CircuitBreaker.make(
        CircuitBreaker.policy({ tripPolicy: consecutive, openDuration: 1, by: "key" })
      )
      const service = yield* Resilience.make("id", { rateLimiter: user })
      for (const bad of [...noStrings, { a: 5 }, { a: undefined }, { a: "x", b: null }, [5]]) {
        const key = bad as unknown as string
        const ways = [
          () => limiter.allow(key),
          () => limiter.acquire(key),
          () => limiter.peek(key),
          () => limiter.execute(Effect.void, key),
          () => service.resilient(Effect.void, key),
          () => service.inspect(key)
        ]
        const known =
          bad === undefined
            ? []
            : [
                () => limiter.reset(key),
                () => breaker.state(key),
                () => breaker.isolate(key),
                () => breaker.execute(Effect.void, key)
              ]
        for (const way of [...ways, ...known]) {
          const error = yield* refusal(way)
          assert.isDefined(error, `${String(way)} accepted ${typeof bad === "symbol" ? "a symbol" : show(bad)}`)
          assert.match(error!.message, /^key: (key|a|b|0) must be a string/)
        }
      }
      assert.strictEqual((yield* breaker.state("a")).state, "Closed")
    })
  )

  it.effect(
    "refuses a key without one of its dimensions, by name, and takes nothing from the others; more than it needs does no harm",
    () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(RateLimiter.every({ user, tenant }))
        const service = yield* Resilience.make("id", {
          rateLimiter: RateLimiter.every({ user }),
          circuitBreaker: CircuitBreaker.policy({ tripPolicy: consecutive, openDuration: 1, by: "tenant" })
        })
        const missing: ReadonlyArray<readonly [key: unknown, field: string]> = [
          [{ user: "u" }, "tenant"],
          [{ tenant: "t" }, "user"],
          [{}, "user"],
          ["u", "user"],
          ["", "user"],
          [{ user: "u", tenant: undefined }, "tenant"],
          [{ user: "u", tenant: 5 }, "tenant"],
          [Object.create({ user: "u", tenant: "t" }), "user"],
          [["u", "t"], "user"],
          [new Map([["user", "u"]]), "user"]
        ]
        for (const [bad, field] of missing) {
          const key = bad as { user: string; tenant: string }
          for (const way of [
            () => limiter.allow(key),
            () => limiter.acquire(key),
            () => limiter.peek(key),
            () => limiter.reset(key),
            () => limiter.execute(Effect.void, key),
            () => service.resilient(Effect.void, key)
          ]) {
            const error = yield* refusal(way)
            assert.isDefined(error, show(bad))
            assert.match(error!.message, /^key: (user|tenant) must be /)
            if (way.toString().includes("limiter")) assert.strictEqual(error!.parameter, field)
          }
        }
        const key = { user: "u", tenant: "t", more: "x" }
        assert.isTrue(yield* limiter.allow(key))
        assert.deepStrictEqual(
          Object.values((yield* limiter.peek({ user: "u", tenant: "t" })).limits).map(({ remaining }) => remaining),
          [4, 4]
        )
        yield* service.resilient(Effect.void, key)
        assert.strictEqual((yield* service.inspect({ user: "u", tenant: "t" })).rateLimiter!.remaining, 4)
      })
  )

  it.effect("gets along with every string as a key: the longest, the emptiest and the strangest", () =>
    Effect.gen(function* () {
      const Live = Resilience.layer({
        rateLimiter: user,
        circuitBreaker: CircuitBreaker.policy({ tripPolicy: consecutive, openDuration: "1 second", by: "key" }),
        bulkhead: Bulkhead.policy({ maxConcurrent: 1 }),
        timeout: "1 second"
      })
      yield* Effect.forEach(
        ["", "__proto__", "constructor", ":", "/", "\u0000", "\ud800", "k".repeat(100_000), "[", "\\", "[]"],
        (key) =>
          Effect.gen(function* () {
            assert.strictEqual(yield* resilient(Effect.succeed("ran"), key), "ran")
            assert.strictEqual(yield* Effect.flip(resilient(Effect.fail("down"), key)), "down")
            const error = yield* Effect.flip(resilient(Effect.void, key))
            assert.deepInclude(error, { _tag: "CircuitOpen" })
            assert.isString((error as Error).message)
            yield* TestClock.adjust("1 second")
            for (let i = 0; i < 3; i++) yield* resilient(Effect.void, key)
            assert.deepInclude(yield* Effect.flip(resilient(Effect.void, key)), { _tag: "RateLimitExceeded", key })
          })
      ).pipe(Effect.provide(Live))
    })
  )
})

describe("no two keys are one", () => {
  /** Few characters, all of them troublesome: so that pairs nearly collide. */
  const char = Schema.Literals([
    "a",
    "b",
    ":",
    "/",
    "\u0000",
    "[",
    "]",
    '"',
    "\\",
    ",",
    "{",
    "}",
    "\ud800",
    "\udc00",
    "é",
    "__proto__",
    '[["a","b"]]',
    "\\ud800",
    " "
  ])
  const text = Arbitrary.map(Arbitrary.array(Arbitrary.schema(char), { maxLength: 4 }), (chars) => chars.join(""))
  const record = Arbitrary.map(
    Arbitrary.array(Arbitrary.all([text, text] as const), { maxLength: 3 }),
    (entries) => Object.fromEntries(entries) as Record<string, string>
  )
  const key = Arbitrary.map(
    Arbitrary.all({ text, record, which: Arbitrary.schema(Schema.Boolean) }),
    ({ record, text, which }) => (which ? text : record)
  )
  type Key = string | Readonly<Record<string, string>>

  const same = (one: Key, two: Key): boolean => {
    if (typeof one === "string" || typeof two === "string") return one === two
    const [names, others] = [Object.keys(one), Object.keys(two)]
    return names.length === others.length && names.every((name) => Object.hasOwn(two, name) && one[name] === two[name])
  }
  const once = RateLimiter.fixedWindow({ limit: 1, window: "1 hour" })
  const fragile = CircuitBreaker.policy({ tripPolicy: consecutive, openDuration: "1 hour", by: "key" })

  const check = (one: Key, two: Key) =>
    Effect.gen(function* () {
      // the services whose key may be anything: they know nothing of its dimensions
      const limiter = yield* Effect.provide(RateLimiter.RateLimiter, RateLimiter.layer(once))
      yield* limiter.acquire(one)
      assert.strictEqual(yield* limiter.allow(two), !same(one, two), "a limiter")
      const breaker = yield* CircuitBreaker.make(fragile)
      yield* breaker.isolate(one)
      assert.strictEqual((yield* breaker.state(two)).state, same(one, two) ? "Isolated" : "Closed", "a circuit")
    })

  it.effect.prop("of random ones", { one: key, two: key }, ({ one, two }) => check(one, two), {
    arbitrary: { runs: 500 }
  })

  it.effect("of those that were made to collide", () =>
    Effect.gen(function* () {
      const pairs: ReadonlyArray<readonly [Key, Key]> = [
        [{ a: "x", b: "y" }, { "a:x,b": "y" }],
        [
          { a: "x", b: "y" },
          { a: 'x","b', y: "" }
        ],
        [
          { a: 'x"],["b', y: "z" },
          { a: "x", b: "y" }
        ],
        [{ a: "x" }, '[["a","x"]]'],
        [{ a: "x" }, '\\[["a","x"]]'],
        ['[["a","x"]]', '\\[["a","x"]]'],
        ["\\", "\\\\"],
        [{}, "[]"],
        [{}, "{}"],
        [{}, ""],
        ["\ud800", "\\ud800"],
        [{ a: "\ud800" }, { a: "\\ud800" }],
        [{ a: "\ud800" }, { a: "\ufffd" }],
        ["\ud800", "\ufffd"],
        [{ ["__proto__"]: "x" }, {}],
        [
          { a: "", b: "x" },
          { a: "x", b: "" }
        ],
        ["é", "e\u0301"],
        ["k".repeat(100_000), `${"k".repeat(99_999)}l`],
        [`l${"k".repeat(99_999)}`, "k".repeat(100_000)]
      ]
      for (const [one, two] of pairs) {
        yield* check(one, two)
        yield* check(two, one)
      }
      yield* check({ a: "x", b: "y" }, { b: "y", a: "x" }) // one key, in another order
    })
  )

  const parts = Arbitrary.all({ user: text, tenant: text })
  it.effect.prop(
    "of one dimension, whatever stands in the other",
    { one: parts, two: parts },
    ({ one, two }) =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.make(
          RateLimiter.every({ user: once, tenant: RateLimiter.fixedWindow({ limit: 2, window: "1 hour" }) })
        )
        yield* limiter.acquire(one)
        assert.strictEqual(yield* limiter.allow(two), one.user !== two.user)
        const { limits } = yield* limiter.peek(two)
        assert.strictEqual(
          limits["tenant"]!.used,
          one.user === two.user ? (one.tenant === two.tenant ? 1 : 0) : one.tenant === two.tenant ? 2 : 1
        )
      }),
    { arbitrary: { runs: 300 } }
  )
})
