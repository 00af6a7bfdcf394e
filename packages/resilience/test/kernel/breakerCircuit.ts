/**
 * A circuit for examples: a kernel, its policy and its state, to talk to.
 */
import { assert } from "@effect/vitest"
import type { BreakerDecision, BreakerInput, BreakerPolicy, Trip } from "../../src/kernel/Breaker.ts"
import { breaker, indifferent, view } from "../../src/kernel/Breaker.ts"

export const consecutive = (failures: number, within = 0): Trip => ({ kind: "consecutive", failures, within })

export const byCalls = (percent: number, calls: number, minimumCalls: number, slowAfter = 0): Trip => ({
  kind: "rate",
  slowAfter,
  threshold: percent / 100,
  minimumCalls,
  calls,
  slice: 1,
  slices: 1
})

export const byTime = (percent: number, slice: number, slices: number, minimumCalls: number): Trip => ({
  kind: "rate",
  slowAfter: 0,
  threshold: percent / 100,
  minimumCalls,
  calls: 0,
  slice,
  slices
})

export type Permit = Pick<BreakerDecision, "generation" | "probe">
export type Outcome = "success" | "failure" | "throttled" | "ignored"

export const defaults: BreakerPolicy = {
  trips: [consecutive(1)],
  openLow: [100],
  openHigh: [100],
  openGrowth: 0,
  openCap: 10_000,
  permitted: 1,
  required: 1,
  lease: 50
}

/** A circuit to talk to: opens for 100 ms at the first failure, and asks one probe with a lease of 50 ms. */
export const make = (changes: Partial<BreakerPolicy> = {}) => {
  const policy = { ...defaults, ...changes }
  let state = breaker.initial(policy)
  const step = (input: BreakerInput, now: number) => {
    const [answer, next] = breaker.step(policy, state, input, now)
    const changed = next !== state
    state = next
    return { ...answer, changed }
  }
  const record = (
    { generation, probe }: Permit,
    outcome: Outcome,
    now: number,
    more: {
      readonly duration?: number
      readonly slowFed?: number
      readonly retryAfter?: number
      readonly draw?: number
    } = {}
  ) => step({ op: "record", generation, probe, outcome, duration: 0, slowFed: 0, retryAfter: 0, draw: 0, ...more }, now)
  return {
    admit: (now: number, draw = 0) => step({ op: "admit", draw }, now),
    record,
    slow: ({ generation, probe }: Permit, now: number, rank = 0) =>
      step({ op: "slow", generation, probe, rank, draw: 0 }, now),
    tell: (op: "isolate" | "close" | "reset", now: number) => step({ op }, now),
    call: (outcome: Outcome, now: number, duration = 0) => {
      const permit = step({ op: "admit", draw: 0 }, now)
      assert.isTrue(permit.allowed)
      return record(permit, outcome, now, { duration })
    },
    view: (now: number) => view(policy, state, now),
    indifferent: () => indifferent(policy, state),
    expiresAt: () => breaker.expiresAt(policy, state)
  }
}
