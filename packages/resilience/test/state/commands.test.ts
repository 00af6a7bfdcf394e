/** A remote store: what an operator does by hand (reset, isolate, close), and a value that cannot be read. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, Event, type Policies, RateLimiter, Rejection, Resilience } from "../../src/index.ts"
import { guarded } from "../../src/remote/guard.ts"
import { Command, Store } from "../../src/Store.ts"
import { remote } from "./remote.ts"
import { breakerOn, limiterOn } from "./support.ts"

const limit = RateLimiter.fixedWindow({ limit: 2, window: "1 hour" })

describe("an operator's step", () => {
  const circuit = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" })

  for (const mode of ["down", "hangs"] as const) {
    it.effect(`fails while the store is away, and changes nothing here (${mode})`, () =>
      Effect.gen(function* () {
        const { line, store } = yield* remote
        const limiter = yield* limiterOn(store, limit)
        const breaker = yield* breakerOn(store, circuit)
        line.mode = "down"
        assert.deepStrictEqual([yield* limiter.allow("a"), yield* limiter.allow("a")], [true, true])
        yield* Effect.exit(breaker.execute(Effect.fail("503")))
        line.mode = mode
        const steps = [limiter.reset("a"), limiter.reset(), breaker.isolate(), breaker.close(), breaker.reset()]
        for (const step of steps) {
          const asked = yield* Effect.forkChild(Effect.flip(step))
          yield* TestClock.adjust("1 second")
          const reason = mode === "down" ? "unavailable" : "deadline"
          assert.deepInclude(yield* Fiber.join(asked), { _tag: "StoreError", reason })
        }
        line.mode = "down"
        assert.strictEqual((yield* limiter.peek("a")).remaining, 0)
        assert.strictEqual((yield* breaker.state()).state, "Open")
      })
    )
  }

  it.effect("fails in a service that lets calls through without its store", () =>
    Effect.gen(function* () {
      const { line, store } = yield* remote
      const guard = guarded(store, "app/orders", { onError: "allow", deadline: 10, localShare: 1 })
      line.mode = "down"
      const gate = (yield* breakerOn(store, circuit)).gate
      const step = new Command(gate.space, "a", { op: "isolate" })
      assert.deepInclude(yield* Effect.flip(guard.commit([step])), { _tag: "StoreError", reason: "unavailable" })
    })
  )

  it.effect("is done by a store that is there, for the calls that wait too", () =>
    Effect.gen(function* () {
      const { store } = yield* remote
      const limiter = yield* limiterOn(store, limit)
      const breaker = yield* breakerOn(store, circuit)
      yield* limiter.acquire("a", { cost: 2 })
      yield* limiter.reset("a")
      yield* limiter.acquire("a", { cost: 2 })
      yield* breaker.isolate()
      assert.strictEqual((yield* breaker.state()).state, "Isolated")
      yield* breaker.close()
      yield* breaker.execute(Effect.void)
    })
  )
})

describe("a value that cannot be read", () => {
  const damaged = Effect.fail(new Rejection.StoreError({ reason: "damaged", cause: "garbage" }))
  const onDamaged = <const P extends Policies.Policies>(policies: P & Policies.Known<P>) =>
    Effect.gen(function* () {
      const { store } = yield* remote
      const broken: Store["Service"] = {
        ...store,
        commit: (steps) => (steps.some(({ key }) => key === "ada") ? damaged : store.commit(steps)),
        read: (space, key) => (key === "ada" ? damaged : store.read(space, key))
      }
      const events: Array<Event.Event> = []
      const service = yield* Effect.provideService(Resilience.makeFromStore<P>("app/orders", policies), Store, broken)
      return { service, events, sink: (event: Event.Event) => void events.push(event) }
    })

  it.effect("is this key's StoreError, and no outage", () =>
    Effect.gen(function* () {
      const { events, service, sink } = yield* onDamaged({ rateLimiter: limit, store: { onError: "fail" } })
      const seen: Array<string> = []
      for (const key of ["ada", "bob", "ada", "bob"]) {
        const exit = yield* Effect.exit(
          Effect.provideService(service.resilient(Effect.void, key), Event.EventSink, sink)
        )
        seen.push(exit._tag)
      }
      assert.deepStrictEqual(seen, ["Failure", "Success", "Failure", "Success"])
      assert.deepInclude(yield* Effect.flip(service.inspect("ada")), { _tag: "StoreError", reason: "damaged" })
      assert.isFalse(events.some(({ _tag }) => _tag === "StoreFlipped"))
    })
  )

  it.effect("is decided here, by this key's own limit, where outages are", () =>
    Effect.gen(function* () {
      const { events, service, sink } = yield* onDamaged({ rateLimiter: limit })
      const call = Effect.provideService(service.resilient(Effect.void, "ada"), Event.EventSink, sink)
      assert.deepStrictEqual(
        [yield* Effect.exit(call), yield* Effect.exit(call), yield* Effect.exit(call)].map(({ _tag }) => _tag),
        ["Success", "Success", "Failure"]
      )
      assert.isFalse(events.some(({ _tag }) => _tag === "StoreFlipped"))
    })
  )
})
