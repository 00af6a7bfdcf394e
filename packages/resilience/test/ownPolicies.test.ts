/**
 * A user's own policies, under labels of `policies`: in the admission, in the inspection and in the control of a service.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { Bulkhead, CircuitBreaker, Policy, RateLimiter, Rejection, Resilience, Retry } from "../src/index.ts"
import { memory } from "../src/internal/memoryStore.ts"
import type { Policies } from "../src/Policies.ts"
import { compose, fromPolicies } from "../src/resilience/compose.ts"
import { refusal } from "./refusal.ts"

class SwitchedOff extends Rejection.Rejection {
  readonly _tag = "SwitchedOff"
  readonly policy = "switch"
  readonly reason = "off"
}

interface Switch extends Policy.Policy<
  SwitchedOff,
  unknown,
  never,
  { readonly on: boolean; readonly key: unknown },
  { readonly set: (on: boolean) => void }
> {
  readonly options: { readonly on: boolean }
}

const onOff = (on: boolean): Switch =>
  Policy.make<Switch>({
    kind: "switch",
    options: { on },
    open({ service }) {
      let { on } = this.options
      const enter = ({ name }: Policy.Call): Policy.Ticket => ({
        steps: [],
        check: () => on,
        refusal: () => (on ? undefined : { error: new SwitchedOff({ service, key: name }) }),
        admitted: () => {}
      })
      return {
        kind: "switch",
        stage: Policy.Stage.shed,
        enter,
        inspect: (key) => Effect.sync(() => ({ on, key })),
        control: { set: (to: boolean) => void (on = to) }
      }
    }
  })

const layered = (kind: string, stage: number): Policy.Policy =>
  Policy.make<Policy.Policy>({
    kind,
    options: {},
    open: () => ({ kind, stage, around: (next) => next })
  })

const limit = RateLimiter.tokenBucket({ limit: 3, window: "1 hour" })
const circuit = (failures: number) =>
  CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(failures), openDuration: "1 minute", by: "key" })

describe("a policy under a label", () => {
  it.effect("refuses with its own error, and what the others would have given is not spent", () =>
    Effect.gen(function* () {
      const { control, inspect, resilient } = yield* Resilience.make("app", {
        rateLimiter: limit,
        policies: { mail: onOff(false), push: onOff(true) }
      })
      let ran = 0
      const call = resilient(
        Effect.sync(() => ++ran),
        "ada"
      )
      const error = yield* Effect.flip(call)
      assert.instanceOf(error, SwitchedOff)
      assert.deepInclude(error, { service: "app", key: "ada" })
      assert.strictEqual((yield* inspect("ada")).rateLimiter?.remaining, 3)
      control.mail.set(true)
      assert.strictEqual(yield* call, 1)
      control.push.set(false)
      assert.instanceOf(yield* Effect.flip(call), SwitchedOff)
      assert.strictEqual((yield* inspect("ada")).rateLimiter?.remaining, 2)
    })
  )

  it.effect("is inspected under it, and ours are undefined where they are not configured", () =>
    Effect.gen(function* () {
      const { inspect } = yield* Resilience.make("app", {
        retry: Retry.policy(),
        policies: { mail: onOff(false), nothing: layered("nothing", Policy.Stage.chaos) }
      })
      assert.deepStrictEqual(yield* inspect("ada"), {
        rateLimiter: undefined,
        circuitBreaker: undefined,
        bulkhead: undefined,
        mail: { on: false, key: "ada" }
      })
    })
  )

  it.effect("of the library has a state of its own beside that of the field", () =>
    Effect.gen(function* () {
      const { inspect, resilient } = yield* Resilience.make("app", {
        rateLimiter: limit,
        circuitBreaker: circuit(2),
        policies: {
          hourly: RateLimiter.tokenBucket({ limit: 5, window: "1 hour" }),
          cautious: circuit(1),
          slots: Bulkhead.policy({ maxConcurrent: 7 })
        }
      })
      yield* Effect.exit(resilient(Effect.fail("down"), "ada"))
      const seen = yield* inspect("ada")
      assert.deepStrictEqual([seen.rateLimiter?.remaining, seen.hourly?.remaining, seen.slots?.free], [2, 4, 7])
      assert.deepStrictEqual([seen.circuitBreaker?.state, seen.cautious?.state], ["Closed", "Open"])
    })
  )
})

it("each policy has a name of its own in a store, and those of the fields the ones that they had", () => {
  const names = (id: string, policies: Policies) =>
    compose(fromPolicies(id, policies), memory).spaces.map(({ name }) => name)
  assert.deepStrictEqual(
    names("app", {
      circuitBreaker: circuit(2),
      rateLimiter: limit,
      policies: { "a/b~": limit, cautious: circuit(1), each: RateLimiter.every({ "x/y": limit }) }
    }),
    ["app/circuitBreaker", "app/cautious~2circuitBreaker", "app/limit", "app/a~1b~0~2limit", "app/each~2x~1y"]
  )
})

describe("the control of a service", () => {
  it.effect("has what one does to a circuit and a limiter by hand, by key", () =>
    Effect.gen(function* () {
      const { control, inspect, resilient } = yield* Resilience.make("app", {
        rateLimiter: limit,
        circuitBreaker: circuit(1),
        bulkhead: Bulkhead.policy({ maxConcurrent: 1 }),
        retry: Retry.policy({ maxAttempts: 1 })
      })
      assert.deepStrictEqual(Object.keys(control).toSorted(), ["circuitBreaker", "rateLimiter"])
      const state = (key: string) => Effect.map(inspect(key), ({ circuitBreaker }) => circuitBreaker?.state)
      yield* control.circuitBreaker.isolate("ada")
      assert.deepStrictEqual([yield* state("ada"), yield* state("bob")], ["Isolated", "Closed"])
      const refused = yield* Effect.flip(resilient(Effect.void, "ada"))
      assert.strictEqual(refused._tag, "CircuitOpen")
      yield* control.circuitBreaker.close("ada")
      yield* resilient(Effect.void, "ada")
      assert.strictEqual((yield* inspect("ada")).rateLimiter?.remaining, 2)
      yield* control.rateLimiter.reset("ada")
      assert.strictEqual((yield* inspect("ada")).rateLimiter?.remaining, 3)
      yield* Effect.exit(resilient(Effect.fail("down"), "ada"))
      assert.strictEqual(yield* state("ada"), "Open")
      yield* control.circuitBreaker.reset("ada")
      assert.strictEqual(yield* state("ada"), "Closed")
    })
  )
})

describe("a service refuses, by label,", () => {
  const make = (policies: object) => refusal(() => Resilience.make("app", policies as {}))

  it("a second retry, hedge or timeout", () => {
    const again = { policies: { again: Retry.policy() } }
    assert.strictEqual(make(again), "accepted")
    assert.include(make({ retry: Retry.policy(), ...again }), "Resilience: policies.again cannot stand beside retry")
    const { timeout, attemptTimeout, hedge } = Policy.Stage
    for (const [field, stage] of [
      ["timeout", timeout],
      ["attemptTimeout", attemptTimeout]
    ] as const) {
      const own = { policies: { own: layered("own", stage) } }
      assert.strictEqual(make(own), "accepted")
      assert.include(make({ [field]: 5, ...own }), `Resilience: policies.own cannot stand beside ${field}`)
    }
    const two = { one: layered("one", hedge), two: layered("two", hedge) }
    assert.include(make({ policies: two }), "Resilience: policies.two cannot stand beside one")
    const chaos = { one: layered("one", Policy.Stage.chaos), two: layered("two", Policy.Stage.chaos) }
    assert.strictEqual(make({ timeout: 5, attemptTimeout: 5, policies: chaos }), "accepted")
  })

  it("a label that is the name of a field", () => {
    for (const label of ["rateLimiter", "circuitBreaker", "bulkhead", "retry", "timeout", "store", "policies"]) {
      assert.include(
        make({ policies: { [label]: onOff(true) } }),
        `Resilience: policies.${label} has a field of its own`
      )
    }
  })

  it("what is no record of policies", () => {
    for (const policies of [[onOff(true)], "mail", null]) {
      assert.include(make({ policies }), "Resilience: policies must be a record of policies")
    }
  })
})

it("a policy that opens into nothing lets every call through", () => {
  const none = Policy.make<Policy.Policy>({ kind: "none", options: {}, open: () => [] })
  const call = Effect.flatMap(Resilience.make("app", { policies: { none } }), ({ resilient }) =>
    resilient(Effect.succeed(1), "k")
  )
  assert.deepStrictEqual(Effect.runSyncExit(call), Exit.succeed(1))
})
