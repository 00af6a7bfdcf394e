/** Tickets of a user's own policy that throw, or whose reports die: what the others took goes back all the same. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, type Layer } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, CircuitBreaker, Policy, RateLimiter, Resilience, Retry, Store } from "../../src/index.ts"
import { remote } from "./remote.ts"

const plain: Policy.Ticket = { steps: [], check: () => true, refusal: () => undefined, admitted: () => {} }

const own = (stage: number, ticket: () => Partial<Policy.Ticket>): Policy.Policy =>
  Policy.make<Policy.Policy>({
    kind: "own",
    options: {},
    open: () => ({ kind: "own", stage, enter: () => ({ ...plain, ...ticket() }) })
  })

/** A layer that ends an attempt before the effect begins. */
const unbegun = Policy.make<Policy.Policy>({
  kind: "unbegun",
  options: {},
  open: () => ({ kind: "unbegun", stage: Policy.Stage.chaos, around: () => () => Effect.die("not begun") })
})

const bulkhead = Bulkhead.policy({ maxConcurrent: 1 })
const keyed = Bulkhead.policy({ maxConcurrent: 1, by: "key" })
const rateLimiter = RateLimiter.fixedWindow({ limit: 3, window: "1 hour" })
const circuitBreaker = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.consecutive(1),
  openDuration: "1 minute"
})

/** The store of this process, and one behind a line. */
const stores = ["memory", "remote"] as const
const layerOf = (where: (typeof stores)[number]): Effect.Effect<Layer.Layer<Store.Store>> =>
  where === "memory" ? Effect.succeed(Store.layerMemory) : Effect.map(remote, ({ layer }) => layer)

const throwing = ["check", "reserve", "admitted", "record", "release"] as const

for (const where of stores) {
  describe(`on a store (${where}), a ticket of one's own`, () => {
    for (const method of throwing) {
      it.effect(`that throws in ${method} ends its call with the defect, and nothing is left`, () =>
        Effect.gen(function* () {
          for (const stage of [35, 55, 65]) {
            let broken = true
            const bug = () => {
              if (broken) throw new Error("bug")
            }
            const policy = own(stage, () =>
              method === "check" ? { check: () => (bug(), true) } : { [method]: () => void bug() }
            )
            const policies = {
              circuitBreaker,
              rateLimiter,
              bulkhead,
              retry: Retry.policy(),
              policies: { keyed, policy }
            }
            const service = Resilience.makeFromStore("app", policies)
            const { inspect, resilient } = yield* Effect.provide(service, yield* layerOf(where))
            let starts = 0
            const call = resilient(
              Effect.sync(() => ++starts),
              "ada"
            )
            const exit = yield* Effect.exit(call)
            assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause), String(exit))
            const seen = yield* inspect("ada")
            assert.deepStrictEqual([seen.bulkhead?.running, seen.keyed?.running], [0, 0], `stage ${stage}`)
            assert.strictEqual(seen.rateLimiter?.remaining, 3 - starts, `stage ${stage}`)
            broken = false
            yield* call
          }
        })
      )
    }

    it.effect("whose record dies keeps no circuit from its report", () =>
      Effect.gen(function* () {
        const policies = { circuitBreaker, policies: { policy: own(35, () => ({ record: () => Effect.die("bug") })) } }
        const service = Resilience.makeFromStore("app", policies)
        const { inspect, resilient } = yield* Effect.provide(service, yield* layerOf(where))
        yield* Effect.exit(resilient(Effect.fail("down"), "ada"))
        assert.strictEqual((yield* inspect("ada")).circuitBreaker?.state, "Open")
      })
    )

    it.effect("whose release dies keeps no limit from its refund", () =>
      Effect.gen(function* () {
        const policy = own(35, () => ({ release: () => Effect.die("bug") }))
        const service = Resilience.makeFromStore("app", { rateLimiter, policies: { policy, unbegun } })
        const { inspect, resilient } = yield* Effect.provide(service, yield* layerOf(where))
        yield* Effect.exit(resilient(Effect.void, "ada"))
        assert.strictEqual((yield* inspect("ada")).rateLimiter?.remaining, 3)
      })
    )
  })
}

it.effect("a ticket that throws when a late reply admits it keeps no other from giving back", () =>
  Effect.gen(function* () {
    const { layer, line } = yield* remote
    const bug = () => {
      throw new Error("bug")
    }
    const policies = { rateLimiter, bulkhead, policies: { policy: own(35, () => ({ admitted: bug })) } }
    const { inspect, resilient } = yield* Effect.provide(Resilience.makeFromStore("app", policies), layer)
    line.mode = "slow"
    const call = yield* Effect.forkChild(resilient(Effect.void, "ada"), { startImmediately: true })
    yield* Fiber.interrupt(call)
    yield* TestClock.adjust(500)
    line.mode = "up"
    const seen = yield* inspect("ada")
    assert.deepStrictEqual([seen.rateLimiter?.remaining, seen.bulkhead?.running], [3, 0])
  })
)

it.effect("a ticket that throws in unreserve keeps no slot of a call that the store refused", () =>
  Effect.gen(function* () {
    const { layer } = yield* remote
    const bug = () => {
      throw new Error("bug")
    }
    const policies = { rateLimiter, bulkhead, policies: { policy: own(35, () => ({ unreserve: bug })) } }
    const { inspect, resilient } = yield* Effect.provide(Resilience.makeFromStore("app", policies), layer)
    yield* resilient(Effect.void, "ada", { cost: 3 })
    assert.isTrue(Exit.isFailure(yield* Effect.exit(resilient(Effect.void, "ada"))))
    assert.strictEqual((yield* inspect("ada")).bulkhead?.running, 0)
  })
)

it.effect("a ticket that stands against a call, and does not say why, is told so", () =>
  Effect.gen(function* () {
    const policies = { bulkhead, policies: { policy: own(35, () => ({ check: () => false })) } }
    const { inspect, resilient } = yield* Resilience.make("app", policies)
    const exit = yield* Effect.exit(resilient(Effect.void, "ada"))
    assert.include(Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "", "no refusal says why")
    assert.strictEqual((yield* inspect("ada")).bulkhead?.running, 0)
  })
)
