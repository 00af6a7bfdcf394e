/** Interrupting a call at every point at which it can be interrupted. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Bulkhead, Resilience } from "effect-resilience"
import { World } from "effect-resilience-testing"

// #region sweep
it("a slot comes back wherever the call is interrupted", () => {
  for (let turns = 0, ended = false; !ended; turns++) {
    const world = new World.World({ maxOpsBeforeYield: 3 }) // fibers yield as often as they can
    const api = world.get(Resilience.make("test/Api", { bulkhead: Bulkhead.policy({ maxConcurrent: 1 }) }))
    const call = world.fork(api.resilient(Effect.sleep("1 second"), "ada"))
    for (let i = 0; i < turns; i++) world.turn()
    ended = call.pollUnsafe() !== undefined
    call.interruptUnsafe()
    world.runOut()
    assert.strictEqual(world.get(api.inspect("ada")).bulkhead?.free, 1, `interrupted after ${turns} turns`)
  }
})
// #endregion
