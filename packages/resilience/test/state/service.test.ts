/** Errors say which service raised them, and a rejection of any policy is read by its fields. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Metric } from "effect"
import { TestClock } from "effect/testing"
import {
  Backoff,
  Bulkhead,
  CircuitBreaker,
  Event,
  Outcome,
  RateLimiter,
  Rejection,
  RemoteStore,
  Resilience,
  Retry,
  Store,
  Telemetry
} from "../../src/index.ts"
import { isolated } from "../watching.ts"

const one = RateLimiter.tokenBucket({ limit: 1, window: "1 minute" })
const first = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" })

/** What a caller can read of each rejection, whichever policy it is of. */
const read = (error: Rejection.Rejection) => {
  assert.isTrue(error instanceof Rejection.Rejection)
  const { key, policy, reason, retryAfterMillis, service } = error
  return { service, policy, reason, key, retryAfterMillis }
}

describe("a rejection says its service, policy, reason, key and time", () => {
  it.effect("of a rate limiter", () =>
    Effect.gen(function* () {
      const service = yield* Resilience.make("app/Api", { rateLimiter: one })
      yield* service.resilient(Effect.void, "ada")
      const error = yield* Effect.flip(service.resilient(Effect.void, "ada"))
      assert.deepStrictEqual(read(error), {
        service: "app/Api",
        policy: "rateLimiter",
        reason: "limit",
        key: "ada",
        retryAfterMillis: 60_000
      })
      assert.deepStrictEqual(error.retryAfter, Duration.minutes(1))
    })
  )

  it.effect("of a circuit breaker, whose reason is its state", () =>
    Effect.gen(function* () {
      const service = yield* Resilience.make("app/Api", { circuitBreaker: first })
      yield* Effect.exit(service.resilient(Effect.fail("down"), "ada"))
      const error = yield* Effect.flip(service.resilient(Effect.void, "ada"))
      assert.deepStrictEqual(read(error), {
        service: "app/Api",
        policy: "circuitBreaker",
        reason: "Open",
        key: "app/Api",
        retryAfterMillis: 60_000
      })
      assert.strictEqual(error.state, "Open")
    })
  )

  it.effect("of a bulkhead, which knows no time", () =>
    Effect.gen(function* () {
      const service = yield* Resilience.make("app/Api", { bulkhead: Bulkhead.policy({ maxConcurrent: 1 }) })
      yield* Effect.forkChild(service.resilient(Effect.never, "ada"), { startImmediately: true })
      const error = yield* Effect.flip(service.resilient(Effect.void, "bob"))
      assert.deepStrictEqual(read(error), {
        service: "app/Api",
        policy: "bulkhead",
        reason: "full",
        key: "bob",
        retryAfterMillis: undefined
      })
      assert.isUndefined(error.retryAfter)
    })
  )

  it.effect("of a service that stands alone: a limiter, a circuit and a bulkhead", () =>
    Effect.gen(function* () {
      class Limiter extends RateLimiter.Service<Limiter>()("app/Limiter", one) {}
      class Circuit extends CircuitBreaker.Service<Circuit>()("app/Circuit", first) {}
      class Slots extends Bulkhead.Service<Slots>()("app/Slots", Bulkhead.policy({ maxConcurrent: 1 })) {}
      const services = yield* Effect.provide(
        Effect.gen(function* () {
          const limiter = yield* Limiter
          yield* limiter.acquire("ada")
          const circuit = yield* Circuit
          yield* Effect.exit(circuit.execute(Effect.fail("down")))
          const slots = yield* Slots
          yield* Effect.forkChild(slots.execute(Effect.never), { startImmediately: true })
          const refused = [limiter.acquire("ada"), circuit.execute(Effect.void), slots.execute(Effect.void)] as const
          return yield* Effect.forEach(refused, (call) =>
            Effect.flip(call as Effect.Effect<unknown, Rejection.Rejection>)
          )
        }),
        Layer.mergeAll(Limiter.layer, Circuit.layer, Slots.layer)
      )
      assert.deepStrictEqual(
        services.map(({ service }) => service),
        ["app/Limiter", "app/Circuit", "app/Slots"]
      )
    })
  )
})

describe("a store's error says which service asked", () => {
  const down = new Rejection.StoreError({ reason: "unavailable", cause: "ECONNREFUSED" })
  const away = RemoteStore.make({
    commit: () => Effect.fail(down),
    read: () => Effect.fail(down),
    clear: () => Effect.fail(down)
  })
  const on = { store: { onError: "fail", deadline: "1 second" } } as const
  const service = (policies: object) =>
    Effect.gen(function* () {
      class Api extends Resilience.Service<Api>()("app/Api", { ...on, rateLimiter: one, ...policies }) {}
      return yield* Effect.provide(Api, Layer.provide(Api.layerFromStore, Layer.succeed(Store.Store, away)))
    })

  it.effect("and about which key, with the store's own cause", () =>
    Effect.gen(function* () {
      assert.strictEqual(down.service, "")
      const api = yield* service({})
      for (const failing of [api.resilient(Effect.void, "ada"), api.inspect("ada")]) {
        const error = yield* Effect.flip(failing as Effect.Effect<unknown, Rejection.Rejection>)
        assert.deepStrictEqual(read(error), {
          service: "app/Api",
          policy: "store",
          reason: "unavailable",
          key: "ada",
          retryAfterMillis: undefined
        })
        assert.strictEqual(error.cause, "ECONNREFUSED")
      }
    })
  )

  it.effect("the key is the only one of those that were asked, or else the service's id", () =>
    Effect.gen(function* () {
      const keyOf = (policies: object, key: string | { readonly [part: string]: string }) =>
        Effect.flatMap(service(policies), ({ resilient }) =>
          Effect.map(Effect.flip(resilient(Effect.void, key as string)), (error) => read(error).key)
        )
      assert.strictEqual(yield* keyOf({ circuitBreaker: first }, "ada"), "ada")
      assert.strictEqual(yield* keyOf({ rateLimiter: RateLimiter.shared(one) }, "ada"), "app/Api")
      const every = RateLimiter.every({ user: one, tenant: one })
      assert.strictEqual(yield* keyOf({ rateLimiter: every }, { user: "ada", tenant: "acme" }), "app/Api")
      assert.strictEqual(yield* keyOf({ rateLimiter: every }, { user: "ada", tenant: "ada" }), "ada")
    })
  )

  it.effect("two services on one store are told apart", () =>
    Effect.gen(function* () {
      class Ours extends RateLimiter.Service<Ours>()("app/Ours", one) {}
      class Theirs extends RateLimiter.Service<Theirs>()("app/Theirs", one) {}
      const layers = Layer.mergeAll(Ours.layerFromStore, Theirs.layerFromStore)
      const resets = Effect.gen(function* () {
        const all = [yield* Ours, yield* Theirs]
        return yield* Effect.forEach(all, ({ reset }) => Effect.flip(reset()))
      })
      const errors = yield* Effect.provide(resets, Layer.provide(layers, Layer.succeed(Store.Store, away)))
      assert.deepStrictEqual(
        errors.map(({ key, service }) => [service, key]),
        [
          ["app/Ours", "app/Ours"],
          ["app/Theirs", "app/Theirs"]
        ]
      )
    })
  )
})

describe("a failure says its service as well, and is no rejection", () => {
  const backoff = Backoff.constant(0)
  const failing = (policies: object) =>
    Effect.flatMap(Resilience.make("app/Api", policies as { readonly timeout: number }), ({ resilient }) =>
      Effect.flip(resilient(Effect.delay(Effect.fail("down"), "1 minute"), "ada"))
    )
  const policies = {
    "a timeout of the call": { timeout: 5 },
    "a timeout of an attempt": { attemptTimeout: 5 },
    "a call that is out of attempts": {
      attemptTimeout: 5,
      retry: Retry.policy({ maxAttempts: 2, backoff, onExhausted: "wrap" })
    }
  } as const
  for (const [name, parts] of Object.entries(policies)) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const call = yield* Effect.forkChild(failing(parts), { startImmediately: true })
        yield* TestClock.adjust("1 hour")
        const error: unknown = yield* Fiber.join(call)
        assert.isTrue(error instanceof Rejection.TimeoutExceeded || error instanceof Rejection.RetryExhausted)
        assert.deepInclude(error, { service: "app/Api", key: "ada" })
        assert.isFalse(Rejection.isRejection(error))
      })
    )
  }
})

describe("the error of a policy of one's own", () => {
  class OverBudget extends Rejection.Rejection {
    readonly _tag = "OverBudget"
    readonly policy = "dailyBudget"
    readonly reason = "spent"
  }
  const error = new OverBudget({ service: "app/Search", key: "acme", retryAfterMillis: 5 })

  it("is an Error without a captured stack, says what it is, and survives JSON", () => {
    assert.instanceOf(error, Error)
    assert.isTrue(Rejection.isRejection(error))
    const { get, value } = Object.getOwnPropertyDescriptor(error, "stack")!
    assert.deepStrictEqual([typeof get, value], ["function", undefined], "computed when it is read")
    assert.strictEqual(error.stack, `OverBudget: ${error.message}`)
    assert.strictEqual(error.message, "dailyBudget refused acme (spent); may try again after 5 ms")
    assert.deepStrictEqual(JSON.parse(JSON.stringify(error)), {
      _tag: "OverBudget",
      service: "app/Search",
      policy: "dailyBudget",
      reason: "spent",
      key: "acme",
      retryAfterMillis: 5,
      message: error.message
    })
    assert.deepStrictEqual(error.retryAfter, Duration.millis(5))
  })

  it("says in JSON what getters know", () => {
    const open = new Rejection.CircuitOpen({ key: "k", state: "HalfOpen", retryAfterMillis: 1 })
    assert.include(JSON.parse(JSON.stringify(open)), {
      policy: "circuitBreaker",
      reason: "HalfOpen",
      state: "HalfOpen"
    })
  })

  it.effect("counts for no circuit and is not retried, and its retryAfter is honoured where it is", () =>
    Effect.gen(function* () {
      assert.strictEqual(Outcome.fromExit(Exit.fail(error)), "ignored")
      assert.strictEqual(Outcome.fromExit(Exit.failCause(Cause.fail(new Error("other")))), "failure")
      const tries = (retry: Retry.Policy<unknown, "last">) =>
        Effect.gen(function* () {
          let runs = 0
          const call = Effect.suspend(() => (runs++, Effect.fail(error)))
          yield* Effect.exit(Retry.execute(call, retry))
          return runs
        })
      const policy = { maxAttempts: 2, backoff: Backoff.constant(0) }
      assert.strictEqual(yield* tries(Retry.policy(policy)), 1)
      assert.strictEqual(Retry.policy(policy).hintOf(error as never), 5)
    })
  )

  it.effect("is counted by its policy and reason", () =>
    isolated(
      Effect.gen(function* () {
        const sink = yield* Event.EventSink
        yield* Effect.withFiber((fiber) => {
          sink!({ _tag: "Rejected", service: "app/Search", key: "acme", attempt: 1, rejection: error }, fiber)
          return Effect.void
        })
        const series = (yield* Metric.snapshot).filter(({ id }) => id === "resilience_rejections_total")
        assert.deepStrictEqual(
          series.map(({ attributes }) => attributes),
          [{ service: "app/Search", policy: "dailyBudget", reason: "spent" }]
        )
      }).pipe(Effect.provide(Telemetry.layer({ spans: false, logs: false })))
    )
  )
})
