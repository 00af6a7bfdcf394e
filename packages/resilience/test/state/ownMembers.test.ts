/** Members of a user's own policies beside those of the library: what they share, and what they must not. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Layer } from "effect"
import { Bulkhead, Policy, RateLimiter, type Rejection, Resilience, resilient, Retry } from "../../src/index.ts"
import { memory } from "../../src/internal/memoryStore.ts"
import { compose, fromPolicies } from "../../src/resilience/compose.ts"

const opened = (member: Omit<Policy.Member, "kind">): Policy.Policy =>
  Policy.make<Policy.Policy>({ kind: "own", options: {}, open: () => ({ kind: "own", ...member }) })

describe("what one does by hand to a policy of one's own", () => {
  class Counter {
    count = 0
    add() {
      this.count++
    }
    get twice() {
      return 2 * this.count
    }
  }
  type Counted = Policy.Policy<never, unknown, never, undefined, Counter>

  it.effect("is what the policy made: with its methods, and getters that tell what is true now", () =>
    Effect.gen(function* () {
      const counted = opened({ stage: Policy.Stage.shed, control: new Counter() }) as Counted
      const { control } = yield* Resilience.make("app", { policies: { counted } })
      control.counted.add()
      assert.strictEqual(control.counted.twice, 2)
    })
  )
})

it("a policy of one's own has no space of a field, also where its label is the name of a limit", () => {
  const limit = RateLimiter.tokenBucket({ limit: 1, window: "1 hour" })
  const own = ["limit", "mail"].map((label) => Policy.spaceName({ service: "app", label }, label))
  for (const rateLimiter of [limit, RateLimiter.every({ mail: limit })]) {
    const names = compose(fromPolicies("app", { rateLimiter }), memory).spaces.map(({ name }) => name)
    assert.deepStrictEqual(
      names.filter((name) => own.includes(name)),
      []
    )
  }
})

describe("layerFrom", () => {
  class Own extends Context.Service<Own, Policy.PolicyService>()("test/Own") {}
  const plain: Policy.Ticket = { steps: [], check: () => true, refusal: () => undefined, admitted: () => {} }
  const gate = (stage: number): Policy.Member => ({ kind: "own", stage, enter: () => plain })
  const ownOf = (...members: ReadonlyArray<Policy.Member>) => Layer.succeed(Own, { members, store: undefined })
  const run = (layer: Layer.Layer<Resilience.Resilience>) =>
    Effect.exit(Effect.provide(resilient(Effect.succeed(1), "ada"), layer))

  it.effect("takes a service of several members of one kind", () =>
    Effect.gen(function* () {
      const layer = Resilience.layerFrom([Own]).pipe(Layer.provide(ownOf(gate(35), gate(55))))
      assert.deepStrictEqual(yield* run(layer), Exit.succeed(1))
    })
  )

  it.effect("refuses a second loop, and a second timeout", () =>
    Effect.gen(function* () {
      const { attemptTimeout, retry } = Policy.Stage
      const loop: Policy.Member = { kind: "own", stage: retry, around: (next) => next }
      const timer: Policy.Member = { kind: "own", stage: attemptTimeout, longest: 10 }
      const loops = Resilience.layerFrom([Own, Retry.Retry]).pipe(
        Layer.provide([ownOf(loop), Retry.layer(Retry.policy())])
      )
      const timers = Resilience.layerFrom([Own], { attemptTimeout: 20 }).pipe(Layer.provide(ownOf(timer)))
      const words = (layer: Layer.Layer<Resilience.Resilience>) =>
        Effect.map(
          run(layer),
          (exit) =>
            Exit.isSuccess(exit) ? "accepted" : (Cause.squash(exit.cause) as Rejection.InvalidPolicyError).message // nothing else fails
        )
      assert.include(yield* words(loops), "Resilience.layerFrom: Retry cannot stand beside own: one is the most")
      assert.include(
        yield* words(timers),
        "Resilience.layerFrom: Own cannot stand beside attemptTimeout: one is the most"
      )
    })
  )
})

describe("a layer of one's own that stands around the admission", () => {
  const bulkhead = Bulkhead.policy({ maxConcurrent: 3 })
  const again = (second: (attempt: Policy.Attempt) => Policy.Attempt) =>
    opened({
      stage: 20,
      around: (next) => (attempt, now) => Effect.catch(next(attempt, now), () => next(second(attempt), now))
    })

  it.effect("may run a further attempt, and no slot is left", () =>
    Effect.gen(function* () {
      const own = again(({ call, n }) => call.further(n + 1, 0))
      const { inspect, resilient } = yield* Resilience.make("app", { bulkhead, policies: { own } })
      assert.deepStrictEqual(yield* Effect.exit(resilient(Effect.fail("down"), "ada")), Exit.fail("down"))
      assert.strictEqual((yield* inspect("ada")).bulkhead?.running, 0)
    })
  )

  it.effect("is refused the same attempt twice, and no slot is left", () =>
    Effect.gen(function* () {
      const own = again((attempt) => attempt)
      const { inspect, resilient } = yield* Resilience.make("app", { bulkhead, policies: { own } })
      const exit = yield* Effect.exit(resilient(Effect.fail("down"), "ada"))
      assert.include(Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "", "An attempt runs once")
      assert.strictEqual((yield* inspect("ada")).bulkhead?.running, 0)
    })
  )
})
