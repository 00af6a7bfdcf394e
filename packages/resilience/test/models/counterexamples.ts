/** Shrunk sequences that once failed: what a bug of the library, or one planted to see the models find it, came down to. */
import type { CircuitNumbers, LimitNumbers, SlotNumbers } from "./numbers.ts"
import type { Command, Sequence } from "./commands.ts"

const limit = (kind: LimitNumbers["kind"], some: Partial<LimitNumbers> = {}): LimitNumbers => ({
  kind,
  limit: 1,
  window: 10,
  burst: 1,
  slices: 2,
  maxWait: 0,
  maxQueued: 1_000,
  overflow: "evict",
  ...some
})

const circuit = (some: Partial<CircuitNumbers> = {}): CircuitNumbers => ({
  trips: [{ kind: "consecutive", failures: 1, within: 0 }],
  open: 5,
  growth: 1,
  cap: 120,
  permitted: 1,
  required: 1,
  lease: 0,
  byUser: false,
  ...some
})

const slow = { kind: "rate", slowAfter: 5, threshold: 0.5, minimumCalls: 1, calls: 0, window: 40 } as const
const slots = (some: Partial<SlotNumbers> = {}): SlotNumbers => ({
  maxConcurrent: 1,
  maxWait: 0,
  maxQueued: 1_000,
  ...some
})
const retry = { maxAttempts: 2, delay: 6, growth: 1 }

const call = { do: "call", user: 0 } as const
const fails = { do: "call", user: 0, ends: "fail" } as const
const others = { do: "call", user: 1 } as const
const advance = (millis: number): Command => ({ do: "advance", millis })

/** Found in the library. */
export const found: Record<string, Sequence> = {
  "a reset of a user for whom there is no room forgets the limit that all share": {
    numbers: {
      limit: limit("tokenBucket", { maxKeys: 1, overflow: "reject" }),
      shared: limit("tokenBucket")
    },
    commands: [call, { do: "reset", user: 1 }]
  },
  "a circuit that is reset just before a call backs off ends the backoff": {
    numbers: { circuit: circuit({ trips: [{ kind: "consecutive", failures: 2, within: 0 }] }), retry },
    maxOps: 11,
    commands: [fails, { do: "resetCircuit", user: 0 }]
  },
  "what a call gives back to an evicted key frees nothing of the key's next life": {
    numbers: { limit: limit("tokenBucket", { maxKeys: 1 }) },
    maxOps: 7,
    commands: [call, { do: "call", user: 3 }, others, { do: "call", user: 3 }, { do: "interrupt", pick: 1 }]
  },
  "a call that is woken and interrupted leaves the calls after it to become slow": {
    numbers: { circuit: circuit({ trips: [slow] }), retry },
    maxOps: 30,
    commands: [
      call,
      { do: "end", pick: 0, how: "fail" },
      { do: "resetCircuit", user: 0 },
      { do: "interrupt", pick: 0 },
      fails,
      advance(5)
    ]
  },
  "a closed circuit that is reset ends the backoff of those from before": {
    numbers: { circuit: circuit({ trips: [{ kind: "consecutive", failures: 9, within: 0 }] }), retry },
    commands: [fails, { do: "resetCircuit", user: 0 }]
  },
  "a call from before a reset gives nothing back after it": {
    numbers: { limit: limit("fixedWindow", { limit: 3, window: 50 }) },
    maxOps: 7,
    commands: [call, { do: "reset", user: 0 }, call, { do: "interrupt", pick: 0 }]
  },
  "a call that waited for its slot takes what those in a limit's line were told they would get": {
    numbers: {
      slots: slots({ maxConcurrent: 2, maxWait: 1, maxQueued: 2 }),
      limit: limit("tokenBucket", { limit: 1, window: 1, burst: 5, maxWait: 2, maxQueued: 2 })
    },
    commands: [
      others,
      call,
      call,
      { do: "call", user: 0, cost: 5 },
      call,
      { do: "end", pick: 0, how: "fail" },
      { do: "call", user: 0 }
    ]
  }
}

/** Planted. */
export const planted: Record<string, Sequence> = {
  "a report of an earlier generation is nobody's": {
    numbers: { circuit: circuit() },
    commands: [call, { do: "resetCircuit", user: 0 }, { do: "end", pick: 0, how: "fail" }]
  },
  "the first in the line goes first": {
    numbers: { slots: slots({ maxWait: 50 }) },
    commands: [call, others, { do: "call", user: 2 }, { do: "end", pick: 0, how: "succeed" }]
  }
}
