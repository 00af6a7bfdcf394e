/** Bad input: what an executor says of it, word for word, since these words are all that its author gets. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { Bulkhead, CircuitBreaker, RateLimiter, Rejection, Resilience, Retry } from "../src/index.ts"

const messageOf = (make: () => unknown): string => {
  try {
    make()
  } catch (error) {
    assert.instanceOf(error, Rejection.InvalidPolicyError)
    return error.message
  }
  return "accepted"
}

describe("an executor of policies", () => {
  const of = (policies: object) => messageOf(() => Resilience.make("id", policies as never)) // bad on purpose

  it("says of each what it must be", () => {
    const limits = "TokenBucket, LeakyBucket, FixedWindow, SlidingWindow, SlidingLog, Kernel, Every, Unlimited"
    assert.deepStrictEqual(
      [
        messageOf(() => Resilience.make("", {})),
        of({ admission: "x" }),
        of({ store: { onError: "x" } }),
        of({ store: { onError: "fail", localShare: 0.5 } }),
        of({ rateLimiter: "x" }),
        of({ circuitBreaker: "x" }),
        of({ bulkhead: "x" }),
        of({ retry: "x" })
      ],
      [
        'Resilience: id must be a name (got "")',
        'Resilience: admission must be "call" or "attempt" (got "x")',
        'Resilience: store.onError must be "local", "allow" or "fail" (got "x")',
        'Resilience: store.localShare does nothing unless store.onError is "local" (got 0.5)',
        `Resilience: rateLimiter must be made by its module: ${limits} (got "x")`,
        'Resilience: circuitBreaker must be made by its module: CircuitBreaker (got "x")',
        'Resilience: bulkhead must be made by its module: Bulkhead (got "x")',
        'Resilience: retry must be a Retry.policy or a Retry.fromSchedule (got "x")'
      ]
    )
  })

  it.effect("refuses a key that is no string also where none of its policies looks at keys", () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("id", { timeout: "1 second" })
      let ran = false
      const call = resilient(
        Effect.sync(() => (ran = true)),
        { user: 5 } as unknown as string
      )
      const exit = yield* Effect.exit(call)
      assert.include(String(Exit.isFailure(exit) && exit.cause), "key: user must be a string")
      assert.isFalse(ran)
    })
  )

  it.effect("has no limiter where the policy is to have none", () =>
    Effect.gen(function* () {
      const { inspect } = yield* Resilience.make("id", { rateLimiter: RateLimiter.unlimited })
      assert.isUndefined((yield* inspect("a")).rateLimiter)
    })
  )
})

describe("an executor of services", () => {
  const services = Layer.mergeAll(
    RateLimiter.layer(RateLimiter.tokenBucket({ limit: 1, window: "1 second" })),
    CircuitBreaker.layer(CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: 1 })),
    Bulkhead.layer(Bulkhead.policy({ maxConcurrent: 1 })),
    Retry.layer(Retry.policy())
  )
  const tags = {
    RateLimiter: RateLimiter.RateLimiter,
    CircuitBreaker: CircuitBreaker.CircuitBreaker,
    Bulkhead: Bulkhead.Bulkhead,
    Retry: Retry.Retry
  }
  const built = (given: ReadonlyArray<unknown>) =>
    Effect.map(
      // what the types allow is not asked here
      Effect.exit(Effect.provide(Effect.void, Layer.provide(Resilience.layerFrom(given as never), services))),
      (exit) => {
        if (Exit.isSuccess(exit)) return "built"
        const died = exit.cause.reasons.find(Cause.isDieReason)
        return died?.defect instanceof Rejection.InvalidPolicyError ? died.defect.message : String(exit.cause)
      }
    )

  it.effect("takes one of each, in any order", () =>
    Effect.gen(function* () {
      const all = Object.values(tags)
      assert.deepStrictEqual(yield* Effect.forEach([all, all.toReversed(), [...all.slice(1), all[0]]], built), [
        "built",
        "built",
        "built"
      ])
    })
  )

  for (const [kind, tag] of Object.entries(tags)) {
    it.effect(`refuses a second ${kind}, by name`, () =>
      Effect.gen(function* () {
        const message = yield* built([tag, tag])
        assert.match(message, new RegExp(`^Resilience\\.layerFrom: ${kind} is given twice \\(got `))
      })
    )
  }
})
