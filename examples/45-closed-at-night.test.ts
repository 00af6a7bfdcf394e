/** A policy by the time of the day, on a clock whose two sides differ as those of a machine do; and its laws. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Resilience } from "effect-resilience"
import { PolicyLaws, World } from "effect-resilience-testing"
import { Closed, openingHours } from "./45-closed-at-night.ts"

const HOUR = 3_600_000
const hours = openingHours({ from: 8, to: 20 })

it("the wall clock decides, and not the monotonic one", () => {
  const world = new World.World({ epoch: 12 * HOUR }) // the monotonic clock says noon
  const { resilient } = world.get(Resilience.make("app/Desk", { policies: { hours } }))
  world.skew = 11 * HOUR // the wall clock says 23:00
  const refused = world.get(Effect.flip(resilient(Effect.succeed("answered"), "ada")))
  assert.instanceOf(refused, Closed)
  assert.strictEqual(refused.retryAfterMillis, 9 * HOUR)
  world.skew = -4 * HOUR // 8:00
  assert.strictEqual(world.get(resilient(Effect.succeed("answered"), "ada")), "answered")
})

// #region laws
// each case begins 200 ms before it closes, so that there are calls on both sides
const laws = PolicyLaws.laws({ policies: { policies: { hours } }, startsAt: 20 * HOUR - 200 })
for (const { check, name } of laws) it.effect(name, () => check)
// #endregion
