/** Two services of one id on one store: one service where their policies are the same, else a mistake. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Scope } from "effect"
import { CircuitBreaker, RateLimiter, Rejection, Resilience } from "../../src/index.ts"
import { layerMemory, Store } from "../../src/Store.ts"

const ten = RateLimiter.tokenBucket({ limit: 10, window: "1 hour" })
const five = RateLimiter.tokenBucket({ limit: 5, window: "1 hour" })
const circuit = (failures: number) =>
  CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(failures), openDuration: "1 minute" })

/** What comes of building it, in a scope of its own. */
const build = <A>(effect: Effect.Effect<A, never, Store | Scope.Scope>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const exit = yield* Effect.exit(Scope.provide(effect, scope))
    return { exit, close: Scope.close(scope, Exit.void) }
  })

const refusalOf = <A>(exit: Exit.Exit<A>): unknown => (Exit.isFailure(exit) ? Cause.squash(exit.cause) : "built")

/** How a service is built on a store, with one policy and with another. */
const ways: Readonly<
  Record<
    string,
    readonly [
      one: Effect.Effect<unknown, never, Store | Scope.Scope>,
      other: Effect.Effect<unknown, never, Store | Scope.Scope>
    ]
  >
> = {
  "Resilience.makeFromStore": [
    Resilience.makeFromStore("app", { rateLimiter: ten }),
    Resilience.makeFromStore("app", { rateLimiter: five })
  ],
  "a circuit, by the numbers that its timeout gives it": [
    Resilience.makeFromStore("app", { circuitBreaker: circuit(5), timeout: "1 second" }),
    Resilience.makeFromStore("app", { circuitBreaker: circuit(5), timeout: "2 seconds" })
  ],
  "one limit of several": [
    Resilience.makeFromStore("app", { rateLimiter: RateLimiter.every({ user: ten, tenant: ten }) }),
    Resilience.makeFromStore("app", { rateLimiter: RateLimiter.every({ user: ten, tenant: five }) })
  ],
  "another algorithm": [
    Resilience.makeFromStore("app", { rateLimiter: ten }),
    Resilience.makeFromStore("app", { rateLimiter: RateLimiter.fixedWindow({ limit: 10, window: "1 hour" }) })
  ],
  "Resilience.layerFromStore": [
    Layer.build(Resilience.layerFromStore({ rateLimiter: ten })),
    Layer.build(Resilience.layerFromStore({ rateLimiter: five }))
  ],
  "RateLimiter.makeFromStore": [RateLimiter.makeFromStore(ten), RateLimiter.makeFromStore(five)],
  "RateLimiter.layerFromStore": [
    Layer.build(RateLimiter.layerFromStore(ten)),
    Layer.build(RateLimiter.layerFromStore(five))
  ],
  "CircuitBreaker.makeFromStore": [CircuitBreaker.makeFromStore(circuit(5)), CircuitBreaker.makeFromStore(circuit(6))],
  "CircuitBreaker.layerFromStore": [
    Layer.build(CircuitBreaker.layerFromStore(circuit(5))),
    Layer.build(CircuitBreaker.layerFromStore(circuit(6)))
  ]
}

describe("two services of one id on one store", () => {
  for (const [way, [one, other]] of Object.entries(ways)) {
    it.effect(`are refused with two policies while both are open, and not one after the other: ${way}`, () =>
      Effect.gen(function* () {
        const first = yield* build(one)
        assert.isTrue(Exit.isSuccess(first.exit))
        const same = yield* build(one)
        assert.isTrue(Exit.isSuccess(same.exit), "the same policy is the same service")
        const refused = refusalOf((yield* build(other)).exit)
        assert.instanceOf(refused, Rejection.InvalidPolicyError)
        assert.deepInclude(refused, { parameter: "id" })
        assert.include(String(refused), "is open on this store with another policy")
        yield* first.close
        assert.instanceOf(refusalOf((yield* build(other)).exit), Rejection.InvalidPolicyError, "one is still open")
        yield* same.close
        const next = yield* build(other)
        assert.isTrue(Exit.isSuccess(next.exit), "a change of policy")
        yield* next.close
      }).pipe(Effect.provide(layerMemory))
    )
  }

  it.effect("a service that is refused leaves no trace", () =>
    Effect.gen(function* () {
      const limits = (user: RateLimiter.Limit, tenant: RateLimiter.Limit) =>
        Resilience.makeFromStore("app", { rateLimiter: RateLimiter.every({ user, tenant }) })
      const tenant = yield* build(Resilience.makeFromStore("app", { rateLimiter: RateLimiter.every({ tenant: ten }) }))
      const refused = yield* build(limits(five, five))
      assert.instanceOf(refusalOf(refused.exit), Rejection.InvalidPolicyError)
      yield* refused.close
      assert.isTrue(Exit.isSuccess((yield* build(limits(ten, ten))).exit))
      yield* tenant.close
    }).pipe(Effect.provide(layerMemory))
  )

  it.effect("are two on two stores, and in memories of their own", () =>
    Effect.gen(function* () {
      const stores = yield* Effect.all([Store, Store].map((store) => Effect.provide(store, Layer.fresh(layerMemory))))
      for (const [i, store] of stores.entries()) {
        const made = yield* build(
          Effect.provideService(Resilience.makeFromStore("app", { rateLimiter: i === 0 ? ten : five }), Store, store)
        )
        assert.isTrue(Exit.isSuccess(made.exit))
      }
      yield* Resilience.make("app", { rateLimiter: ten })
      yield* Resilience.make("app", { rateLimiter: five })
    }).pipe(Effect.provide(layerMemory))
  )
})
