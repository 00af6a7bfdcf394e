/** A policy of your own in a service, and the laws that it and its kernel keep, here and on a store elsewhere. */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Context, Effect, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, RemoteStore, Resilience, Retry, Store } from "effect-resilience"
import { KernelLaws, PolicyLaws, StoreLaws } from "effect-resilience-testing"
import { BudgetSpent, dailyBudget, kernel, Price } from "./43-a-policy-of-your-own.ts"

// #region service
class Search extends Resilience.Service<Search>()("app/Search", {
  bulkhead: Bulkhead.policy({ maxConcurrent: 10 }),
  policies: { dailyBudget: dailyBudget({ cents: 100, by: "tenant" }) }
}) {}

const search = (tenant: string, cents: number) =>
  Effect.provideService(Search.resilient(Effect.succeed("found"), { tenant }), Price, cents)
// #endregion

const stores = {
  "in this process": Search.layer,
  "on a remote store": Layer.provide(Search.layerFromStore, PolicyLaws.layerDistant)
}

for (const [where, layer] of Object.entries(stores)) {
  it.effect(`each tenant has a budget, and a call its price (${where})`, () =>
    // #region use
    Effect.gen(function* () {
      assert.strictEqual(yield* search("acme", 60), "found")
      const refused = yield* Effect.flip(search("acme", 60)) // BulkheadFull | BudgetSpent
      assert.instanceOf(refused, BudgetSpent)
      assert.strictEqual(refused.key, "acme")
      assert.strictEqual((yield* Search.inspect({ tenant: "acme" })).dailyBudget?.cents, 40)
      assert.strictEqual(yield* search("other", 100), "found")

      const { control } = yield* Search
      yield* control.dailyBudget.reset("acme")
      assert.strictEqual(yield* search("acme", 100), "found")
    })
      // #endregion
      .pipe(Effect.provide(layer))
  )
}

/** Each answer is on its way for 70 ms, and each call waits for 50 ms. */
const slow = Layer.effect(
  Store.Store,
  Effect.map(Store.Store, ({ clear, commit, read }) =>
    RemoteStore.make({ commit: (steps) => Effect.delay(commit(steps), 70), read, clear })
  )
).pipe(Layer.provide(Layer.fresh(Store.layerMemory)))

it.effect("what a reply took that came too late, or to a call that had left, is back in the budget", () =>
  Effect.gen(function* () {
    const api = yield* Resilience.makeFromStore("app/Search", {
      policies: { dailyBudget: dailyBudget({ cents: 100, by: "tenant" }) },
      store: { onError: "fail", deadline: 50 }
    })
    const call = api.resilient(Effect.succeed("found"), { tenant: "acme" })
    const left = Effect.map(api.inspect({ tenant: "acme" }), ({ dailyBudget }) => dailyBudget?.cents)
    const late = yield* Effect.forkChild(Effect.flip(call))
    yield* TestClock.adjust(70)
    assert.strictEqual((yield* Fiber.join(late))._tag, "StoreError")
    assert.strictEqual(yield* left, 40, "the store has counted it")
    yield* TestClock.adjust(70)
    assert.strictEqual(yield* left, 100)
    const interrupted = yield* Effect.forkChild(call, { startImmediately: true })
    yield* Fiber.interrupt(interrupted)
    yield* TestClock.adjust(70)
    assert.strictEqual(yield* left, 40)
    yield* TestClock.adjust(70)
    assert.strictEqual(yield* left, 100)
  }).pipe(Effect.provideService(Price, 60), Effect.provide(slow))
)

// #region laws
const policies = { dailyBudget: dailyBudget({ cents: 8, by: "tenant" }) }
const keys = [{ tenant: "acme" }, { tenant: "other" }]
const context = Context.make(Price, 2)

for (const { check, name } of PolicyLaws.laws({ policies: { policies }, keys, context })) it.effect(name, () => check)
// #endregion

// beside others, asked for each attempt
const retry = Retry.policy({ maxAttempts: 3 })
const beside = { policies, retry, bulkhead: Bulkhead.policy({ maxConcurrent: 2, maxWait: 50 }), timeout: 300 }
for (const admission of ["call", "attempt"] as const) {
  const laws = PolicyLaws.laws({ policies: { ...beside, admission }, keys, context, effort: 0.5 })
  for (const { check, name } of laws) it.effect(`beside others, for each ${admission}: ${name}`, () => check)
}

// #region kernel
const DAY = 86_400_000
const laws = KernelLaws.limiter({
  kernel,
  policy: Arbitrary.all({ cents: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 }))) }),
  capacity: ({ cents }) => cents,
  span: () => DAY,
  atMost: ({ cents }, millis) => cents * (1 + Math.ceil(millis / DAY))
})
for (const { check, name } of laws) it.effect(`the budget's kernel: ${name}`, () => check)
// #endregion

for (const [where, layer] of [
  ["memory", Store.layerMemory],
  ["distant", PolicyLaws.layerDistant]
] as const) {
  const laws = StoreLaws.laws({ layer, effort: 0.3 })
  for (const { check, name } of laws) it.effect(`the ${where} store: ${name}`, () => check)
}
