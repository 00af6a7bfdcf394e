import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { World } from "../src/index.ts"

it("who is called at a time is called in order with those who sleep until then, and can be called off", () => {
  const world = new World.World({ epoch: 1_000 })
  const seen: Array<string> = []
  world.at(1_010, () => seen.push(`first at ${world.elapsed}`))
  const callOff = world.at(1_010, () => seen.push("never"))
  world.fork(Effect.tap(Effect.sleep(10), () => Effect.sync(() => seen.push(`asleep until ${world.elapsed}`))))
  world.at(1_005, () => world.at(1_010, () => seen.push("last")))
  assert.strictEqual(world.sleeping, 4)
  callOff()
  callOff()
  assert.strictEqual(world.sleeping, 3)
  world.runOut()
  assert.deepStrictEqual(seen, ["first at 10", "asleep until 10", "last"])
  assert.strictEqual(world.sleeping, 0)
})
