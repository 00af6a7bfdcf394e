/** The attempts of a call: what is told of each, and what the call answers in the end. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, Policy, RateLimiter, Resilience, Retry } from "../../src/index.ts"
import { remote, serviceOn } from "./remote.ts"
import { recorder } from "./support.ts"

const start = <A, E>(self: Effect.Effect<A, E>) => Effect.forkChild(self, { startImmediately: true })
const later = Effect.andThen(Effect.sleep("2 seconds"), Effect.fail("down"))

it.effect("each attempt is told once, when it ends, with its own time, and the call with all of it", () =>
  Effect.gen(function* () {
    const { events, record } = recorder()
    const { resilient } = yield* Resilience.make("app", {
      retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("5 seconds") })
    })
    yield* TestClock.adjust("1 second")
    const call = yield* start(record(resilient(later, "a")))
    yield* TestClock.adjust("3 seconds")
    const about = { service: "app", key: "a" }
    const first: typeof events = [
      { _tag: "Admitted", ...about, attempt: 1, waited: 0 },
      { _tag: "AttemptEnded", ...about, attempt: 1, result: "failure", exit: Exit.fail("down"), duration: 2_000 },
      { _tag: "RetryScheduled", ...about, attempt: 1, error: "down", delay: 5_000 }
    ]
    assert.deepStrictEqual(events, first)
    yield* TestClock.adjust("1 minute")
    assert.deepStrictEqual(yield* Fiber.await(call), Exit.fail("down"))
    const exit = Exit.fail("down")
    const ended = { outcome: "failure", exit, attempts: 2, duration: 9_000, timedOut: false, rejected: false } as const
    const all: typeof events = [
      ...first,
      { _tag: "AttemptEnded", ...about, attempt: 2, result: "failure", exit: Exit.fail("down"), duration: 2_000 },
      { _tag: "CallEnded", ...about, ...ended }
    ]
    assert.deepStrictEqual(events, all)
  })
)

it.effect("a call without a retry tells its one attempt with its own time, too", () =>
  Effect.gen(function* () {
    const { events, record } = recorder()
    const { resilient } = yield* Resilience.make("app", { bulkhead: Bulkhead.policy({ maxConcurrent: 1 }) })
    yield* TestClock.adjust("1 second")
    const call = yield* start(record(resilient(later, "a")))
    yield* TestClock.adjust("1 minute")
    yield* Fiber.await(call)
    assert.deepStrictEqual(
      events.map((event) => [event._tag, "duration" in event ? event.duration : undefined]),
      [
        ["Admitted", undefined],
        ["AttemptEnded", 2_000],
        ["CallEnded", 2_000]
      ]
    )
  })
)

it.effect(
  "a further attempt that is refused ends the call with the error before, also where refusals are retried",
  () =>
    Effect.gen(function* () {
      const { resilient } = yield* Resilience.make("app", {
        bulkhead: Bulkhead.policy({ maxConcurrent: 1 }),
        retry: Retry.policy({ maxAttempts: 9, backoff: Backoff.constant("1 second"), retryRejections: true })
      })
      const call = yield* start(resilient(Effect.fail("down"), "a"))
      const other = yield* start(resilient(Effect.never, "b"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(call.pollUnsafe(), Exit.fail("down"))
      yield* Fiber.interrupt(other)
    })
)

it.effect("where each attempt is admitted, each is classified once, and the call is what its last one was", () =>
  Effect.gen(function* () {
    const { events, record } = recorder()
    let asked = 0
    const { resilient } = yield* Resilience.make("app", {
      admission: "attempt",
      rateLimiter: RateLimiter.fixedWindow({ limit: 9, window: "1 hour" }),
      retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("1 second") }),
      classify: () => (asked++, "failure")
    })
    const call = yield* start(record(resilient(Effect.fail("down"), "a")))
    yield* TestClock.adjust("1 second")
    yield* Fiber.await(call)
    assert.strictEqual(asked, 2)
    const left = yield* start(record(resilient(Effect.fail("down"), "a")))
    yield* Fiber.interrupt(left)
    assert.strictEqual(asked, 3)
    assert.deepStrictEqual(
      events.flatMap((event) => (event._tag === "CallEnded" ? [[event.outcome, event.attempts]] : [])),
      [
        ["failure", 2],
        ["failure", 1]
      ]
    )
  })
)

it.effect("a slot that came back after a refusal of the store does not come back again with the call", () =>
  Effect.gen(function* () {
    const { layer } = yield* remote
    const { inspect, resilient } = yield* serviceOn(layer, {
      bulkhead: Bulkhead.policy({ maxConcurrent: 2 }),
      rateLimiter: RateLimiter.fixedWindow({ limit: 1, window: "1 hour", maxWait: "2 hours" })
    })
    const runs = yield* start(resilient(Effect.never, "a"))
    const waits = yield* start(resilient(Effect.never, "a"))
    assert.strictEqual((yield* inspect("a")).bulkhead?.running, 1)
    yield* Fiber.interrupt(waits)
    assert.strictEqual((yield* inspect("a")).bulkhead?.running, 1)
    yield* Fiber.interrupt(runs)
  })
)

it.effect("a call is classified once, however many attempts it makes", () =>
  Effect.gen(function* () {
    let asked = 0
    const { inspect, resilient } = yield* Resilience.make("app", {
      bulkhead: Bulkhead.policy({ maxConcurrent: 1 }),
      rateLimiter: RateLimiter.fixedWindow({ limit: 9, window: "1 hour" }),
      retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("1 second") }),
      classify: () => (asked++, "failure")
    })
    let runs = 0
    const call = yield* start(
      resilient(
        Effect.suspend(() => (++runs < 3 ? Effect.fail("down") : Effect.never)),
        "a"
      )
    )
    yield* TestClock.adjust("2 seconds")
    assert.strictEqual((yield* inspect("a")).bulkhead?.running, 1)
    yield* Fiber.interrupt(call)
    assert.deepStrictEqual([asked, (yield* inspect("a")).bulkhead?.running], [1, 0], "of its last failed attempt")
    const next = yield* start(Effect.exit(resilient(Effect.fail("down"), "a")))
    yield* TestClock.adjust("2 seconds")
    assert.deepStrictEqual([yield* Fiber.join(next), asked], [Exit.fail("down"), 2])
  })
)

it.effect("a layer that answers by itself is no refusal, and no attempt", () =>
  Effect.gen(function* () {
    const { events, record } = recorder()
    const cached = Policy.make<Policy.Policy>({
      kind: "cache",
      options: {},
      open: () => ({ kind: "cache", stage: Policy.Stage.shed, around: () => () => Effect.succeed("cached") })
    })
    const { resilient } = yield* Resilience.make("app", { policies: { cached } })
    assert.deepStrictEqual(yield* record(resilient(Effect.succeed("fresh"), "a")), "cached")
    const exit = Exit.succeed("cached")
    const ended = { outcome: "ignored", exit, attempts: 0, duration: 0, timedOut: false, rejected: false } as const
    assert.deepStrictEqual(events, [{ _tag: "CallEnded", service: "app", key: "a", ...ended }] satisfies typeof events)
  })
)
