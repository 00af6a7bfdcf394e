/** Which values share state: the layer value is the state, and a key is nobody else's. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, ManagedRuntime } from "effect"
import { CircuitBreaker, RateLimiter, RemoteStore, Resilience, resilient, Store } from "../../src/index.ts"
import { limiterOn, spied } from "./support.ts"

const limit = RateLimiter.fixedWindow({ limit: 1, window: "1 hour" })
const trip = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 hour" })
class Limits extends RateLimiter.Service<Limits>()("test/Limits", limit) {}
class Circuit extends CircuitBreaker.Service<Circuit>()("test/Circuit", trip) {}
class Both extends Resilience.Service<Both>()("test/Both", { rateLimiter: limit, circuitBreaker: trip }) {}

const take = Effect.flatMap(Limits, (limits) => limits.allow("a"))
const call = Effect.map(Effect.exit(Both.resilient(Effect.void, "a")), Exit.isSuccess)

describe("one layer value is one state", () => {
  it.effect("within one provide, however often it is asked for", () =>
    Effect.gen(function* () {
      const inner = Effect.provide(take, Limits.layer)
      assert.deepStrictEqual(
        yield* Effect.provide(Effect.all([take, inner, Effect.provide(inner, Limits.layer)]), Limits.layer),
        [true, false, false]
      )
    })
  )

  it.effect("also below two services that are built on it", () =>
    Effect.gen(function* () {
      class One extends RateLimiter.Service<One>()("test/One", limit) {}
      class Two extends RateLimiter.Service<Two>()("test/Two", limit) {}
      const executor = Resilience.layerFrom([One])
      const other = Layer.effect(Two, One)
      const program = Effect.gen(function* () {
        yield* resilient(Effect.void, "a")
        return [yield* (yield* One).allow("a"), yield* (yield* Two).allow("a")]
      })
      assert.deepStrictEqual(
        yield* Effect.provide(program, Layer.mergeAll(executor, other).pipe(Layer.provideMerge(One.layer))),
        [false, false]
      )
    })
  )

  it.effect("in a ManagedRuntime, over all its runs", () =>
    Effect.gen(function* () {
      const runtime = ManagedRuntime.make(Layer.mergeAll(Limits.layer, Both.layer))
      yield* Effect.addFinalizer(() => Effect.promise(() => runtime.dispose()))
      assert.deepStrictEqual([runtime.runSync(take), runtime.runSync(take)], [true, false])
      assert.deepStrictEqual([runtime.runSync(call), runtime.runSync(call)], [true, false])
    })
  )

  it.effect("and provided anew it is a new state, which never limits anything", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 3; i++) {
        assert.isTrue(yield* Effect.provide(take, Limits.layer))
        assert.isTrue(yield* Effect.provide(call, Both.layer))
      }
    })
  )
})

describe("two layers are two states", () => {
  it.effect("of one policy value", () =>
    Effect.gen(function* () {
      const [one, two] = [yield* RateLimiter.make(limit), yield* RateLimiter.make(limit)]
      assert.deepStrictEqual([yield* one.allow("a"), yield* two.allow("a"), yield* one.allow("a")], [true, true, false])
      const [three, four] = [yield* CircuitBreaker.make(trip), yield* CircuitBreaker.make(trip)]
      yield* three.isolate()
      assert.strictEqual((yield* four.state()).state, "Closed")
      const layers = [RateLimiter.layer(limit), RateLimiter.layer(limit)]
      const allow = Effect.flatMap(RateLimiter.RateLimiter, (limiter) => limiter.allow("a"))
      assert.isTrue(
        yield* Effect.provide(allow, layers[0]!).pipe(
          Effect.andThen(Effect.provide(allow, layers[1]!)),
          Effect.provide(layers[0]!)
        )
      )
    })
  )

  it.effect("of one service, made fresh", () =>
    Effect.gen(function* () {
      const program = Effect.all([take, Effect.provide(take, Layer.fresh(Limits.layer)), take])
      assert.deepStrictEqual(yield* Effect.provide(program, Limits.layer), [true, true, false])
    })
  )
})

describe("layerFrom, of a circuit breaker that has its lease already", () => {
  const built = (probes: { readonly lease?: "2 minutes" }, options: Parameters<typeof Resilience.layerFrom>[1]) => {
    const policy = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: 1, probes })
    const layer = Layer.provide(
      Resilience.layerFrom([CircuitBreaker.CircuitBreaker], options),
      CircuitBreaker.layer(policy)
    )
    return Effect.map(Effect.exit(Effect.provide(Effect.void, layer)), (exit) =>
      Exit.isSuccess(exit) ? "built" : String(exit.cause)
    )
  }

  it.effect("takes every timeout that a probe's lease outlives, and none", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* built({ lease: "2 minutes" }, {}), "built")
      assert.strictEqual(yield* built({ lease: "2 minutes" }, { timeout: "2 minutes" }), "built")
      assert.strictEqual(yield* built({ lease: "2 minutes" }, { timeout: 120_001, attemptTimeout: 5 }), "built")
      assert.strictEqual(yield* built({}, { timeout: "1 minute" }), "built")
      assert.strictEqual(yield* built({}, {}), "built")
    })
  )

  it.effect("refuses a timeout that is longer: a healthy probe could count as failed", () =>
    Effect.gen(function* () {
      assert.include(
        yield* built({ lease: "2 minutes" }, { timeout: 120_001 }),
        "timeout is longer than a probe's lease of 120000 ms"
      )
      assert.include(
        yield* built({ lease: "2 minutes" }, { attemptTimeout: 120_001 }),
        "longer than a probe's lease of 120000"
      )
      assert.include(yield* built({}, { timeout: 60_001 }), "timeout is longer than a probe's lease of 60000 ms")
    })
  )
})

describe("layerFromStore", () => {
  it.effect("works on the memory store, for every kind of service", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        const circuit = yield* Circuit
        yield* Effect.exit(circuit.execute(Effect.fail("down")))
        return [
          yield* take,
          yield* take,
          (yield* circuit.state()).state,
          yield* call,
          yield* call,
          yield* Effect.exit(resilient(Effect.void, "a"))
        ]
      })
      const services = Layer.mergeAll(
        Limits.layerFromStore,
        Circuit.layerFromStore,
        Both.layerFromStore,
        Resilience.layerFromStore({ rateLimiter: limit })
      )
      const seen = yield* Effect.provide(program, Layer.provide(services, Store.layerMemory))
      assert.deepStrictEqual(seen, [true, false, "Open", true, false, Exit.void])
    })
  )

  it.effect("keeps services apart that share a store, also with the same policy, the same keys and the same name", () =>
    Effect.gen(function* () {
      const { store, size } = yield* spied
      const [one, two] = [yield* limiterOn(store, limit), yield* limiterOn(store, limit)]
      assert.deepStrictEqual(
        [yield* one.allow("a"), yield* two.allow("a"), yield* one.allow("a"), yield* two.allow("a")],
        [true, true, false, false]
      )
      assert.strictEqual(size(), 2)
      yield* one.reset()
      assert.deepStrictEqual([yield* one.allow("a"), yield* two.allow("a")], [true, false])
    })
  )

  it.effect("layerMemory provided twice is one store, made fresh it is two", () =>
    Effect.gen(function* () {
      const same = yield* Effect.provide(
        Effect.all([Store.Store, Effect.provide(Store.Store, Store.layerMemory)]),
        Store.layerMemory
      )
      assert.strictEqual(same[0], same[1])
      const two = yield* Effect.provide(
        Effect.all([Store.Store, Effect.provide(Store.Store, Layer.fresh(Store.layerMemory))]),
        Store.layerMemory
      )
      assert.notStrictEqual(two[0], two[1])
    })
  )

  it("names spaces so that no two limits of a store elsewhere are one", () => {
    const name = (id: string, limitName: string) => {
      const names: Array<string> = []
      const store = RemoteStore.make({
        commit: (steps) => {
          names.push(...steps.map(({ space }) => space.name))
          return Effect.die("seen")
        },
        read: () => Effect.die("seen"),
        clear: () => Effect.die("seen")
      })
      const policies = { rateLimiter: RateLimiter.every({ [limitName]: RateLimiter.shared(limit) }) }
      const call = Effect.flatMap(Resilience.makeFromStore(id, policies), ({ resilient }) =>
        resilient(Effect.void, "" as never)
      ) // no dimension is left
      Effect.runSync(Effect.exit(Effect.scoped(Effect.provideService(call, Store.Store, store))))
      return names[0]
    }
    const pairs = [
      ["app", "users/limit"],
      ["app/users", "limit"],
      ["app", "users~1limit"],
      ["app", "users~limit"],
      ["app/", "users/limit"],
      ["app", "/users/limit"]
    ] as const
    const names = pairs.map(([id, limitName]) => name(id, limitName))
    assert.isTrue(names.every((name) => typeof name === "string"))
    assert.strictEqual(new Set(names).size, pairs.length, names.join(" "))
  })
})

describe("a key is nobody else's", () => {
  const long = "k".repeat(100_000)
  const hostile = [
    "",
    " ",
    "a",
    "A",
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "\u0000",
    "a\u0000",
    "a:b",
    "a/b",
    "a,b",
    '["a"]',
    "{}",
    "undefined",
    "null",
    "0",
    "-0",
    "NaN",
    "é",
    "e\u0301",
    "\ud800",
    "\ud801",
    "\udc00",
    "\\ud800",
    "😀",
    long,
    `${long}x`,
    `x${long}`
  ]

  it.effect("whatever it holds, in a limiter", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(limit)
      for (const key of hostile)
        assert.isTrue(yield* limiter.allow(key), `the first of ${JSON.stringify(key.slice(0, 20))}`)
      for (const key of hostile) assert.isFalse(yield* limiter.allow(key))
      yield* limiter.reset("__proto__")
      assert.deepStrictEqual(
        yield* Effect.forEach(hostile, (key) => limiter.allow(key)),
        hostile.map((key) => key === "__proto__")
      )
    })
  )

  it.effect("whatever it holds, in a circuit for each key", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(
        CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 hour", by: "key" })
      )
      for (const key of hostile) {
        assert.strictEqual((yield* breaker.state(key)).state, "Closed")
        assert.strictEqual(yield* Effect.flip(breaker.execute(Effect.fail("down"), key)), "down")
      }
      yield* breaker.reset("__proto__")
      for (const key of hostile)
        assert.strictEqual((yield* breaker.state(key)).state, key === "__proto__" ? "Closed" : "Open")
    })
  )

  it.effect("as a dimension's name and as its value", () =>
    Effect.gen(function* () {
      const names = ["__proto__", "constructor", "", "a:b"]
      const limiter = yield* RateLimiter.make(RateLimiter.every(Object.fromEntries(names.map((name) => [name, limit]))))
      const keyOf = (value: string) => Object.fromEntries(names.map((name) => [name, value]))
      for (const value of hostile) assert.isTrue(yield* limiter.allow(keyOf(value)))
      const error = yield* Effect.flip(limiter.acquire({ ...keyOf("fresh"), ["__proto__"]: "a" }))
      assert.deepStrictEqual(
        error.limits.map(({ limit }) => limit),
        ["__proto__"]
      )
      assert.isTrue(Object.hasOwn((yield* limiter.peek(keyOf("a"))).limits, "__proto__"))
    })
  )
})
