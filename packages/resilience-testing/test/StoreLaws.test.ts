import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { Store } from "effect-resilience"
import { type Law, StoreLaws } from "effect-resilience-testing"
import { badlyUnreachable, brokenStores, unreachable } from "./brokenStores.ts"
import { layerOf, MapStore } from "./mapStore.ts"
import { brokenShared, SharedStore } from "./sharedStore.ts"

const seed = process.env["LAWS_SEED"] ?? Effect.runSync(Random.nextInt)

/** The laws of several policies, by what they are about. */
const policyLaws: Readonly<Record<string, string>> = {
  byTurns:
    "two policies on one key let through what each may by itself, and none is refused for longer than its own span",
  notStarved: "a policy is let through within its own span, however busy another policy of the key is",
  spent: "what was spent is found by the first question of the next policy",
  several: "four policies of one key keep a state each, and a fifth takes the place of the one that wrote first",
  refunds: "a refund goes to the state of the policy that admitted the call",
  resets: "a reset frees a key for every policy",
  algorithms: "another algorithm begins anew",
  circuits: "two policies of one circuit count by themselves, and the next one finds it as it was left"
}

/** The laws that a store breaks, by name. */
const brokenBy = (laws: ReadonlyArray<Law.Law>) =>
  Effect.map(
    Effect.forEach(laws, ({ check, name }) =>
      check.pipe(
        Effect.as([]),
        Effect.catchTag("LawViolation", () => Effect.succeed([name])),
        Effect.provide(Layer.fresh(TestClock.layer()))
      )
    ),
    (all) => all.flat()
  )

describe(`the laws of stores hold (seed ${seed})`, () => {
  describe("in a store written without it", () => {
    const laws = StoreLaws.laws({ layer: MapStore.layer, seed, unreachable: unreachable.layer })
    for (const { check, name } of laws) it.effect(name, () => check)
  })
  describe("in one that processes share, written without it", () => {
    const laws = StoreLaws.laws({ layer: layerOf(() => new SharedStore()), seed, shared: true })
    for (const { check, name } of laws) it.effect(name, () => check)
  })
  describe("on the clock of this machine", () => {
    const laws = StoreLaws.laws({ layer: layerOf(() => new SharedStore()), seed, effort: 0.05, shared: true })
    for (const { check, name } of laws) it.live(name, () => check)
  })
})

describe(`the laws of stores catch (seed ${seed})`, () => {
  const patienceFor = (hangs: boolean) => (hangs ? "200 millis" : "1 minute")
  for (const { breaks, hangs, layer, mistake } of brokenStores) {
    it.effect(`a store that ${mistake}: ${breaks}`, () =>
      Effect.gen(function* () {
        // a short look with every law, none of which may hang or die, and a whole one with the law of this mistake
        const laws = (effort: number) => StoreLaws.laws({ layer, seed, effort, patience: patienceFor(hangs) })
        yield* brokenBy(laws(0.05))
        assert.deepStrictEqual(yield* brokenBy(laws(1).filter(({ name }) => name === breaks)), [breaks])
      })
    )
  }
  const lastOf = (options: StoreLaws.Options) => StoreLaws.laws({ ...options, seed }).slice(-1)
  for (const { hangs, layer, mistake } of badlyUnreachable) {
    it.effect(`a store that cannot be reached and ${mistake}`, () =>
      Effect.gen(function* () {
        const law = lastOf({ layer: MapStore.layer, unreachable: layer, patience: patienceFor(hangs) })
        const name = "a store that cannot be reached fails with StoreError, and with nothing else"
        assert.deepStrictEqual(yield* brokenBy(law), [name])
      })
    )
  }
  it.effect("a store that remembers too many keys", () =>
    Effect.gen(function* () {
      const law = lastOf({ layer: MapStore.layer, boundsKeys: true })
      const name = "a space remembers at most maxKeys keys, and forgets the one nearest to fresh"
      assert.deepStrictEqual(yield* brokenBy(law), [name])
    })
  )
  for (const { breaks, make, mistake } of brokenShared) {
    it.effect(`a store that ${mistake}: ${policyLaws[breaks]}`, () =>
      Effect.gen(function* () {
        const laws = StoreLaws.laws({ layer: layerOf(() => new make()), seed, shared: true })
        const name = policyLaws[breaks]!
        assert.deepStrictEqual(yield* brokenBy(laws.filter((law) => law.name === name)), [name])
      })
    )
  }
  it("each law has a store that it catches", () => {
    const laws = StoreLaws.laws({ layer: Store.layerMemory, shared: true })
    const caught = [
      ...brokenStores.map(({ breaks }) => breaks),
      ...brokenShared.map(({ breaks }) => policyLaws[breaks])
    ]
    assert.sameMembers(
      [...new Set(caught)],
      laws.map(({ name }) => name)
    )
  })
})
