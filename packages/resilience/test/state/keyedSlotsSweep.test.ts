/**
 * A call that takes a slot of its key, interrupted at every point where it can be interrupted: as law 5 has it for the slots
 * of a service, and with no entry of a key left.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Retry } from "../../src/index.ts"
import { elsewhere, type Stage, type StoreService } from "../laws/harness.ts"
import { conserved, type Interrupted, type Scenario, sweep } from "../laws/sweep.ts"
import { keyedOf, keysInUse } from "./keyedSlots.ts"

const key = { quota: "k", pace: "k", tenant: "acme" }
/** Another call of the same tenant, and one of another. */
const sibling = { quota: "s", pace: "s", tenant: "acme" }
const stranger = { quota: "x", pace: "x", tenant: "other" }

const limits = (burst: number) =>
  RateLimiter.every({
    // counts what is spent, and gives nothing back within a test
    quota: RateLimiter.fixedWindow({ limit: 1_000, window: "30 days" }),
    pace: RateLimiter.tokenBucket({ limit: 1, window: "1 second", burst, maxWait: "9 seconds" })
  })
const everything = {
  timeout: "30 seconds",
  attemptTimeout: "2 seconds",
  circuitBreaker: CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.failureRate({ threshold: 1, window: { calls: 100 }, minimumCalls: 100 }),
    openDuration: "30 seconds"
  }),
  rateLimiter: limits(5),
  bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "9 seconds", by: "tenant" }),
  retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("100 millis") })
} as const

const sleep = Effect.sleep(50)
const fails = (times: number) => (run: number) => (run <= times ? Effect.andThen(sleep, Effect.fail("no")) : sleep)
const occupy = (stage: Stage, key: typeof sibling, millis: number, after = 0) => {
  const call = stage.call(Effect.sleep(millis), { key })
  return stage.world.fork(after === 0 ? call : Effect.delay(call, after))
}

const scenarios: Record<string, Scenario> = {
  "a synchronous effect": { policies: everything, key, self: () => Effect.succeed(1) },
  "an effect that sleeps": { policies: everything, key, self: () => sleep },
  "an effect that sleeps, beside another key": {
    policies: everything,
    key,
    others: (stage) => {
      occupy(stage, stranger, 300)
      stage.world.advance(10)
    },
    self: () => sleep
  },
  "slots alone": {
    policies: {
      rateLimiter: limits(5),
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "9 seconds", by: "tenant" })
    },
    key,
    self: () => sleep
  },
  "a refusal": {
    policies: { ...everything, bulkhead: Bulkhead.policy({ maxConcurrent: 1, by: "tenant" }) },
    key,
    others: (stage) => {
      occupy(stage, sibling, 300)
      stage.world.advance(30)
    },
    self: () => sleep
  },
  "a wait": {
    policies: everything,
    key,
    others: (stage) => {
      occupy(stage, sibling, 300)
      stage.world.advance(30)
    },
    self: () => sleep
  },
  "a wait behind others": {
    policies: everything,
    key,
    others: (stage) => {
      for (let i = 0; i < 3; i++) occupy(stage, sibling, 300)
      occupy(stage, stranger, 1_000)
      stage.world.advance(30)
    },
    self: () => sleep
  },
  "a wait before others": {
    policies: everything,
    key,
    others: (stage) => {
      occupy(stage, sibling, 300)
      stage.world.advance(30)
      for (const after of [10, 20, 300]) occupy(stage, sibling, 50, after)
      occupy(stage, stranger, 50, 20)
    },
    self: () => sleep
  },
  "a wait that is too long": {
    policies: {
      ...everything,
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "100 millis", by: "tenant" })
    },
    key,
    others: (stage) => {
      occupy(stage, sibling, 300)
      stage.world.advance(30)
    },
    self: () => sleep
  },
  "a wait for a slot, then for a limit": {
    policies: { ...everything, rateLimiter: limits(1) },
    key,
    others: (stage) => {
      occupy(stage, sibling, 300)
      stage.world.advance(30)
      // takes the token that the call needs, while the call waits for its slot
      occupy(stage, { ...key, tenant: "other" }, 20, 100)
    },
    self: () => sleep
  },
  "a wait for a limit, then for a slot": {
    policies: { ...everything, rateLimiter: limits(1) },
    key,
    others: (stage) => {
      occupy(stage, { ...key, tenant: "other" }, 10)
      stage.world.advance(30)
      occupy(stage, sibling, 1_300)
    },
    self: () => sleep
  },
  backoff: { policies: everything, key, self: fails(1) },
  "all attempts fail": { policies: everything, key, self: fails(3) },
  "attempt timeouts": { policies: { ...everything, attemptTimeout: "70 millis" }, key, self: () => Effect.sleep(100) },
  "a timeout of the whole call, in a wait": {
    policies: { ...everything, timeout: "70 millis" },
    key,
    others: (stage) => occupy(stage, sibling, 60),
    self: () => sleep
  },
  "a second attempt that waits": {
    policies: everything,
    key,
    others: (stage) => void occupy(stage, sibling, 300, 20),
    self: fails(1)
  },
  "a second attempt that is refused": {
    policies: { ...everything, bulkhead: Bulkhead.policy({ maxConcurrent: 1, by: "tenant" }) },
    key,
    others: (stage) => void occupy(stage, sibling, 300, 70),
    self: fails(1)
  }
}

/** Of each entry something runs or waits when the call has ended; when all calls have ended, there is none. */
const dropped = (run: Interrupted, options: Parameters<typeof conserved>[1] = {}) => {
  const keyed = keyedOf(run.stage)
  keysInUse(keyed)
  const started = conserved(run, options)
  assert.deepStrictEqual(keysInUse(keyed), [], "keys in use in the end")
  return started
}

const ways = {
  "a slow way there": { before: Effect.sleep(7) },
  "a slow way back": { after: Effect.sleep(7) },
  "a store that yields": { before: Effect.yieldNow, after: Effect.yieldNow }
}

describe("interruption at any point leaves no slot taken and no entry of a key", () => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    it(`in ${name}`, () => {
      const counts = sweep(scenario, (run) => dropped(run))
      assert.isAbove(counts.interrupted, 20)
      assert.isAbove(counts.completed, 0)
    })
    it(`in ${name}, admission per attempt`, () => {
      const policies = { ...scenario.policies, admission: "attempt" } as const
      sweep({ ...scenario, policies }, (run) => dropped(run, { spends: (started) => started }))
    })
  }
})

describe("interruption at any point, on a store elsewhere, also where the reply comes late", () => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    for (const [way, trip] of Object.entries(ways)) {
      it(`in ${name}, ${way}`, () => {
        const store = (memory: StoreService) => elsewhere(memory, () => trip)
        const counts = sweep({ ...scenario, store }, (run) => dropped(run, { later: true }))
        assert.isAbove(counts.interrupted, 20)
      })
    }
  }
})
