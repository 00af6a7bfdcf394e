/** A bulkhead with slots for each key, or for each value of a dimension: `Bulkhead.policy({ by })`. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { World } from "effect-resilience-testing/World"
import { KeyedSlots } from "../../src/bulkhead/KeyedSlots.ts"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Rejection, Resilience, Retry } from "../../src/index.ts"
import { type Key, readKey } from "../../src/internal/key.ts"
import { elsewhere, Stage } from "../laws/harness.ts"
import { keyedOf, keysInUse } from "./keyedSlots.ts"
import { remote, serviceOn } from "./remote.ts"

const inUse = ({ members: [member] }: Bulkhead.BulkheadService): ReadonlyArray<string> =>
  member instanceof KeyedSlots ? keysInUse(member) : assert.fail("there are no slots of keys")

const start = <A, E>(self: Effect.Effect<A, E>) => Effect.forkChild(self, { startImmediately: true })
const reasonOf = <E extends { readonly reason: string }>(self: Effect.Effect<unknown, E>) =>
  Effect.map(Effect.flip(self), ({ reason }) => reason)

/** A call that waits, and notes its name when it runs. */
const noting = (bulkhead: Bulkhead.BulkheadService, ran: Array<string>) => (name: string, key: Key) =>
  start(
    bulkhead.execute(
      Effect.andThen(
        Effect.sync(() => ran.push(name)),
        Effect.sleep(10)
      ),
      key
    )
  )

describe("slots of each key", () => {
  it.effect("full slots of a key refuse that key alone", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 2, by: "key" }))
      const held = yield* Effect.forEach(["a", "a", "b"], (key) => start(bulkhead.execute(Effect.never, key)))
      assert.strictEqual(yield* reasonOf(bulkhead.execute(Effect.void, "a")), "full")
      assert.strictEqual(yield* bulkhead.execute(Effect.succeed("ran"), "b"), "ran")
      assert.strictEqual(yield* bulkhead.execute(Effect.succeed("ran"), "c"), "ran")
      yield* Fiber.interrupt(held[0]!)
      assert.strictEqual(yield* bulkhead.execute(Effect.succeed("ran"), "a"), "ran")
    })
  )

  it.effect("the error names the call, its service and its key", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, by: "tenant" }), "app/Slots")
      yield* start(bulkhead.execute(Effect.never, { tenant: "acme", user: "ada" }))
      const error = yield* Effect.flip(bulkhead.execute(Effect.void, { tenant: "acme", user: "bob" }))
      assert.deepInclude(error, { service: "app/Slots", key: '[["tenant","acme"],["user","bob"]]', reason: "full" })
    })
  )

  it.effect("`maxQueued` bounds the queue of each key", () =>
    Effect.gen(function* () {
      const policy = Bulkhead.policy({ maxConcurrent: 1, maxQueued: 2, maxWait: "1 minute", by: "key" })
      const bulkhead = yield* Bulkhead.make(policy)
      for (const key of ["a", "a", "a", "b", "b"]) yield* start(bulkhead.execute(Effect.never, key))
      assert.strictEqual(yield* reasonOf(bulkhead.execute(Effect.void, "a")), "queue-full")
      const third = yield* start(bulkhead.execute(Effect.never, "b"))
      assert.isUndefined(third.pollUnsafe(), "it waits")
      assert.strictEqual(yield* reasonOf(bulkhead.execute(Effect.void, "b")), "queue-full")
    })
  )

  it.effect("waiters of a key run in the order of their arrival, past older waiters of another key", () =>
    Effect.gen(function* () {
      const policy = Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute", by: "key" })
      const bulkhead = yield* Bulkhead.make(policy)
      const holder = yield* start(bulkhead.execute(Effect.never, "a"))
      yield* start(bulkhead.execute(Effect.sleep(5), "b"))
      const ran: Array<string> = []
      const call = noting(bulkhead, ran)
      for (const name of ["a1", "b1", "a2", "b2", "a3"]) yield* call(name, name[0]!)
      assert.deepStrictEqual(ran, [])
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(ran, ["b1", "b2"])
      yield* Fiber.interrupt(holder)
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(ran, ["b1", "b2", "a1", "a2", "a3"])
    })
  )

  it.effect("a call that arrives does not pass the waiters of its key, also where a slot is free", () =>
    Effect.gen(function* () {
      const policy = Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute", by: "key" })
      const bulkhead = yield* Bulkhead.make(policy)
      const ran: Array<string> = []
      const call = noting(bulkhead, ran)
      const holder = yield* start(bulkhead.execute(Effect.never, "a"))
      yield* call("first", "a")
      // the slot is released, and in the same turn, before the woken waiter asks, another call arrives
      holder.interruptUnsafe()
      assert.deepInclude(yield* bulkhead.inspectKey("a"), { running: 0, queued: 1 })
      yield* call("second", "a")
      assert.deepStrictEqual(ran, [])
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(ran, ["first", "second"])
    })
  )

  it.effect("a dimension has slots for each of its values, whatever else the key says", () =>
    Effect.gen(function* () {
      const api = yield* Resilience.make("app/Api", {
        rateLimiter: RateLimiter.every({ user: RateLimiter.tokenBucket({ limit: 100, window: "1 second" }) }),
        bulkhead: Bulkhead.policy({ maxConcurrent: 1, by: "tenant" })
      })
      yield* start(api.resilient(Effect.never, { tenant: "acme", user: "ada" }))
      const other = { tenant: "other", user: "ada" }
      const refused = yield* Effect.flip(api.resilient(Effect.void, { tenant: "acme", user: "bob" }))
      assert.instanceOf(refused, Rejection.BulkheadFull)
      assert.strictEqual(yield* api.resilient(Effect.succeed("ran"), other), "ran")
      const seen = yield* Effect.forEach([{ tenant: "acme", user: "eve" }, other], (key) => api.inspect(key))
      assert.deepStrictEqual(
        seen.map(({ bulkhead }) => bulkhead),
        [
          { running: 1, queued: 0, free: 0 },
          { running: 0, queued: 0, free: 1 }
        ]
      )
    })
  )

  it.effect("a key without the dimension is a defect that names it, and takes nothing", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, by: "tenant" }))
      const messages: Array<string> = []
      const keys: ReadonlyArray<Key | undefined> = ["acme", { user: "ada" }, undefined]
      for (const key of keys) {
        for (const self of [bulkhead.execute(Effect.void, key), bulkhead.inspectKey(key)]) {
          const exit = yield* Effect.exit(Effect.asVoid<unknown, unknown, never>(self))
          const defect = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isDieReason)?.defect : undefined
          messages.push(defect instanceof Rejection.InvalidPolicyError ? defect.message : String(defect))
        }
      }
      const flat = (key: string) => `key: tenant must be a field of the key (got ${JSON.stringify(key)})`
      const missing = "key: tenant must be a string (got undefined)"
      const none = flat("effect-resilience/Bulkhead")
      assert.deepStrictEqual(messages, [flat("acme"), flat("acme"), missing, missing, none, none])
      assert.deepStrictEqual(inUse(bulkhead), [])
    })
  )

  it.effect("a call without a key is one of the service's own key", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, by: "key" }), "app/Slots")
      yield* start(bulkhead.execute(Effect.never))
      const one = { running: 1, queued: 0, free: 0 }
      assert.deepStrictEqual([yield* bulkhead.inspectKey(), yield* bulkhead.inspectKey("app/Slots")], [one, one])
    })
  )

  it.effect("`inspect` tells all calls together, `inspectKey` those of a key", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 2, maxWait: "1 minute", by: "key" }))
      for (const key of ["a", "a", "a", "b"]) yield* start(bulkhead.execute(Effect.never, key))
      assert.deepStrictEqual(yield* bulkhead.inspect, { running: 3, queued: 1, free: Infinity })
      assert.deepStrictEqual(yield* Effect.forEach(["a", "b", "c"], bulkhead.inspectKey), [
        { running: 2, queued: 1, free: 0 },
        { running: 1, queued: 0, free: 1 },
        { running: 0, queued: 0, free: 2 }
      ])
      assert.deepStrictEqual(inUse(bulkhead), ["a", "b"], "a look takes nothing")
    })
  )

  it.effect("without `by`, each key is told the slots of the service", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 2 }))
      yield* start(bulkhead.execute(Effect.never, "a"))
      const seen = { running: 1, queued: 0, free: 1 }
      assert.deepStrictEqual(
        [yield* bulkhead.inspect, yield* bulkhead.inspectKey("b"), yield* bulkhead.inspectKey()],
        [seen, seen, seen]
      )
    })
  )

  it.effect("an attempt takes a slot of its own, the backoff holds none, and a later attempt may be refused", () =>
    Effect.gen(function* () {
      const api = yield* Resilience.make("app/Api", {
        bulkhead: Bulkhead.policy({ maxConcurrent: 1, by: "key" }),
        retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("1 second") })
      })
      const running = Effect.map(api.inspect("a"), ({ bulkhead }) => bulkhead!.running)
      const call = yield* start(Effect.exit(api.resilient(Effect.andThen(Effect.sleep(10), Effect.fail("first")), "a")))
      assert.strictEqual(yield* running, 1)
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* running, 0)
      yield* start(api.resilient(Effect.never, "a"))
      yield* TestClock.adjust(2_000)
      assert.deepStrictEqual(yield* Fiber.join(call), Exit.fail("first"))
    })
  )

  it.effect("the layer of a named bulkhead composes with others", () =>
    Effect.gen(function* () {
      class Slots extends Bulkhead.Service<Slots>()("app/Slots", Bulkhead.policy({ maxConcurrent: 1, by: "tenant" })) {}
      const program = Effect.gen(function* () {
        const { resilient } = yield* Resilience.Resilience
        const slots = yield* Slots
        yield* start(slots.execute(Effect.never, { tenant: "acme" }))
        const refused = yield* Effect.flip(resilient(Effect.void, { tenant: "acme" }))
        return [refused._tag, yield* resilient(Effect.succeed("ran"), { tenant: "other" })]
      })
      const live = Layer.provideMerge(Resilience.layerFrom([Slots]), Slots.layer)
      assert.deepStrictEqual(yield* Effect.provide(program, live), ["BulkheadFull", "ran"])
    })
  )
})

describe("the slots of a key are dropped when nothing runs and nothing waits", () => {
  const many = 100_000

  it("100,000 keys once each leave no entry", () => {
    const bulkhead = Effect.runSync(Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, maxWait: 10, by: "key" })))
    let most = 0
    const look = Effect.sync(() => (most = Math.max(most, inUse(bulkhead).length)))
    const call = (i: number) => bulkhead.execute(look, `key ${i}`)
    Effect.runSync(
      Effect.forEach(
        Array.from({ length: many }, (_, i) => i),
        call,
        { discard: true }
      )
    )
    assert.strictEqual(most, 1)
    assert.deepStrictEqual(inUse(bulkhead), [])
  })

  it("100,000 keys at the same time have slots each, and leave no entry", () => {
    const world = new World()
    const bulkhead = world.get(Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 hour", by: "key" })))
    for (let i = 0; i < many; i++) world.fork(bulkhead.execute(Effect.sleep(10), `key ${i}`))
    assert.deepStrictEqual(world.get(bulkhead.inspect), { running: many, queued: 0, free: Infinity })
    assert.strictEqual(inUse(bulkhead).length, many)
    world.advance(10)
    assert.deepStrictEqual(inUse(bulkhead), [])
  })

  it.effect("after a failure and a defect", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, by: "key" }))
      yield* Effect.exit(bulkhead.execute(Effect.fail("no"), "a"))
      yield* Effect.exit(bulkhead.execute(Effect.die("broken"), "b"))
      assert.deepStrictEqual(inUse(bulkhead), [])
    })
  )

  it.effect("after an interruption, of a call that runs and of one that waits", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute", by: "key" }))
      const runs = yield* start(bulkhead.execute(Effect.never, "a"))
      const waits = yield* start(bulkhead.execute(Effect.never, "a"))
      yield* Fiber.interrupt(waits)
      assert.deepStrictEqual(yield* bulkhead.inspectKey("a"), { running: 1, queued: 0, free: 0 })
      yield* Fiber.interrupt(runs)
      assert.deepStrictEqual(inUse(bulkhead), [])
      // the one that runs first, then the woken waiter before it asks: its leaving is the last that the key is in use for
      const first = yield* start(bulkhead.execute(Effect.never, "a"))
      const woken = yield* start(bulkhead.execute(Effect.never, "a"))
      first.interruptUnsafe()
      assert.deepStrictEqual(yield* bulkhead.inspectKey("a"), { running: 0, queued: 1, free: 1 })
      woken.interruptUnsafe()
      yield* Fiber.await(woken)
      assert.deepStrictEqual(inUse(bulkhead), [])
    })
  )

  it.effect("after a refusal, by the slots, by the queue's bound, by time and by another policy", () =>
    Effect.gen(function* () {
      const none = yield* Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1, by: "key" }))
      const waits = Bulkhead.policy({ maxConcurrent: 1, maxQueued: 1, maxWait: "1 second", by: "key" })
      const queued = yield* Bulkhead.make(waits)
      const holders = yield* Effect.forEach([none, queued], ({ execute }) => start(execute(Effect.never, "a")))
      assert.strictEqual(yield* reasonOf(none.execute(Effect.void, "a")), "full")
      const waiter = yield* start(reasonOf(queued.execute(Effect.void, "a")))
      assert.strictEqual(yield* reasonOf(queued.execute(Effect.void, "a")), "queue-full")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(waiter), "wait-too-long")
      yield* Fiber.interruptAll(holders)
      assert.deepStrictEqual([inUse(none), inUse(queued)], [[], []])

      const slots = Bulkhead.policy({ maxConcurrent: 1, by: "key" })
      class Slots extends Bulkhead.Service<Slots>()("app/Slots", slots) {}
      const program = Effect.gen(function* () {
        const { resilient } = yield* Resilience.Resilience
        yield* resilient(Effect.void, "a")
        const refused = yield* Effect.flip(resilient(Effect.void, "a"))
        return [refused._tag, inUse(yield* Slots)]
      })
      const limit = RateLimiter.layer(RateLimiter.tokenBucket({ limit: 1, window: "1 minute" }))
      const both = Resilience.layerFrom([Slots, RateLimiter.RateLimiter])
      const live = Layer.provideMerge(both, Layer.mergeAll(Slots.layer, limit))
      assert.deepStrictEqual(yield* Effect.provide(program, live), ["RateLimitExceeded", []])
    })
  )

  it("a waiter that moves to the queue of a limit leaves no entry, and has one again when it is let in", () => {
    const stage = new Stage({
      rateLimiter: RateLimiter.every({
        all: RateLimiter.shared(
          RateLimiter.tokenBucket({ limit: 1, window: "1 second", burst: 1, maxWait: "1 minute" })
        )
      }),
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute", by: "tenant" })
    })
    const { service, world } = stage
    const keyed = keyedOf(stage)
    const call = (tenant: string, millis: number) => world.fork(stage.call(Effect.sleep(millis), { key: { tenant } }))
    call("acme", 1_500)
    world.advance(1_000)
    const moves = call("acme", 100) // there is a token, and no slot
    world.advance(200)
    call("other", 100) // takes the token
    world.advance(200)
    assert.deepStrictEqual(keyed.look(readKey({ tenant: "acme" })), { running: 1, queued: 1, free: 0 })
    world.advance(200)
    assert.deepStrictEqual(keysInUse(keyed), [], "it waits for the limit")
    assert.strictEqual(service.pipeline.limits!.members[0]!.places.size, 1)
    world.advance(600)
    assert.deepStrictEqual(keysInUse(keyed), ["acme"])
    world.advance(100)
    assert.deepStrictEqual(moves.pollUnsafe(), Exit.void)
    assert.deepStrictEqual(keysInUse(keyed), [])
    world.runOut()
  })

  it("a call that a remote store refused, and that asks again, holds a slot that others of its key see", () => {
    const stage = new Stage(
      {
        rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 second", burst: 1, maxWait: "1 minute" }),
        bulkhead: Bulkhead.policy({ maxConcurrent: 1, by: "key" })
      },
      { key: "a", store: (memory) => elsewhere(memory, () => ({ before: Effect.sleep(5) })) }
    )
    const { world } = stage
    const keyed = keyedOf(stage)
    world.fork(stage.call(Effect.void))
    world.advance(10)
    const call = world.fork(stage.call(Effect.sleep(100)))
    world.advance(10)
    assert.deepStrictEqual(keysInUse(keyed), [], "reserved for the trip, and dropped when the limit said no")
    assert.isUndefined(call.pollUnsafe())
    world.advance(1_020)
    assert.deepStrictEqual(keyed.look("a"), { running: 1, queued: 0, free: 0 })
    world.runOut()
    assert.deepStrictEqual(call.pollUnsafe(), Exit.void)
    assert.deepStrictEqual(keysInUse(keyed), [])
  })

  it.effect("after the late reply of a remote store to a call that has left", () =>
    Effect.gen(function* () {
      const { layer, line } = yield* remote
      const bulkhead = Bulkhead.policy({ maxConcurrent: 1, by: "key" })
      const rateLimiter = RateLimiter.fixedWindow({ limit: 1, window: "1 hour" })
      const { inspect, resilient } = yield* serviceOn(layer, { rateLimiter, bulkhead })
      const running = Effect.map(inspect("a"), ({ bulkhead }) => bulkhead!.running)
      line.mode = "slow"
      const call = yield* start(resilient(Effect.void, "a"))
      line.mode = "up"
      assert.strictEqual(yield* running, 1, "reserved for the trip")
      yield* Fiber.interrupt(call)
      assert.strictEqual(yield* running, 0)
      yield* TestClock.adjust(1_000)
      assert.strictEqual(line.committed, 4, "the question, its undoing and two looks")
      assert.strictEqual(yield* running, 0)
      assert.strictEqual(yield* resilient(Effect.succeed("ran"), "a"), "ran")
    })
  )
})

describe("`by` is validated where the policy is made", () => {
  for (const by of ["", 0, NaN, {}, [], true, null]) {
    it(`${JSON.stringify(by)} is refused with the words of the breaker`, () => {
      const thrown = [
        () => Bulkhead.policy({ maxConcurrent: 1, by: by as string }),
        () =>
          CircuitBreaker.policy({
            tripPolicy: CircuitBreaker.consecutive(1),
            openDuration: "1 second",
            by: by as string
          })
      ].map((make) => {
        try {
          return make()
        } catch (error) {
          assert.instanceOf(error, Rejection.InvalidPolicyError)
          return error
        }
      }) as ReadonlyArray<Rejection.InvalidPolicyError>
      const [ours, theirs] = thrown
      assert.deepInclude(ours, { module: "Bulkhead.policy", parameter: "by", value: by })
      assert.strictEqual(ours!.reason, 'must be "key" or the name of a dimension')
      assert.strictEqual(ours!.message.replace("Bulkhead", "CircuitBreaker"), theirs!.message)
    })
  }

  it("a name is taken as it is, also one that every object has", () => {
    for (const by of ["key", "tenant", "__proto__"]) {
      assert.strictEqual(Bulkhead.policy({ maxConcurrent: 1, by }).options.by, by)
    }
    assert.isUndefined(Bulkhead.policy({ maxConcurrent: 1 }).options.by)
  })
})
