/** Members in their places: layers around a call and an attempt, and what is observed as a part of it. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { longestOf } from "../../src/engine/assemble.ts"
import { EventSink } from "../../src/Event.ts"
import { Bulkhead, Policy, RateLimiter, Rejection, Resilience } from "../../src/index.ts"
import { recorder } from "./support.ts"

const layer = (stage: number, around: NonNullable<Policy.Member["around"]>, more: Partial<Policy.Member> = {}) =>
  Policy.make<Policy.Policy>({
    kind: "layer",
    options: {},
    open: () => ({ kind: "layer", stage, around, ...more })
  })

it.effect("layers stand in the order of their stages, each once, and an event tells of an attempt from 85 on", () =>
  Effect.gen(function* () {
    const log: Array<string> = []
    const noting = (stage: number) =>
      layer(stage, (next) => (attempt, now) => {
        log.push(`${stage}`)
        return Effect.onExit(next(attempt, now), () => Effect.sync(() => log.push(`-${stage}`)))
      })
    const stages = [95, 85, 71, 0, 84, 69]
    const { resilient } = yield* Resilience.make("app", {
      policies: Object.fromEntries(stages.map((stage) => [`of${stage}`, noting(stage)])),
      bulkhead: Bulkhead.policy({ maxConcurrent: 1 })
    })
    const run = resilient(
      Effect.sync(() => log.push("run")),
      "a"
    )
    yield* Effect.provideService(run, EventSink, ({ _tag }) => void log.push(_tag))
    assert.deepStrictEqual(log, [
      "0",
      "69",
      "Admitted",
      "71",
      "84",
      "85",
      "95",
      "run",
      "-95",
      "-85",
      "AttemptEnded",
      "-84",
      "-71",
      "-69",
      "-0",
      "CallEnded"
    ])
  })
)

it.effect("an attempt beside another does not wait: it is refused with the error of where it would", () =>
  Effect.gen(function* () {
    const { events, record } = recorder()
    const hedged = layer(
      65,
      (next) => (attempt, now) =>
        Effect.andThen(
          next(attempt, now),
          Effect.suspend(() => next(attempt.call.further(1, 1), now))
        )
    )
    const { resilient } = yield* Resilience.make("app", {
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute" }),
      policies: { hedged }
    })
    const error = yield* Effect.flip(record(resilient(Effect.void, "a")))
    assert.instanceOf(error, Rejection.BulkheadFull)
    assert.deepInclude(error, { reason: "full" })
    assert.notInclude(
      events.map(({ _tag }) => _tag),
      "Queued"
    )
  })
)

it.effect("a call that waits tells so once, however often it asks", () =>
  Effect.gen(function* () {
    const { record, tags } = recorder()
    const { resilient } = yield* Resilience.make("app", {
      rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 second", maxWait: "1 minute" })
    })
    const call = Effect.forkChild(resilient(Effect.void, "a"), { startImmediately: true })
    const first = [yield* call, yield* call]
    const last = yield* record(call)
    yield* TestClock.adjust("1 minute")
    yield* Fiber.joinAll([...first, last])
    assert.deepStrictEqual(tags(), ["Queued", "Admitted", "AttemptEnded", "CallEnded"])
  })
)

it("a timeout below the retry bounds the call, one from there on each attempt, and the shortest of several counts", () => {
  const of = (stage: number, longest?: number): Policy.Member => ({ kind: "timeout", stage, longest })
  assert.deepStrictEqual(longestOf([of(10, 9), of(69, 7), of(0), of(70, 5), of(89, 6), of(95)]), {
    call: 7,
    attempt: 5
  })
  assert.deepStrictEqual(longestOf([of(89, 4)]), { call: Infinity, attempt: 4 })
  assert.deepStrictEqual(longestOf([]), { call: Infinity, attempt: Infinity })
})
