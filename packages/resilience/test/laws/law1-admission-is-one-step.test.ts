/**
 * Law 1. The admission is one step. Whatever refuses (breaker, any limit, bulkhead), nothing is spent anywhere: no
 * token, no probe, no slot.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Schema } from "effect"
import { readKey } from "../../src/internal/key.ts"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Rejection, Retry } from "../../src/index.ts"
import { clean, elsewhere, plain, Stage } from "./harness.ts"
import { conserved, type Scenario, sweep } from "./sweep.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

interface LimitDice {
  readonly kind: number
  readonly limit: number
  readonly window: number
  readonly keyed: boolean
}

const limitOf = ({ kind, limit, window }: LimitDice) => {
  const rate = { limit, window: window * 1_000 }
  return [
    () => RateLimiter.tokenBucket({ ...rate, burst: Math.max(1, limit - 1) }),
    () => RateLimiter.leakyBucket({ ...rate, capacity: limit }),
    () => RateLimiter.fixedWindow(rate),
    () => RateLimiter.slidingWindow(rate),
    () => RateLimiter.slidingLog(rate)
  ][kind]!()
}

const circuits = ["none", "closed", "open", "probing", "isolated"] as const
const Limit = Arbitrary.all({
  kind: int(0, 4),
  limit: int(1, 5),
  window: int(1, 60),
  keyed: Arbitrary.schema(Schema.Boolean)
})

const Story = Arbitrary.all({
  limits: Arbitrary.array(Limit, { minLength: 1, maxLength: 3 }),
  circuit: int(0, circuits.length - 1),
  bulkhead: int(0, 2),
  /** Calls of others: after how long, with which costs, and which parts of the key they share. */
  traffic: Arbitrary.array(Arbitrary.all({ after: int(0, 4_000), cost: int(1, 4), same: int(0, 7) }), {
    maxLength: 12
  }),
  cost: int(1, 6),
  distant: Arbitrary.schema(Schema.Boolean)
})

/** Key parts: "k" where a bit of `same` says so. */
const keyOf = (n: number, same: number, fresh: string) =>
  Object.fromEntries(Array.from({ length: n }, (_, i) => [`m${i}`, (same >> i) % 2 === 1 ? "k" : fresh]))

const refusal = (exit: unknown) => {
  const cause = exit as { readonly _tag: string; readonly cause: Cause.Cause<unknown> }
  return cause._tag === "Success" ? undefined : cause.cause.reasons.find(Cause.isFailReason)?.error
}

describe("law 1: whatever refuses, nothing is spent anywhere", () => {
  it.effect.prop(
    "any policies, any of which refuse: the first in the order answers, and all stay as they were",
    { story: Story },
    ({ story }) =>
      Effect.sync(() => {
        const { bulkhead, cost, distant, limits, traffic } = story
        const circuit = circuits[story.circuit]!
        const n = limits.length
        const breaker = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 day" })
        const stage = new Stage(
          {
            ...(circuit === "none" ? {} : { circuitBreaker: breaker }),
            ...(bulkhead === 0 ? {} : { bulkhead: Bulkhead.policy({ maxConcurrent: 4 }) }),
            rateLimiter: RateLimiter.every(Object.fromEntries(limits.map((dice, i) => [`m${i}`, limitOf(dice)])))
          },
          {
            key: keyOf(n, 7, "?"),
            store: distant ? (memory) => elsewhere(memory, () => ({ before: Effect.yieldNow })) : undefined
          }
        )
        const { world } = stage
        traffic.forEach(({ after, cost, same }, i) => {
          world.advance(after)
          world.fork(stage.call(Effect.void, { cost, key: keyOf(n, same, `other${i}`) }))
          world.settle()
        })
        const { pipeline } = stage.service
        // probes and slots are taken through the service; the limits of these calls are never those of the key
        const bystander = (name: string, self: Effect.Effect<void, string>) => {
          const call = stage.call(self, { key: keyOf(n, 0, name) })
          const fiber = world.fork(call)
          world.settle()
          return fiber
        }
        if (circuit === "open" || circuit === "probing") bystander("down", Effect.fail("down"))
        if (circuit === "probing") {
          world.advance(86_400_000)
          bystander("probe", Effect.never)
        }
        if (circuit === "isolated") {
          const step = { op: "isolate" } as const
          const gate = pipeline.circuit!
          const pass = gate.pass(readKey(stage.key), world.fork(Effect.never))
          pass.input = step
          world.get(stage.store.commit([pass]))
        }
        if (bulkhead === 2) while (pipeline.slots!.inspect().free > 0) pipeline.slots!.take()

        const before = stage.inspect()
        const states = stage.states()
        const call = world.fork(
          stage.call(
            stage.body.of(() => Effect.void),
            { cost }
          )
        )
        world.settle()
        const exit = call.pollUnsafe()
        assert.isDefined(exit, "a call that may not wait ends at once")
        const error = refusal(exit)
        const after = stage.inspect()

        const refusing = Object.entries(before.rateLimiter!.limits).filter(([, limit]) => limit.waitFor(cost) !== 0)
        const { circuitBreaker } = before
        if (distant && bulkhead === 2) {
          // a call that finds no slot in this process is not worth a trip: what is elsewhere is not asked
          assert.instanceOf(error, Rejection.BulkheadFull)
        } else if (circuitBreaker !== undefined && circuitBreaker.retryAfterMillis !== 0) {
          assert.instanceOf(error, Rejection.CircuitOpen)
          assert.strictEqual(error.retryAfterMillis, circuitBreaker.retryAfterMillis)
        } else if (refusing.length > 0) {
          assert.instanceOf(error, Rejection.RateLimitExceeded)
          assert.deepStrictEqual(
            error.limits.map(({ limit, retryAfterMillis }) => [limit, retryAfterMillis]),
            refusing.map(([name, limit]) => [name, limit.waitFor(cost)])
          )
          const longest = Math.max(...refusing.map(([, limit]) => limit.waitFor(cost) ?? Infinity))
          assert.strictEqual(error.retryAfterMillis, longest === Infinity ? undefined : longest)
          assert.strictEqual(error.reason, longest === Infinity ? "cost-exceeds-capacity" : "limit")
        } else if (bulkhead === 2) {
          assert.instanceOf(error, Rejection.BulkheadFull)
        } else {
          assert.isUndefined(error)
          assert.strictEqual(stage.body.started, 1)
          for (const [name, { used }] of Object.entries(before.rateLimiter!.limits)) {
            assert.strictEqual(after.rateLimiter!.limits[name]!.used, used + cost)
          }
          return
        }
        assert.strictEqual(stage.body.started, 0)
        assert.deepStrictEqual(plain(after), plain(before))
        stage.states().forEach((state, i) => {
          if (state !== undefined) assert.strictEqual(state, states[i], "the very state, where it was not forgotten")
        })
      }),
    { arbitrary: { runs: 400 } }
  )

  const quota = RateLimiter.fixedWindow({ limit: 1_000, window: "30 days" })
  const empty = RateLimiter.tokenBucket({ limit: 1, window: "1 hour", burst: 1 })
  const breaker = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 second" })
  const retry = Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("100 millis"), retryRejections: true })
  const all = {
    timeout: "10 seconds",
    circuitBreaker: breaker,
    rateLimiter: RateLimiter.every({ quota, pace: empty }),
    bulkhead: Bulkhead.policy({ maxConcurrent: 1 })
  } as const
  const key = { quota: "k", pace: "k" }
  const other = { quota: "o", pace: "o" }
  /** The circuit lets a probe through when the call comes. */
  const halfOpen = (stage: Stage) => {
    stage.world.fork(stage.call(Effect.fail("down"), { key: { quota: "p", pace: "p" } }))
    stage.world.advance(1_500)
  }
  const refused: Record<string, Scenario> = {
    "a limit refuses a probe": {
      policies: all,
      key,
      others: (stage) => {
        stage.world.fork(stage.call(Effect.void))
        stage.world.advance(20)
        halfOpen(stage)
      },
      self: () => Effect.void
    },
    "a limit refuses a probe, and is asked again": {
      policies: { ...all, retry },
      key,
      others: (stage) => {
        stage.world.fork(stage.call(Effect.void))
        stage.world.advance(20)
        stage.world.fork(stage.call(Effect.die("down"), { key: { quota: "p", pace: "p" } }))
        stage.world.advance(1_500)
      },
      self: () => Effect.void
    },
    "the bulkhead refuses a probe": {
      policies: { ...all, bulkhead: Bulkhead.policy({ maxConcurrent: 2 }) },
      key,
      others: (stage) => {
        for (const name of ["a", "b"]) {
          stage.world.fork(stage.call(Effect.sleep(5_000), { key: { quota: name, pace: name } }))
        }
        stage.service.pipeline.slots!.release()
        halfOpen(stage)
        stage.service.pipeline.slots!.take()
      },
      self: () => Effect.void
    },
    "the circuit refuses": {
      policies: all,
      key,
      others: (stage) => {
        stage.world.fork(stage.call(Effect.fail("down"), { key: other }))
        stage.world.advance(20)
      },
      self: () => Effect.void
    }
  }
  for (const [name, scenario] of Object.entries(refused)) {
    it(`${name}, under interruption at every point`, () => {
      sweep(scenario, (run) => conserved(run))
    })
    it(`${name}, from a store elsewhere, under interruption at every point`, () => {
      const trip = { before: Effect.sleep(3), after: Effect.sleep(3) }
      sweep({ ...scenario, store: (memory) => elsewhere(memory, () => trip) }, (run) => conserved(run, { later: true }))
    })
  }

  it("a limit that has no room for a new key takes from no other", () => {
    const stage = new Stage(
      {
        rateLimiter: RateLimiter.every({
          quota,
          pace: RateLimiter.tokenBucket({ limit: 1, window: "1 hour", maxKeys: 1, overflow: "reject" })
        })
      },
      { key }
    )
    stage.world.get(stage.call(Effect.void, { key: other }))
    const error = stage.world.get(Effect.flip(stage.call(Effect.void)))
    assert.deepInclude(error, { _tag: "RateLimitExceeded", reason: "too-many-keys" })
    assert.strictEqual(stage.inspect().rateLimiter!.limits["quota"]!.used, 0)
  })

  for (const distant of [false, true]) {
    it(`a limiter alone, asked without waiting while others wait, takes nothing (${distant ? "elsewhere" : "here"})`, () => {
      const stage = new Stage(
        { rateLimiter: RateLimiter.tokenBucket({ limit: 10, window: "10 seconds", burst: 10, maxWait: "1 minute" }) },
        { store: distant ? (memory) => elsewhere(memory, () => ({})) : undefined }
      )
      const { world } = stage
      world.get(stage.call(Effect.void, { cost: 5 }))
      world.fork(stage.call(Effect.void, { cost: 10 }))
      world.settle()
      assert.deepInclude(stage.inspect().rateLimiter, { remaining: 5, queued: 1 })
      const before = stage.seen()
      const error = world.get(Effect.flip(stage.call(Effect.void, { maxWait: 0 })))
      assert.strictEqual(error._tag, "RateLimitExceeded")
      assert.deepStrictEqual(stage.seen(), before, "there is room, but not for somebody who came later")
      world.runOut()
      assert.deepStrictEqual(stage.debris(), clean)
    })
  }
})
