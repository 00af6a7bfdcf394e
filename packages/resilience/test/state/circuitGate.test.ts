/** What a circuit is told by calls in flight, and by chance. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker, RemoteStore, Resilience, resilient, Retry } from "../../src/index.ts"
import type { Key } from "../../src/internal/key.ts"
import { layerMemory, Store } from "../../src/Store.ts"

const down = Effect.fail("down")
const Elsewhere = Layer.effect(Store, Effect.map(Store, RemoteStore.make)).pipe(Layer.provide(layerMemory))
const stores = [
  ["this process", layerMemory],
  ["a store elsewhere", Elsewhere]
] as const

it.effect("what becomes of the record of probes that a policy was made from changes nothing", () =>
  Effect.gen(function* () {
    const probes = { permitted: 2, required: 2 }
    const tripPolicy = CircuitBreaker.consecutive(1)
    const policy = CircuitBreaker.policy({ tripPolicy, openDuration: "1 minute", probes })
    probes.permitted = probes.required = 1
    const { execute, state } = yield* CircuitBreaker.make(policy)
    yield* Effect.exit(execute(down))
    yield* TestClock.adjust("1 minute")
    yield* execute(Effect.void)
    assert.strictEqual((yield* state()).state, "HalfOpen")
    yield* execute(Effect.void)
    assert.strictEqual((yield* state()).state, "Closed")
  })
)

describe("whose circuit it is", () => {
  const trips = { tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" } as const
  const refusals = Effect.fnUntraced(function* (policy: CircuitBreaker.Policy, first: Key, ...others: Array<Key>) {
    const { execute } = yield* CircuitBreaker.make(policy, "app/Api")
    yield* Effect.exit(execute(down, first))
    return yield* Effect.forEach(others, (key) =>
      Effect.match(execute(Effect.void, key), { onSuccess: () => "passed", onFailure: ({ key }) => key })
    )
  })
  const ada = { user: "ada", tenant: "1" }

  it.effect("of the service, without a word", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* refusals(CircuitBreaker.policy(trips), "a", "a", "b"), ["app/Api", "app/Api"])
    })
  )

  it.effect("of each key", () =>
    Effect.gen(function* () {
      const policy = CircuitBreaker.policy({ ...trips, by: "key" })
      assert.deepStrictEqual(yield* refusals(policy, "a", "a", "b"), ["a", "passed"])
      const name = JSON.stringify([
        ["tenant", "1"],
        ["user", "ada"]
      ])
      assert.deepStrictEqual(yield* refusals(policy, ada, ada, { ...ada, tenant: "2" }), [name, "passed"])
    })
  )

  it.effect("of all keys that are the same in one dimension", () =>
    Effect.gen(function* () {
      const policy = CircuitBreaker.policy({ ...trips, by: "user" })
      const others = [
        { user: "ada", tenant: "2" },
        { user: "bob", tenant: "1" }
      ]
      assert.deepStrictEqual(yield* refusals(policy, ada, ...others), ["ada", "passed"])
    })
  )
})

describe("openings that are drawn", () => {
  const policy = CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.consecutive(1),
    openDuration: Backoff.exponential({ base: "1 minute", cap: "1 minute", jitter: "equal" })
  })
  const openings = Effect.gen(function* () {
    const all = new Set<number>()
    for (let i = 0; i < 40; i++) {
      const breaker = yield* CircuitBreaker.make(policy)
      yield* Effect.exit(breaker.execute(down))
      all.add((yield* breaker.state()).openForMillis)
    }
    return Array.from(all)
  })

  it.effect("differ from circuit to circuit, over the whole range", () =>
    Effect.gen(function* () {
      const all = yield* openings
      assert.isAbove(all.length, 30)
      assert.isAtLeast(Math.min(...all), 30_000)
      assert.isBelow(Math.min(...all), 35_000)
      assert.isAbove(Math.max(...all), 55_000)
      assert.isAtMost(Math.max(...all), 60_000)
    }).pipe(Random.withSeed("openings"))
  )

  it.effect("differ from key to key, so that those that open together are not asked again together", () =>
    Effect.gen(function* () {
      const keyed = yield* CircuitBreaker.make(
        CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.consecutive(1),
          openDuration: Backoff.exponential({ base: "1 minute", cap: "1 minute", jitter: "equal" }),
          by: "key"
        })
      )
      const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`)
      yield* Effect.forEach(keys, (key) => Effect.exit(keyed.execute(down, key)))
      const all = yield* Effect.forEach(keys, (key) =>
        Effect.map(keyed.state(key), ({ openForMillis }) => openForMillis)
      )
      assert.strictEqual(new Set(all).size, keys.length)
    }).pipe(Random.withSeed("keys"))
  )

  it.effect("are drawn from the Random of the call, so that a seed repeats them", () =>
    Effect.gen(function* () {
      const [one, two, other] = yield* Effect.all([
        openings.pipe(Random.withSeed("a")),
        openings.pipe(Random.withSeed("a")),
        openings.pipe(Random.withSeed("b"))
      ])
      assert.deepStrictEqual(one, two)
      assert.notDeepEqual(one, other)
    })
  )
})

describe("the Random of a call", () => {
  /** How often one call of a circuit with such openings asks for a number. */
  const asked = Effect.fnUntraced(function* (openDuration: CircuitBreaker.Options["openDuration"]) {
    const breaker = yield* CircuitBreaker.make(
      CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration, maxOpenDuration: "1 minute" })
    )
    let draws = 0
    const counting = { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => (draws++, 0.5) }
    yield* Effect.provideService(Effect.exit(breaker.execute(down)), Random.Random, counting)
    return draws
  })

  it.effect("is left alone where openings are not drawn, and asked wherever one of them is", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* asked("1 second"), 0)
      assert.strictEqual(yield* asked(Backoff.exponential({ base: 1, cap: "1 minute", jitter: "none" })), 0)
      // the first lasts 1 ms whatever is drawn, those after it do not
      assert.isAbove(yield* asked(Backoff.exponential({ base: 1, cap: "1 minute", jitter: "equal" })), 0)
      assert.isAbove(yield* asked(Backoff.decorrelated({ base: 10, cap: "1 minute" })), 0)
    })
  )
})

describe("calls in flight that are slow", () => {
  const slow = (slowAfter: "1 second" | "3 seconds", minimumCalls: number) =>
    CircuitBreaker.slowCallRate({ slowAfter, threshold: 1, window: "1 minute", minimumCalls })
  const options = { openDuration: "1 minute" } as const
  const states = Effect.fnUntraced(function* (breaker: CircuitBreaker.CircuitBreakerService, calls: number) {
    const fibers = yield* Effect.replicateEffect(
      Effect.forkChild(breaker.execute(Effect.never), { startImmediately: true }),
      calls
    )
    const seen: Array<string> = []
    for (const millis of [999, 1, 1_999, 1]) {
      yield* TestClock.adjust(millis)
      seen.push((yield* breaker.state()).state)
    }
    yield* Fiber.interruptAll(fibers)
    return seen
  })

  for (const [where, layer] of stores) {
    it.effect(`open the circuit at their threshold and no earlier, whatever the order of the trips, in ${where}`, () =>
      Effect.gen(function* () {
        // one call is enough for the trip of 1 second, and two are too few for that of 3
        for (const trips of [
          [slow("1 second", 1), slow("3 seconds", 3)],
          [slow("3 seconds", 3), slow("1 second", 1)]
        ] as const) {
          const policy = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.anyOf(...trips), ...options })
          const seen = yield* Effect.flatMap(CircuitBreaker.CircuitBreaker, (breaker) => states(breaker, 1)).pipe(
            Effect.provide(Layer.provide(Layer.fresh(CircuitBreaker.layerFromStore(policy)), Layer.fresh(layer)))
          )
          assert.deepStrictEqual(seen, ["Closed", "Open", "Open", "Open"])
        }
        for (const trips of [
          [slow("1 second", 3), slow("3 seconds", 2)],
          [slow("3 seconds", 2), slow("1 second", 3)]
        ] as const) {
          const policy = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.anyOf(...trips), ...options })
          const seen = yield* Effect.flatMap(CircuitBreaker.CircuitBreaker, (breaker) => states(breaker, 2)).pipe(
            Effect.provide(Layer.provide(Layer.fresh(CircuitBreaker.layerFromStore(policy)), Layer.fresh(layer)))
          )
          assert.deepStrictEqual(seen, ["Closed", "Closed", "Closed", "Open"])
        }
      })
    )
  }
})

describe("what a process knows of a circuit", () => {
  const Policies = Layer.mergeAll(
    CircuitBreaker.layerFromStore(
      CircuitBreaker.policy({
        tripPolicy: CircuitBreaker.anyOf(
          CircuitBreaker.consecutive(9),
          CircuitBreaker.slowCallRate({ slowAfter: "1 second", threshold: 0.5, window: "1 hour", minimumCalls: 2 })
        ),
        openDuration: "1 hour"
      })
    ),
    Retry.layer(Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("500 millis") }))
  )
  const Composed = Resilience.layerFrom([CircuitBreaker.CircuitBreaker, Retry.Retry])

  for (const [where, layer] of stores) {
    const test = (
      name: string,
      body: (breaker: CircuitBreaker.CircuitBreakerService) => Effect.Effect<void, unknown, Resilience.Resilience>
    ) =>
      it.effect(`${name}, in ${where}`, () =>
        Effect.flatMap(CircuitBreaker.CircuitBreaker, body).pipe(
          Effect.provide(Layer.provideMerge(Composed, Layer.provide(Policies, layer)))
        )
      )
    const begin = <A, E, R>(call: Effect.Effect<A, E, R>) =>
      Effect.forkChild(resilient(call, "a"), { startImmediately: true })

    test("stays known while somebody backs off, whoever else stops", (breaker) =>
      Effect.gen(function* () {
        const [one, two] = [yield* begin(down), yield* begin(down)]
        yield* Fiber.interrupt(one)
        yield* TestClock.adjust("100 millis")
        yield* breaker.isolate()
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(two.pollUnsafe(), Exit.fail("down"))
      }))

    test("stays known while somebody is in flight, whoever else ends", (breaker) =>
      Effect.gen(function* () {
        yield* begin(Effect.never)
        yield* begin(Effect.void)
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* breaker.state()).state, "Open")
      }))

    test("is told by a transaction, too", (breaker) =>
      Effect.gen(function* () {
        const fiber = yield* begin(down)
        // a store elsewhere takes no part in transactions, so nothing can be rolled back there
        const rolledBack = Effect.tx(Effect.andThen(breaker.isolate(), Effect.fail("rolled back")))
        if (layer === layerMemory) yield* Effect.exit(rolledBack)
        yield* TestClock.adjust(0)
        assert.isUndefined(fiber.pollUnsafe())
        yield* Effect.tx(breaker.isolate())
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(fiber.pollUnsafe(), Exit.fail("down"))
      }))

    test("does not hold calls that ended in time for slow ones", (breaker) =>
      Effect.gen(function* () {
        yield* Effect.all([resilient(Effect.void, "a"), resilient(Effect.void, "a")])
        yield* TestClock.adjust("2 seconds")
        const { state, windows } = yield* breaker.state()
        assert.deepStrictEqual([state, windows[1]], ["Closed", { calls: 2, bad: 0 }])
      }))

    test("is forgotten when nobody needs it any more", (breaker) =>
      Effect.gen(function* () {
        const calls = [yield* begin(down), yield* begin(Effect.never), yield* begin(Effect.void)]
        assert.strictEqual(breaker.gate.locals.size, 1)
        yield* Fiber.interruptAll(calls)
        assert.strictEqual(breaker.gate.locals.size, 0)
      }))

    test("tells of a call that hangs once, however often it is asked", (breaker) =>
      Effect.gen(function* () {
        yield* begin(Effect.never)
        yield* TestClock.adjust("2 seconds")
        for (let i = 0; i < 3; i++) assert.deepInclude((yield* breaker.state()).windows[1], { calls: 1, bad: 1 })
      }))

    test("hears of a call that hangs from one that ends", (breaker) =>
      Effect.gen(function* () {
        yield* begin(Effect.never)
        yield* TestClock.adjust("800 millis")
        yield* begin(Effect.sleep("500 millis"))
        yield* TestClock.adjust("500 millis")
        assert.deepInclude((yield* breaker.state()).windows[1], { calls: 2, bad: 1 })
      }))

    test("does not move when another call succeeds: who backs off tries again", () =>
      Effect.gen(function* () {
        let attempts = 0
        const fiber = yield* begin(Effect.suspend(() => (++attempts === 1 ? down : Effect.succeed("up"))))
        yield* resilient(Effect.void, "a")
        yield* TestClock.adjust("500 millis")
        assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed("up"))
      }))
  }
})

describe("a circuit that is looked at", () => {
  it.effect("says how long its opening lasts while it is open, and when a call may pass unless it is isolated", () =>
    Effect.gen(function* () {
      const policy = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" })
      const breaker = yield* CircuitBreaker.make(policy)
      const look = Effect.map(breaker.state(), ({ openForMillis, retryAfterMillis, state }) => [
        state,
        openForMillis,
        retryAfterMillis
      ])
      assert.deepStrictEqual(yield* look, ["Closed", 0, 0])
      yield* Effect.exit(breaker.execute(down))
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* look, ["Open", 60_000, 40_000])
      yield* TestClock.adjust("40 seconds")
      assert.deepStrictEqual(yield* look, ["HalfOpen", 0, 0])
      yield* breaker.isolate()
      assert.deepStrictEqual(yield* look, ["Isolated", 0, undefined])
    })
  )
})

it.effect("its state is kept under the name of its service", () =>
  Effect.gen(function* () {
    const memory = yield* Store
    const names = new Set<string>()
    const noting = RemoteStore.make({
      ...memory,
      commit: (steps) => {
        for (const { space } of steps) names.add(space.name)
        return memory.commit(steps)
      }
    })
    const policy = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" })
    const { resilient } = yield* Resilience.makeFromStore("app/Api", { circuitBreaker: policy }).pipe(
      Effect.provideService(Store, noting)
    )
    yield* resilient(Effect.void, "a")
    assert.deepStrictEqual(Array.from(names), ["app/Api/circuitBreaker"])
  }).pipe(Effect.provide(layerMemory))
)

describe("a store elsewhere that has no room for a report", () => {
  it.effect("is none of the call's business", () =>
    Effect.gen(function* () {
      const memory = yield* Store
      const full = RemoteStore.make({
        ...memory,
        commit: (steps) =>
          Effect.map(memory.commit(steps), (committed) =>
            (steps[0]!.input as { readonly op: string }).op === "record"
              ? { ...committed, allowed: false, answers: steps.map(() => undefined) as never }
              : committed
          )
      })
      const policy = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" })
      const call = Effect.flatMap(CircuitBreaker.CircuitBreaker, ({ execute }) => execute(Effect.succeed("up")))
      const live = Layer.provide(CircuitBreaker.layerFromStore(policy), Layer.succeed(Store, full))
      assert.strictEqual(yield* Effect.provide(call, live), "up")
    }).pipe(Effect.provide(layerMemory))
  )
})

it.effect("where nobody asks for slow calls, a process notes no calls in flight", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(
      CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute", by: "key" })
    )
    const fiber = yield* Effect.forkChild(breaker.execute(Effect.never, "a"), { startImmediately: true })
    assert.strictEqual(breaker.gate.locals.size, 0)
    yield* Fiber.interrupt(fiber)
    assert.strictEqual(breaker.gate.locals.size, 0)
  })
)
