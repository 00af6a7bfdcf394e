/**
 * What telemetry costs.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as Telemetry from "effect-resilience/Telemetry"
import { compare, OURS } from "../compare.ts"
import { inSyncFiber, inSyncFiberWith } from "../loops.ts"
import type { Case } from "../model.ts"
import { key } from "../peers/numbers.ts"
import { makePipeline } from "../peers/ours.ts"

export const telemetry: Case = {
  id: "telemetry",
  run: async (effort) => {
    const ON = "telemetry on"
    const OFF = `${OURS}, telemetry off`
    const layer = Effect.runSync(Layer.buildWithScope(Telemetry.layer(), Scope.makeUnsafe()))
    const pipeline = makePipeline()
    const sync = Effect.sync(() => 1)
    const one = (a: number) => a === 1
    const call = pipeline(sync, key)
    const result = await compare(
      "breaker + token bucket + retry inside one fiber, telemetry on",
      effort,
      [inSyncFiberWith(ON, layer, () => call, one), inSyncFiber(OFF, () => call, one)],
      { [OFF]: 1.5 },
      { ours: ON }
    )
    const heard = Effect.runSync(Metric.snapshot).some(({ id }) => id === "resilience_calls_total")
    if (!heard) throw new Error("telemetry was on, and heard nothing")
    return [result]
  }
}
