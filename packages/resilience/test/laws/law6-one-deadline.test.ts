/**
 * Law 6. The whole-call `timeout` counts as a failure if an attempt had started, and as ignored if the call was still
 * waiting for admission. One deadline for each call: waits are cut at it, a backoff that does not end before it ends the
 * call with the last error, an attempt runs under one timer of min(`attemptTimeout`, what is left); no timer and no child
 * fiber if there is no timeout or the attempt ended synchronously.
 */
import { isDeepStrictEqual } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, Fiber, Schema } from "effect"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Rejection, Retry } from "../../src/index.ts"
import type { Policies } from "../../src/Policies.ts"
import { clean, elsewhere, Stage, type Trip } from "./harness.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const counting = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.failureRate({ threshold: 1, window: { calls: 100 }, minimumCalls: 100 }),
  openDuration: "30 seconds"
})
const backoff = (delay: number, maxAttempts = 3) => Retry.policy({ maxAttempts, backoff: Backoff.constant(delay) })

const timedOut = (scope: "call" | "attempt", timeoutMillis: number, cause?: unknown) =>
  Exit.fail(new Rejection.TimeoutExceeded({ service: "laws", key: "key", scope, timeoutMillis, cause }))

const plainExit = (exit: Exit.Exit<unknown, unknown> | undefined) =>
  exit?._tag === "Failure"
    ? exit.cause.reasons.map((reason) => {
        if (reason._tag !== "Fail") return reason._tag
        const { error } = reason
        return typeof error === "object" ? { ...error } : error
      })
    : exit?.value

interface Story {
  readonly policies: Policies
  readonly self?: (run: number) => Effect.Effect<unknown, unknown>
  readonly others?: (stage: Stage) => void
  readonly trip?: Trip
}

/** The call's end: when, how, what the circuit counted of it, and what was spent. */
const told = ({ others, policies, self = () => Effect.never, trip }: Story) => {
  const stage = new Stage(
    { circuitBreaker: counting, timeout: "1 second", ...policies },
    { store: trip === undefined ? undefined : (memory) => elsewhere(memory, () => trip) }
  )
  const { world } = stage
  others?.(stage)
  world.settle()
  const before = stage.inspect()
  let at: number | undefined
  const started = world.elapsed
  const call = world.fork(stage.call(stage.body.of(self)))
  call.addObserver(() => {
    at = world.elapsed - started
  })
  while (call.pollUnsafe() === undefined) assert.isTrue(world.turn(), "the call hangs")
  const exit = call.pollUnsafe()
  world.settle()
  const after = stage.inspect()
  world.runOut()
  assert.deepStrictEqual(stage.debris(), clean)
  return {
    at,
    exit: plainExit(exit),
    bad: after.circuitBreaker!.windows[0]!.bad - before.circuitBreaker!.windows[0]!.bad,
    spent: (after.rateLimiter?.limits["limit"]?.used ?? 0) - (before.rateLimiter?.limits["limit"]?.used ?? 0),
    runs: stage.body.started
  }
}

describe("law 6: the whole call's timeout", () => {
  const cut = { at: 1_000, exit: plainExit(timedOut("call", 1_000)) }
  const slot = Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute" })
  const quota = RateLimiter.fixedWindow({ limit: 100, window: "30 days" })

  it("is a failure, if an attempt runs", () => {
    assert.deepStrictEqual(told({ policies: { rateLimiter: quota } }), { ...cut, bad: 1, spent: 1, runs: 1 })
  })

  it("does not come in a backoff: one that would pass it ends the call at once, with the last error", () => {
    for (const delay of [1_000, 60_000]) {
      const policies = { rateLimiter: quota, retry: backoff(delay) }
      const found = told({ policies, self: () => Effect.fail("no") })
      assert.deepStrictEqual(found, { at: 0, exit: ["no"], bad: 1, spent: 1, runs: 1 })
    }
  })

  it("is a failure in a later attempt's wait for a slot, and cuts it", () => {
    const others = (stage: Stage) => stage.world.fork(Effect.delay(stage.call(Effect.sleep(990), { key: "other" }), 50))
    const policies = { rateLimiter: quota, bulkhead: slot, retry: backoff(100) }
    assert.deepStrictEqual(told({ policies, others, self: () => Effect.fail("no") }), {
      at: 1_000,
      exit: plainExit(timedOut("call", 1_000, "no")),
      bad: 1,
      spent: 1,
      runs: 1
    })
  })

  it("is ignored in a wait for a slot, and nothing is spent", () => {
    const others = (stage: Stage) => {
      const { slots } = stage.service.pipeline
      slots!.take()
      stage.world.fork(
        Effect.delay(
          Effect.sync(() => slots!.release()),
          1_001
        )
      )
    }
    const found = told({ policies: { rateLimiter: quota, bulkhead: slot }, others })
    assert.deepStrictEqual(found, { ...cut, bad: 0, spent: 0, runs: 0 })
  })

  it("is ignored in a wait for a limit", () => {
    const waits = RateLimiter.tokenBucket({ limit: 1, window: "1 second", burst: 1, maxWait: "1 minute" })
    const others = (stage: Stage) => {
      stage.world.fork(stage.call(Effect.void))
      const entry = stage.service.pipeline.limits!.entry("key", 1)
      // a token at the deadline, had nobody else taken it
      const taken = Effect.sync(() => stage.counted.store.sync!.commit(entry.steps, stage.world.now + 1_000))
      stage.world.fork(Effect.delay(taken, 999))
    }
    const found = told({ policies: { rateLimiter: waits }, others })
    assert.deepInclude(found, { ...cut, bad: 0, runs: 0 })
  })

  it("is ignored while a store elsewhere thinks about it, and what the reply brings is given back", () => {
    for (const trip of [{ before: Effect.sleep(5_000) }, { after: Effect.sleep(5_000) }]) {
      const found = told({ policies: { rateLimiter: quota, bulkhead: slot, store: { deadline: "1 minute" } }, trip })
      assert.deepStrictEqual({ ...found, spent: 0 }, { ...cut, bad: 0, spent: 0, runs: 0 })
    }
  })
})

describe("law 6: one timer", () => {
  it.effect.prop(
    "an attempt has min(attemptTimeout, what is left), no backoff passes the deadline, and each timeout has its scope",
    {
      timeout: int(0, 400),
      attemptTimeout: int(0, 200),
      delay: int(0, 150),
      maxAttempts: int(1, 4),
      runs: Arbitrary.array(Arbitrary.all({ takes: int(0, 250), ok: int(0, 3) }), { minLength: 4, maxLength: 4 })
    },
    ({ attemptTimeout, delay, maxAttempts, runs, timeout }) =>
      Effect.sync(() => {
        const each = attemptTimeout === 0 ? Infinity : attemptTimeout
        const whole = timeout === 0 ? Infinity : timeout
        let t = 0
        let sleeps = 0
        let n = 1
        let tie = false
        let expected: unknown
        let failure: unknown
        for (; ; n++) {
          const { ok, takes } = runs[n - 1]!
          const left = whole - t
          const limit = Math.min(each, left)
          if (takes > 0) sleeps += limit === Infinity ? 1 : 2
          const late = takes > limit
          tie = n > 1 && takes === left
          t += Math.min(takes, limit)
          if (late && left <= each) {
            expected = plainExit(timedOut("call", timeout, failure))
            break
          }
          if (!late && ok === 0) {
            expected = n
            break
          }
          const ended: Exit.Exit<unknown, object> = late ? timedOut("attempt", attemptTimeout) : Exit.fail({ no: n })
          failure = Exit.isFailure(ended) ? Cause.squash(ended.cause) : undefined
          expected = plainExit(ended)
          if (n === maxAttempts || delay >= whole - t) break
          if (delay > 0) sleeps++
          t += delay
        }
        const stage = new Stage({
          ...(timeout === 0 ? {} : { timeout }),
          ...(attemptTimeout === 0 ? {} : { attemptTimeout }),
          retry: backoff(delay, maxAttempts)
        })
        const { world } = stage
        let most = 0
        const call = world.fork(
          stage.call(
            stage.body.of((run) => {
              const { ok, takes } = runs[run - 1]!
              const end = ok === 0 ? Effect.succeed(run) : Effect.fail({ no: run })
              return takes === 0 ? end : Effect.andThen(Effect.sleep(takes), end)
            })
          )
        )
        while (call.pollUnsafe() === undefined && world.turn()) most = Math.max(most, world.sleeping)
        const exit = plainExit(call.pollUnsafe())
        const cut = plainExit(timedOut("call", timeout, failure))
        // in the very millisecond of the deadline a later attempt may end, or be ended
        if (!tie || !isDeepStrictEqual(exit, cut)) assert.deepStrictEqual(exit, expected)
        assert.strictEqual(world.elapsed, t)
        assert.strictEqual(stage.body.started, n)
        assert.isAtMost(world.slept, sleeps, "sleeps of the effect, timers of attempts, backoffs")
        assert.isAtMost(most, 2, "the effect's own and one more")
        assert.deepStrictEqual(stage.debris(), clean)
      }),
    { arbitrary: { runs: 500 } }
  )

  const everything = {
    circuitBreaker: counting,
    rateLimiter: RateLimiter.tokenBucket({ limit: 100, window: "1 second", maxWait: "1 minute" }),
    bulkhead: Bulkhead.policy({ maxConcurrent: 5, maxWait: "1 minute" }),
    retry: backoff(0)
  }

  it("none is set where no timeout is configured, and the effect runs in the fiber of its caller", () => {
    const stage = new Stage(everything)
    let inside: unknown
    const call = stage.world.fork(
      stage.call(
        Effect.withFiber((fiber) => {
          inside = fiber
          return Effect.sleep(10)
        })
      )
    )
    assert.strictEqual(inside, call)
    stage.world.runOut()
    assert.strictEqual(stage.world.slept, 1)
  })

  it("nor is one set for further attempts, and they run there, too", () => {
    const stage = new Stage({ retry: backoff(5) })
    const inside: Array<unknown> = []
    const call = stage.world.fork(
      stage.call(
        Effect.withFiber((fiber) => {
          inside.push(fiber)
          return inside.length < 3 ? Effect.fail("again") : Effect.sleep(10)
        })
      )
    )
    stage.world.runOut()
    assert.deepStrictEqual(
      inside.map((fiber) => fiber === call),
      [true, true, true]
    )
    assert.strictEqual(stage.world.slept, 3, "two backoffs and the effect's own")
  })

  it("a backoff as long as what is left ends the call with the last error, and no attempt begins after it", () => {
    const tags: Array<string> = []
    const stage = new Stage({ timeout: "1 second", retry: backoff(1_000) }, { sink: (event) => tags.push(event._tag) })
    const call = stage.world.fork(stage.call(stage.body.of(() => Effect.fail("down"))))
    stage.world.runOut()
    assert.deepStrictEqual(call.pollUnsafe(), Exit.fail("down"))
    assert.strictEqual(stage.world.elapsed, 0)
    assert.strictEqual(stage.body.started, 1)
    assert.strictEqual(tags.filter((tag) => tag === "AttemptEnded").length, 1)
  })

  it("none is set for attempts that end synchronously", () => {
    const stage = new Stage({ ...everything, timeout: "1 second", attemptTimeout: "500 millis" })
    const exits = [Effect.void, Effect.die("bug"), Effect.interrupt].map((self) =>
      stage.world.fork(stage.call(self)).pollUnsafe()
    )
    for (const exit of exits) assert.isDefined(exit)
    assert.strictEqual(stage.world.turns, 0, "no fiber was left to run later")
    const retried = stage.world.fork(stage.call(stage.body.of(() => Effect.fail("no"))))
    assert.isUndefined(retried.pollUnsafe(), "it yields once before its first retry, so that an interruption is seen")
    stage.world.settle()
    assert.deepStrictEqual(retried.pollUnsafe(), Exit.fail("no"))
    assert.deepStrictEqual([stage.body.started, stage.world.turns, stage.world.slept], [3, 1, 0])
  })

  it("the attempt's finalizers are awaited, and the outcome is the timeout's", () => {
    const stage = new Stage({ circuitBreaker: counting, attemptTimeout: "1 second" })
    const call = stage.world.fork(stage.call(stage.body.of(() => Effect.ensuring(Effect.never, Effect.sleep(300)))))
    stage.world.advance(1_299)
    assert.isUndefined(call.pollUnsafe())
    stage.world.advance(1)
    assert.deepStrictEqual(plainExit(call.pollUnsafe()), plainExit(timedOut("attempt", 1_000)))
    assert.strictEqual(stage.body.active, 0)
  })

  it("a timeout of a call that is interrupted while its finalizers run is still one end", () => {
    const stage = new Stage({ circuitBreaker: counting, bulkhead: everything.bulkhead, timeout: "1 second" })
    const call = stage.world.fork(stage.call(stage.body.of(() => Effect.ensuring(Effect.never, Effect.sleep(300)))))
    stage.world.advance(1_100)
    stage.world.fork(Fiber.interrupt(call))
    stage.world.runOut()
    assert.isDefined(call.pollUnsafe())
    assert.deepStrictEqual(stage.debris(), clean)
  })
})
