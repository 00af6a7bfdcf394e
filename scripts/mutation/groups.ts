/** What is mutated together, and the tests that must notice it: of `packages/resilience/test`, quick ones first. */
export interface Group {
  readonly sources: ReadonlyArray<string>
  readonly tests: ReadonlyArray<string>
}

const state = (...names: ReadonlyArray<string>) => names.map((name) => `state/${name}.test.ts`)
const law = (...names: ReadonlyArray<string>) => names.map((name) => `laws/law${name}.test.ts`)
/** What runs a call, from its policies to its end. */
const executor = [
  ...state(
    "tickets",
    "attempts",
    "stages",
    "timeouts",
    "circuits",
    "severalLimits",
    "waitQueue",
    "layers",
    "outage",
    "late",
    "localShare",
    "composedOnStore",
    "events",
    "circuitGate",
    "admissions",
    "limitGate",
    "line",
    "outcomes",
    "throttled",
    "spread",
    "timers",
    "transactions",
    "waiters",
    "races",
    "openServices"
  ),
  "scenarios/*.test.ts",
  "Retry*.test.ts",
  "Event.test.ts",
  "unbounded.test.ts",
  "badInput.test.ts",
  "badInputMessages.test.ts",
  "regressions/*.test.ts",
  ...law("7*", "9*", "8*", "4*", "6*", "2-a*", "3*", "2-l*", "1*"),
  "models/*.test.ts",
  ...law("5*")
]

export const groups = {
  kernels: {
    sources: ["kernel/*.ts"],
    tests: ["kernel/{Lease,Rank,SlidingWindow,SlidingLog,FixedWindow,TokenBucket}.test.ts", "kernel/*.test.ts"]
  },
  store: {
    sources: [
      "internal/{memoryStore,memoryTransactions,memoryTable,memoryCell,memoryCandidates,heap,isolated,key,transaction}.ts",
      "remote/*.ts"
    ],
    tests: [
      // those of one file alone
      ...state(
        "heap",
        "candidates",
        "table",
        "key",
        "abandoned",
        "guard",
        "isolated",
        "memory",
        "synchronous",
        "openStore"
      ),
      ...state(
        "transactions",
        "waiters",
        "layers",
        "outage",
        "late",
        "localShare",
        "composedOnStore",
        "commands",
        "events"
      ),
      ...state("storeLaws", "races", "timers", "maxKeys", "maxKeysFlood", "forgetting", "cell"),
      // whose error it is, and of which key
      ...state("service"),
      // what a key may be, and how records are named
      "badInput.test.ts",
      "badInputCalls.test.ts",
      ...state("circuitGate", "limitGate")
    ]
  },
  engine: { sources: ["engine/*.ts", "waiting/*.ts", "internal/{time,timers,ambient}.ts"], tests: executor },
  policies: {
    sources: [
      "rateLimiter/{LimitGate,OneLimit,resets}.ts",
      "circuitBreaker/{CircuitGate,CircuitPass}.ts",
      "bulkhead/*.ts",
      "retry/{loop,backOff,budget}.ts",
      "RetryBudget.ts",
      "Timeout.ts"
    ],
    tests: [
      ...state("keyedSlots", "keyedSlotsSweep", "keyedSlotsModel", "retryBudget", "retryBudgetSweep"),
      ...executor
    ]
  }
} satisfies Record<string, Group>

export type GroupName = keyof typeof groups

export const isGroup = (name: string): name is GroupName => Object.hasOwn(groups, name)
