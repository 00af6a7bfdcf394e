/** Ids are written next to states: changed by accident, a store would forget everything. */
import { assert, it } from "@effect/vitest"
import { breaker } from "../../src/kernel/Breaker.ts"
import { fixedWindow } from "../../src/kernel/FixedWindow.ts"
import { slidingLog } from "../../src/kernel/SlidingLog.ts"
import { slidingWindow } from "../../src/kernel/SlidingWindow.ts"
import { tokenBucket } from "../../src/kernel/TokenBucket.ts"

it("every kernel has a name and a version", () => {
  assert.deepStrictEqual(
    [breaker, fixedWindow, slidingLog, slidingWindow, tokenBucket].map(({ id }) => id),
    ["circuit-breaker@1", "fixed-window@1", "sliding-log@1", "sliding-window@1", "token-bucket@1"]
  )
})
