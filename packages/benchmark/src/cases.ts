/**
 * All cases, in the order of the table.
 */
import { allow, every, limited, openCircuit } from "./cases/decisions.ts"
import { manyKeys } from "./cases/keys.ts"
import { callBytes, idle, keyBytes } from "./cases/memory.ts"
import { inside, insideFull, outside, outsideFull } from "./cases/pipeline.ts"
import { redisKeys, redisLeased, redisOne, redisThree, redisUsers } from "./cases/redis.ts"
import { size } from "./cases/size.ts"
import { telemetry } from "./cases/telemetry.ts"
import { interrupts, waiters } from "./cases/waiters.ts"
import type { Case } from "./model.ts"

export const cases: ReadonlyArray<Case> = [
  inside,
  insideFull,
  outside,
  outsideFull,
  allow,
  openCircuit,
  limited,
  every,
  manyKeys,
  waiters,
  interrupts,
  telemetry,
  idle,
  keyBytes,
  callBytes,
  redisOne,
  redisUsers,
  redisThree,
  redisLeased,
  redisKeys,
  size
]
