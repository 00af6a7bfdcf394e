import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, Effect, Schema } from "effect"
import { Bulkhead, CircuitBreaker, Policy, type Policies, RateLimiter, Rejection, Retry } from "effect-resilience"
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

class Late extends Rejection.Rejection {
  readonly _tag = "Late"
  readonly policy = "untilNoon"
  readonly reason = "late"
}

/** Refuses in the afternoon, where both clocks say so. */
const untilNoon = Policy.make<Policy.Policy<Late>>({
  kind: "untilNoon",
  options: {},
  open: ({ service }) => ({
    kind: "untilNoon",
    stage: Policy.Stage.shed,
    enter(call) {
      const isMorning = (millis: number) => millis % 86_400_000 < 43_200_000
      let open = true
      return {
        steps: [],
        check(now) {
          open = isMorning(call.fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()) || isMorning(now)
          return open
        },
        refusal: () => (open ? undefined : { error: new Late({ service, key: call.name }) }),
        admitted() {}
      }
    }
  })
})

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

describe(`the laws of policies are about refusals (LAWS_SEED=${seed})`, () => {
  const named = "each policy refuses a call, so that the laws are about its refusals as well"
  const violations = (options: PolicyLaws.Options) =>
    Effect.forEach(
      PolicyLaws.laws({ seed, ...options }).filter(({ name }) => name.startsWith(named)),
      ({ check }) => Effect.flip(check)
    )

  it.effect("they fail where a policy refused no call, and name it", () =>
    Effect.gen(function* () {
      const idle = Bulkhead.policy({ maxConcurrent: 1_000 })
      const [here, remote, ...more] = yield* violations({ policies: { policies: { idle, sound } } })
      assert.deepStrictEqual([here?.law, remote?.law, more], [...places.map((where) => `${named} (${where})`), []])
      for (const violation of [here, remote]) assert.include(violation?.message, "No call was refused by idle, so")
    })
  )
  it.effect("they keep quiet where that is expected, and about layers", () =>
    Effect.gen(function* () {
      const idle = Bulkhead.policy({ maxConcurrent: 1_000 })
      const layer = Retry.policy({ maxAttempts: 2 })
      const laws = PolicyLaws.laws({
        policies: { policies: { idle, layer } },
        neverRefuse: ["idle"],
        seed,
        effort: 0.1
      })
      assert.deepStrictEqual(yield* brokenBy(laws), [])
    })
  )
  it.effect("they begin at `startsAt`, by the wall clock and by the monotonic clock", () =>
    Effect.gen(function* () {
      const noon = 43_200_000
      const policies = { policies: { morning: untilNoon } }
      const laws = (startsAt: number) => PolicyLaws.laws({ policies, startsAt, seed, effort: 0.2 })
      assert.deepStrictEqual(yield* brokenBy(laws(noon)), [])
      assert.deepStrictEqual(
        yield* brokenBy(laws(noon - 60_000)),
        places.map((where) => `${named} (${where})`)
      )
    })
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
