/**
 * Interrupts a call with a budget at every point: what is left in the budget is what its retries have not begun with.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Retry, RetryBudget } from "../../src/index.ts"
import { clean, type Stage } from "../laws/harness.ts"
import { type Scenario, sweep, wasInterrupted } from "../laws/sweep.ts"

const CAPACITY = 100
const COST = 14

/** A policy that remembers the budget that was opened last. */
const watched = () => {
  const policy = RetryBudget.policy({ capacity: CAPACITY })
  let last: RetryBudget.RetryBudgetService | undefined
  const open = () => (last = policy.open())
  return { policy: { ...policy, open }, last: () => last! }
}

const sleep = Effect.sleep(50)
const fails = (times: number) => (run: number) => (run <= times ? Effect.andThen(sleep, Effect.fail("no")) : sleep)
const slots = Bulkhead.policy({ maxConcurrent: 1, maxWait: "9 seconds" })
const tripsAtOnce = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 second" })
/** The other calls end in an interruption or a defect: neither is a success, and neither is retried. */
const occupy = (stage: Stage, after: number, millis: number) =>
  stage.world.fork(
    Effect.delay(stage.call(Effect.andThen(Effect.sleep(millis), Effect.interrupt), { key: "other" }), after)
  )

interface Case {
  readonly policies?: Scenario["policies"]
  /** What the budget has lost in the end, by where the interruption comes. */
  readonly loses: ReadonlyArray<number>
}

const scenarios: Record<string, Omit<Scenario, "policies"> & Case> = {
  "all attempts fail": { loses: [0, 14, 28], self: fails(3) },
  "the first succeeds": { loses: [0], self: fails(0) },
  "the last succeeds": { loses: [0, 14, 28], self: fails(2) },
  "the last succeeds, with timeouts": {
    loses: [0, 14, 28],
    policies: { timeout: "30 seconds", attemptTimeout: "2 seconds" },
    self: fails(2)
  },
  "attempts time out": { loses: [0, 14, 28], policies: { attemptTimeout: "40 millis" }, self: fails(3) },
  "the deadline comes in an attempt": { loses: [0, 14], policies: { timeout: "180 millis" }, self: fails(3) },
  "later attempts wait for a slot": {
    loses: [0, 14, 28],
    policies: { bulkhead: slots },
    others: (stage) => void occupy(stage, 60, 300),
    self: fails(2)
  },
  "later attempts find no slot": {
    loses: [0],
    policies: { bulkhead: Bulkhead.policy({ maxConcurrent: 1 }) },
    others: (stage) => void occupy(stage, 60, 300),
    self: fails(2)
  },
  "each attempt waits for a token": {
    loses: [0, 14, 28],
    policies: {
      admission: "attempt",
      rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 second", burst: 1, maxWait: "9 seconds" })
    },
    self: fails(2)
  },
  "the circuit opens in the backoff": {
    loses: [0],
    policies: { circuitBreaker: tripsAtOnce },
    others: (stage) => void stage.world.fork(Effect.delay(stage.call(Effect.die("down"), { key: "other" }), 100)),
    self: fails(3)
  }
}

describe("wherever a call is interrupted, its budget has lost what its retries began with", () => {
  for (const [name, { loses, others, policies = {}, ...scenario }] of Object.entries(scenarios)) {
    it(name, () => {
      const { last, policy } = watched()
      const retry = Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("100 millis"), budget: policy })
      const budgets = new WeakMap<Stage, RetryBudget.RetryBudgetService>()
      const seen = new Set<number>()
      /** Where the effect has succeeded; an interruption may come after that. */
      const succeeded = new WeakSet<Stage>()
      let current: Stage | undefined
      const counts = sweep(
        {
          ...scenario,
          policies: { ...policies, retry },
          self: (run) => Effect.tap(scenario.self(run), () => Effect.sync(() => succeeded.add(current!))),
          others: (stage) => {
            current = stage
            budgets.set(stage, last())
            others?.(stage)
          }
        },
        ({ exit, stage }) => {
          stage.world.advance(2_000) // to the end of the other calls
          const { balance } = stage.world.get(budgets.get(stage)!.inspect)
          const spent = (attempts: number, succeeds: boolean) => {
            const taken = COST * Math.max(0, attempts - 1)
            const returned = succeeds ? (attempts > 1 ? COST : 1) : 0
            return Math.min(CAPACITY, CAPACITY - taken + returned)
          }
          const { started } = stage.body
          const interrupted = wasInterrupted(exit)
          seen.add(CAPACITY - balance)
          assert.deepStrictEqual(stage.debris(), clean)
          if (balance === spent(started, succeeded.has(stage))) return undefined
          assert.isTrue(interrupted, `${balance} is left after ${started} attempts`)
          // the effect had succeeded, and the interruption came before the loop has seen it
          if (succeeded.has(stage) && balance === spent(started, false)) return undefined
          // the engine had begun the attempt, and the interruption came before its effect
          assert.strictEqual(balance, spent(started + 1, false))
          return "started"
        }
      )
      assert.isAbove(counts.interrupted, 10)
      assert.deepStrictEqual([...seen].sort(), loses)
    })
  }
})
