import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { Store } from "effect-resilience"
import { type Law, StoreLaws } from "effect-resilience-testing"
import { badlyUnreachable, brokenStores, unreachable } from "./brokenStores.ts"
import { MapStore } from "./mapStore.ts"

const seed = process.env["LAWS_SEED"] ?? Effect.runSync(Random.nextInt)

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
  describe("in memory", () => {
    const laws = StoreLaws.laws({ layer: Store.layerMemory, seed, boundsKeys: true })
    for (const { check, name } of laws) it.effect(name, () => check)
  })
  describe("in a store written without it", () => {
    const laws = StoreLaws.laws({ layer: MapStore.layer, seed, unreachable: unreachable.layer })
    for (const { check, name } of laws) it.effect(name, () => check)
  })
  describe("on the clock of this machine", () => {
    const laws = StoreLaws.laws({ layer: MapStore.layer, seed, effort: 0.05 })
    for (const { check, name } of laws) it.live(name, () => check)
  })
})

describe(`the laws of stores catch (seed ${seed})`, () => {
  for (const { breaks, layer, mistake } of brokenStores) {
    it.effect(`a store that ${mistake}: ${breaks}`, () =>
      Effect.gen(function* () {
        const broken = yield* brokenBy(StoreLaws.laws({ layer, seed, effort: 0.5, patience: "300 millis" }))
        assert.include(broken, breaks)
      })
    )
  }
  for (const { layer, mistake } of badlyUnreachable) {
    it.effect(`a store that cannot be reached and ${mistake}`, () =>
      Effect.gen(function* () {
        const laws = StoreLaws.laws({
          layer: MapStore.layer,
          unreachable: layer,
          seed,
          effort: 0.5,
          patience: "300 millis"
        })
        const broken = yield* brokenBy(laws)
        assert.deepStrictEqual(broken, ["a store that cannot be reached fails with StoreError, and with nothing else"])
      })
    )
  }
  it.effect("a store that remembers too many keys", () =>
    Effect.gen(function* () {
      const broken = yield* brokenBy(StoreLaws.laws({ layer: MapStore.layer, boundsKeys: true, seed }))
      assert.deepStrictEqual(broken, ["a space remembers at most maxKeys keys, and forgets the one nearest to fresh"])
    })
  )
  it("each law has a store that it catches", () => {
    const laws = StoreLaws.laws({ layer: Store.layerMemory })
    const caught = brokenStores.map(({ breaks }) => breaks)
    assert.sameMembers(
      [...new Set(caught)],
      laws.map(({ name }) => name)
    )
  })
})
