import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Rejection, Retry } from "../../src/index.ts"
import type { Event } from "../../src/Event.ts"
import { elsewhere, type Stage, type StoreService } from "./harness.ts"
import { conserved, type Scenario, sweep } from "./sweep.ts"

/** Counts what is spent, and gives nothing back within a test. */
const quota = RateLimiter.fixedWindow({ limit: 1_000, window: "30 days" })
const key = { quota: "k", pace: "k" }

/** Never trips, but counts every outcome. */
const counting = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.failureRate({ threshold: 1, window: { calls: 100 }, minimumCalls: 100 }),
  openDuration: "30 seconds"
})
const tripsAtOnce = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.consecutive(1),
  openDuration: "1 second"
})
const retry = Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("100 millis") })
const limits = (burst: number) =>
  RateLimiter.every({
    quota,
    pace: RateLimiter.tokenBucket({ limit: 1, window: "1 second", burst, maxWait: "9 seconds" })
  })
const slots = Bulkhead.policy({ maxConcurrent: 1, maxWait: "9 seconds" })

const everything = {
  timeout: "30 seconds",
  attemptTimeout: "2 seconds",
  circuitBreaker: counting,
  rateLimiter: limits(5),
  bulkhead: slots,
  retry
} as const

const sleep = Effect.sleep(50)
const fails = (times: number) => (run: number) => (run <= times ? Effect.andThen(sleep, Effect.fail("no")) : sleep)

const other = { quota: "o", pace: "o" }

/** Takes what there is. */
const spend = (stage: Stage, times: number) => {
  for (let i = 0; i < times; i++) stage.world.fork(stage.call(Effect.void))
  stage.world.advance(30)
}
const occupy = (stage: Stage, millis: number) => stage.world.fork(stage.call(Effect.sleep(millis), { key: other }))
/** Opens the circuit, and waits until it lets a probe through. */
const trip = (stage: Stage) => {
  stage.world.fork(stage.call(Effect.fail("down"), { key: other }))
  stage.world.advance(1_500)
}

const scenarios: Record<string, Scenario> = {
  "a synchronous effect": { policies: everything, key, self: () => Effect.succeed(1) },
  "an effect that sleeps": { policies: everything, key, self: () => sleep },
  "an effect that sleeps, without timeouts": {
    policies: { circuitBreaker: counting, rateLimiter: limits(5), bulkhead: slots, retry },
    key,
    self: () => sleep
  },
  "an effect whose finalizer takes its time": {
    policies: everything,
    key,
    self: () => Effect.ensuring(sleep, Effect.sleep(10))
  },
  "an effect that cannot be interrupted": { policies: everything, key, self: () => Effect.uninterruptible(sleep) },
  "a wait for a limit": {
    policies: { ...everything, rateLimiter: limits(1) },
    key,
    others: (stage) => spend(stage, 1),
    self: () => sleep
  },
  "a wait for a limit, behind others": {
    policies: { ...everything, rateLimiter: limits(1) },
    key,
    others: (stage) => {
      spend(stage, 1)
      for (let i = 0; i < 2; i++) stage.world.fork(stage.call(Effect.void))
      stage.world.settle()
    },
    self: () => Effect.void
  },
  "a wait for a limit, before others": {
    policies: { ...everything, rateLimiter: limits(1) },
    key,
    others: (stage) => {
      spend(stage, 1)
      for (const after of [10, 20, 300]) stage.world.fork(Effect.delay(stage.call(Effect.void), after))
    },
    self: () => Effect.void
  },
  "a wait for a slot": { policies: everything, key, others: (stage) => occupy(stage, 300), self: () => sleep },
  "a wait for a slot, behind others": {
    policies: everything,
    key,
    others: (stage) => {
      for (let i = 0; i < 3; i++) occupy(stage, 300)
      stage.world.settle()
    },
    self: () => sleep
  },
  "a wait for a slot, before others": {
    policies: everything,
    key,
    others: (stage) => {
      occupy(stage, 300)
      for (const after of [10, 20, 300]) stage.world.fork(Effect.delay(stage.call(Effect.void, { key: other }), after))
    },
    self: () => sleep
  },
  "a wait for a limit, then for a slot": {
    policies: { ...everything, rateLimiter: limits(1) },
    key,
    others: (stage) => {
      spend(stage, 1)
      occupy(stage, 1_300)
    },
    self: () => sleep
  },
  backoff: { policies: everything, key, self: fails(1) },
  "backoff without a breaker": { policies: { rateLimiter: limits(5), bulkhead: slots, retry }, key, self: fails(1) },
  "all attempts fail": { policies: everything, key, self: fails(3) },
  "attempt timeouts": { policies: { ...everything, attemptTimeout: "70 millis" }, key, self: () => Effect.sleep(100) },
  "a timeout of the whole call, in an attempt": {
    policies: { ...everything, timeout: "70 millis", attemptTimeout: "1 minute" },
    key,
    self: () => Effect.sleep(100)
  },
  "a timeout of the whole call, in backoff": { policies: { ...everything, timeout: "70 millis" }, key, self: fails(1) },
  "a timeout of the whole call, in a wait": {
    policies: { ...everything, timeout: "70 millis" },
    key,
    others: (stage) => occupy(stage, 60),
    self: () => sleep
  },
  "a second attempt waits for a slot": {
    policies: everything,
    key,
    others: (stage) => {
      stage.world.fork(Effect.delay(stage.call(Effect.sleep(300), { key: other }), 20))
    },
    self: fails(1)
  },
  "a probe": {
    policies: { ...everything, circuitBreaker: tripsAtOnce, retry: undefined },
    key,
    others: trip,
    self: () => sleep
  },
  "a synchronous probe": {
    policies: { ...everything, circuitBreaker: tripsAtOnce },
    key,
    others: trip,
    self: () => Effect.void
  },
  "a probe that waits for a slot": {
    policies: {
      ...everything,
      circuitBreaker: tripsAtOnce,
      bulkhead: Bulkhead.policy({ maxConcurrent: 2, maxWait: "9 seconds" })
    },
    key,
    others: (stage) => {
      stage.world.fork(stage.call(Effect.sleep(2_000), { key: { quota: "p", pace: "p" } }))
      stage.world.fork(stage.call(Effect.fail("down"), { key: other }))
      stage.world.advance(1_500)
    },
    self: () => sleep
  }
}

/** The same service with breaker and limits asked for each attempt. */
const perAttempt: Record<string, Scenario> = Object.fromEntries(
  Object.entries(scenarios).map(([name, scenario]) => [
    `${name}, admission per attempt`,
    { ...scenario, policies: { ...scenario.policies, admission: "attempt" } }
  ])
)

const ways = {
  "a store that answers at once": {},
  "a slow way there": { before: Effect.sleep(7) },
  "a slow way back": { after: Effect.sleep(7) },
  "a store that yields": { before: Effect.yieldNow, after: Effect.yieldNow }
}
/** Of the store these know nothing. */
const local = ["finalizer", "cannot be interrupted", "without"]

/** A store elsewhere, which keeps each call waiting on the way there and back. */
const distant: Record<string, Scenario> = Object.fromEntries(
  Object.entries(scenarios)
    .filter(([name]) => !local.some((part) => name.includes(part)))
    .flatMap(([name, scenario]) =>
      Object.entries(ways)
        .filter(([way]) => way === "a slow way back" || !name.includes("others"))
        .map(([way, trip]) => [
          `${name}, ${way}`,
          { ...scenario, store: (memory) => elsewhere(memory, () => trip) } satisfies Scenario
        ])
    )
)

describe("law 5: interruption at any point gives back every permit that was not used", () => {
  for (const [name, scenario] of Object.entries(scenarios)) {
    it(`in ${name}`, () => {
      const counts = sweep(scenario, (run) => conserved(run))
      assert.isAbove(counts.interrupted, 20)
      assert.isAbove(counts.completed, 0)
    })
  }
  for (const [name, scenario] of Object.entries(perAttempt)) {
    it(`in ${name}`, () => {
      sweep(scenario, (run) => conserved(run, { spends: (started) => started }))
    })
  }
})

describe("law 5, while somebody watches the events", () => {
  for (const [name, scenario] of Object.entries(scenarios).filter(([name]) => !name.includes("others"))) {
    it(`in ${name}`, () => {
      const seen = new Set<string>()
      const sink = ({ _tag }: Event) => {
        seen.add(_tag)
      }
      sweep(scenario, (run) => conserved(run), sink)
      for (const tag of ["Admitted", "CallEnded"]) assert.isTrue(seen.has(tag))
    })
  }
})

describe("law 5, with a store elsewhere: what a reply brings to a call that has left is given back", () => {
  for (const [name, scenario] of Object.entries(distant)) {
    it(`in ${name}`, () => {
      sweep(scenario, (run) => conserved(run, { later: true }))
    })
  }
})

describe("law 5, with a store elsewhere: what an attempt reports is sent, whoever is interrupted meanwhile", () => {
  for (const name of ["backoff", "all attempts fail", "attempt timeouts", "a probe"]) {
    it(`in ${name}, admission per attempt`, () => {
      const scenario = perAttempt[`${name}, admission per attempt`]!
      const policies = { ...scenario.policies, retry }
      const self = name === "a probe" ? fails(1) : scenario.self
      const store = (memory: StoreService) => elsewhere(memory, () => ways["a slow way back"])
      sweep({ ...scenario, policies, self, store }, (run) =>
        conserved(run, { spends: (started) => started, later: true })
      )
    })
  }
})

describe("law 5, with a store elsewhere that does not answer", () => {
  const down = Effect.fail(new Rejection.StoreError({ reason: "unavailable" }))
  for (const [name, trip] of Object.entries({
    fails: { before: down },
    "lets its deadline pass": { before: Effect.never }
  })) {
    for (const onError of ["fail", "allow", "local"] as const) {
      it(`one that ${name} leaves nothing behind, whatever follows from it (${onError})`, () => {
        const scenario: Scenario = {
          policies: { ...everything, store: { onError, deadline: "100 millis" } },
          key,
          store: (memory) => elsewhere(memory, () => trip),
          self: () => sleep
        }
        const seen: Array<number> = []
        sweep(scenario, (run) => {
          seen.push(run.stage.body.started)
          return conserved(run, { spends: () => 0, later: true })
        })
        assert.strictEqual(Math.max(...seen), onError === "fail" ? 0 : 1)
      })
    }
  }
})
