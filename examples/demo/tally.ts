/**
 * Counting calls.
 */
import type { Call } from "./run.ts"

export interface Tally {
  readonly offered: number
  readonly ok: number
  readonly failed: number
  readonly refused: number
  readonly waiting: number
}

export const tally = (calls: ReadonlyArray<Call>): Tally => {
  const count = (state: Call["state"]) => calls.filter((call) => call.state === state).length
  return {
    offered: calls.length,
    ok: count("ok"),
    failed: count("failed"),
    refused: count("refused"),
    waiting: count("waiting")
  }
}

/** How many calls we refused ourselves, by the policy that did: `rate limit 3, circuit open 12, bulkhead full 0`. */
export const refusedBy = (calls: ReadonlyArray<Call>): string =>
  ["rate limit", "circuit open", "bulkhead full"]
    .map(
      (policy) => `${policy} ${calls.filter(({ reason, state }) => state === "refused" && reason === policy).length}`
    )
    .join(", ")
