import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit } from "effect"
import { Backoff, Rejection, Resilience } from "effect-resilience"
import { Arbitraries, World } from "effect-resilience-testing"

const sample = <A>(arbitrary: Arbitrary.Arbitrary<A>) => Arbitrary.sampleEffect(arbitrary, { count: 400, seed: 1 })

describe("arbitraries", () => {
  it.effect("make every kind of policy", () =>
    Effect.gen(function* () {
      const limits = new Set((yield* sample(Arbitraries.limit)).map(({ _tag }) => _tag))
      assert.deepStrictEqual([...limits].sort(), [
        "FixedWindow",
        "LeakyBucket",
        "SlidingLog",
        "SlidingWindow",
        "TokenBucket"
      ])
      const backoffs = yield* sample(Arbitraries.backoff)
      assert.isTrue(backoffs.every(Backoff.isBackoff))
      assert.strictEqual(new Set(backoffs.map(({ _tag }) => _tag)).size, 5)
      const policies = yield* sample(Arbitraries.policies)
      for (const name of ["timeout", "attemptTimeout", "circuitBreaker", "rateLimiter", "bulkhead", "retry"] as const) {
        const with_ = policies.filter((policy) => policy[name] !== undefined).length
        assert.isTrue(with_ > 100 && with_ < 300, `${name} in ${with_} of 400`)
      }
      assert.isTrue(policies.some(({ rateLimiter }) => (rateLimiter?.maxWait ?? 0) > 0))
    })
  )

  it.effect("make every outcome and every behaviour", () =>
    Effect.gen(function* () {
      assert.strictEqual(new Set(yield* sample(Arbitraries.outcome)).size, 4)
      const behaviours = yield* sample(Arbitraries.behaviour)
      assert.strictEqual(new Set(behaviours.map(({ ends }) => ends)).size, 4)
      assert.isTrue(behaviours.some(({ millis }) => millis === 0) && behaviours.some(({ millis }) => millis > 1_000))
    })
  )

  it.effect("shrink to the simplest policy that still fails", () =>
    Effect.gen(function* () {
      const result = yield* Arbitrary.checkEffect(Arbitraries.policies, (policies) => policies.retry === undefined, {
        seed: 1
      })
      if (result._tag !== "Falsified") return assert.fail(result._tag)
      const { retry, ...others } = result.shrunkInput
      assert.strictEqual(retry?.maxAttempts, 1)
      assert.deepStrictEqual(
        Object.values(others).filter((part) => part !== undefined),
        ["call"]
      )
    })
  )

  it("a behaviour does what it says, when it says", () => {
    const ended = (behaviour: Arbitraries.Behaviour) => {
      const world = new World.World()
      const fiber = world.fork(Arbitraries.run(behaviour))
      world.advance(behaviour.millis - 1)
      const early = fiber.pollUnsafe()
      world.advance(1)
      return [early, fiber.pollUnsafe()] as const
    }
    assert.deepStrictEqual(ended({ millis: 9, ends: "success" }), [undefined, Exit.succeed("done" as const)])
    assert.deepStrictEqual(ended({ millis: 9, ends: "failure" }), [undefined, Exit.fail("failed" as const)])
    assert.deepStrictEqual(ended({ millis: 9, ends: "never" }), [undefined, undefined])
    const [, died] = ended({ millis: 9, ends: "defect" })
    assert.isTrue(died !== undefined && Exit.hasDies(died))
  })

  it.effect.prop(
    "whatever the policies, a call ends with its own result, or with an error of a policy that is there",
    { policies: Arbitraries.policies, behaviours: Arbitrary.array(Arbitraries.behaviour, { maxLength: 8 }) },
    ({ behaviours, policies }) =>
      Effect.sync(() => {
        const world = new World.World()
        const api = world.get(Resilience.make("test/Api", policies))
        const fibers = behaviours.map((behaviour) => {
          const fiber = world.fork(api.resilient(Arbitraries.run(behaviour), "key"))
          world.advance(100)
          return fiber
        })
        world.advance(600_000)
        const mayRaise: Record<string, unknown> = {
          RateLimitExceeded: policies.rateLimiter,
          CircuitOpen: policies.circuitBreaker,
          BulkheadFull: policies.bulkhead,
          TimeoutExceeded: policies.timeout ?? policies.attemptTimeout
        }
        for (const fiber of fibers) {
          const exit = fiber.pollUnsafe()
          if (exit === undefined) {
            // only what hangs, with nothing to end it, or what stands behind it
            assert.isTrue(behaviours.some(({ ends }) => ends === "never") && policies.timeout === undefined)
          } else if (Exit.isFailure(exit)) {
            const error: unknown = exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error
            if (Rejection.isRejection(error) || error instanceof Rejection.TimeoutExceeded) {
              assert.isDefined(mayRaise[error._tag], error._tag)
            } else if (error !== undefined) assert.strictEqual(error, "failed")
          } else assert.strictEqual(exit.value, "done")
        }
      }),
    { arbitrary: { runs: 300 } }
  )
})
