/** A part of `pnpm overload`, which plays all of its set-ups with 20 seeds. */
import { assert, describe, it } from "@effect/vitest"
import { play } from "./play.ts"
import { broken, hang, steady } from "./setups.ts"

const seeds = [1, 2, 3]

describe("with twice the calls that there is room for", () => {
  for (const door of ["slots", "limit"] as const) {
    const setup = steady(door, "lognormal", 150, 2)
    for (const seed of seeds) {
      it(`${door} let calls begin that can end, and no circuit opens, seed ${seed}`, () => {
        const figures = play(setup, seed)
        assert.deepStrictEqual(broken(setup, figures), [], JSON.stringify(figures))
      })
    }
  }

  it("the circuit opens where the dependency hangs", () => {
    const setup = hang("slots", "lognormal", 2)
    assert.deepStrictEqual(broken(setup, play(setup, 1)), [])
  })
})
