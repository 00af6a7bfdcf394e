/**
 * All cases, in the order of the table.
 */
import { allow, every, limited, openCircuit } from "./cases/decisions.ts"
import { inside, insideFull, outside, outsideFull } from "./cases/pipeline.ts"
import type { Case } from "./model.ts"

export const cases: ReadonlyArray<Case> = [inside, insideFull, outside, outsideFull, allow, openCircuit, limited, every]
