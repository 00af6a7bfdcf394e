import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Bulkhead, CircuitBreaker, type Policies, RateLimiter, Retry } from "effect-resilience"
import { type Law, PolicyLaws } from "effect-resilience-testing"
import { brokenPolicies, sound } from "./brokenPolicies.ts"
import { seed } from "./seed.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const keys = ["acme", "other"].flatMap((tenant) => [
  { tenant, user: "ada" },
  { tenant, user: "bob" }
])

const places = ["in this process", "on a remote store"] as const

type Drawn = Policies.Policies

/** The library's own policies, each there or not, with small numbers. */
const lists: Arbitrary.Arbitrary<Drawn> = Arbitrary.map(
  Arbitrary.all({ bits: int(0, 2 ** 11 - 1), size: int(1, 4), millis: int(1, 300), wait: int(0, 300) }),
  ({ bits, millis, size, wait }): Drawn => {
    const has = (bit: number) => (bits & (1 << bit)) > 0
    const waits = { maxWait: has(10) ? wait : 0 }
    const limit = RateLimiter.tokenBucket({ limit: size, window: 4 * millis, ...waits })
    const ofTenant = RateLimiter.slidingWindow({ limit: 2 * size, window: 3 * millis, ...waits })
    const circuit = { tripPolicy: CircuitBreaker.consecutive(size), openDuration: millis }
    const bulkhead = { maxConcurrent: size, ...waits }
    return {
      ...(has(0) && {
        circuitBreaker: has(1) ? CircuitBreaker.policy({ ...circuit, by: "tenant" }) : CircuitBreaker.policy(circuit)
      }),
      ...(has(2) && { rateLimiter: has(3) ? RateLimiter.every({ user: limit, tenant: ofTenant }) : limit }),
      ...(has(4) && { bulkhead: has(5) ? Bulkhead.policy({ ...bulkhead, by: "tenant" }) : Bulkhead.policy(bulkhead) }),
      ...(has(6) && { retry: Retry.policy({ maxAttempts: 1 + size }) }),
      ...(has(7) && { timeout: 2 * millis }),
      ...(has(8) && { attemptTimeout: millis }),
      admission: has(9) ? "attempt" : "call"
    }
  }
)

/** The names of the laws that do not hold. */
const brokenBy = (laws: ReadonlyArray<Law.Law>) =>
  Effect.map(
    Effect.forEach(laws, ({ check, name }) =>
      check.pipe(
        Effect.as([]),
        Effect.catchTag("LawViolation", () => Effect.succeed([name]))
      )
    ),
    (all) => all.flat()
  )

describe(`the laws of policies hold (LAWS_SEED=${seed})`, () => {
  it.effect.prop(
    "over random lists of the library's own policies",
    { policies: lists },
    ({ policies }) => Effect.forEach(PolicyLaws.laws({ policies, keys, seed, effort: 0.1 }), ({ check }) => check),
    { timeout: 240_000, arbitrary: { runs: 40, seed } }
  )
})

describe(`the laws of policies catch (LAWS_SEED=${seed})`, () => {
  it.effect("no mistake of a policy that makes none", () =>
    Effect.gen(function* () {
      const laws = PolicyLaws.laws({ policies: { policies: { sound } }, seed, effort: 0.5 })
      assert.deepStrictEqual(yield* brokenBy(laws), [])
    })
  )
  for (const { breaks, mistake, policy, where } of brokenPolicies) {
    it.effect(`a policy that ${mistake}: ${breaks}`, () =>
      Effect.gen(function* () {
        const expected = (where === undefined ? places : [where]).map((where) => `${breaks} (${where})`)
        const laws = PolicyLaws.laws({ policies: { policies: { broken: policy } }, seed })
        assert.deepStrictEqual(yield* brokenBy(laws.filter(({ name }) => expected.includes(name))), expected)
      })
    )
  }
})
