/** What the tests of a bulkhead with slots of each key share. */
import { assert } from "@effect/vitest"
import { KeyedSlots } from "../../src/bulkhead/KeyedSlots.ts"
import type { Stage } from "../laws/harness.ts"

/** The slots of the keys of a stage's service. */
export const keyedOf = (stage: Stage): KeyedSlots =>
  stage.service.pipeline.members.find((member) => member instanceof KeyedSlots) ??
  assert.fail("there are no slots of keys")

/** The keys that have slots now. Each has a call that runs or waits: else its slots were forgotten to be dropped. */
export const keysInUse = (slots: KeyedSlots): ReadonlyArray<string> =>
  [...slots.parts].map(([part, { queue, running }]) => {
    if (running + queue.size === 0) assert.fail(`nothing runs or waits for ${part}`)
    return part
  })
