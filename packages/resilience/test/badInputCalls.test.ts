/**
 * Bad input: every cost, wait and key of a call, tried with what should not be there.
 *
 * What makes no sense is refused with an `InvalidPolicyError` that names module and field, and costs nobody anything;
 * what is accepted works, and no key is another.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, CircuitBreaker, RateLimiter, Rejection, Resilience, resilient } from "../src/index.ts"
import { duration, hugeNumbers, notNumbers, show, unbounded } from "./badInputs.ts"

const consecutive = CircuitBreaker.consecutive(1)

const wrongCosts = [...notNumbers, ...hugeNumbers, 0, -1, -1_000, 0.5, 1.5, null]
const wrongWaits = unbounded(duration(0)).bad

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
        const ways = {
          "RateLimiter.acquire": () => limiter.acquire("a", options),
          "RateLimiter.execute": () => limiter.execute(Effect.void, "a", options)
        }
        for (const [module, way] of Object.entries(ways)) {
          const error = yield* refusal(way)
          assert.isDefined(error, show(bad))
          assert.deepStrictEqual([error!.module, error!.parameter], [module, "maxWait"], show(bad))
          assert.include(error!.message, `${module}: maxWait `)
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
        const own = { user: "u", tenant: "t", more: "x" }
        const key: typeof own = Object.assign(Object.create({ inherited: 1 }), own)
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
