/** What the engine does with the tickets of any policy: of a user's own, too. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, type Outcome, Policy, RateLimiter, Rejection, Resilience, Retry } from "../../src/index.ts"
import { Store } from "../../src/Store.ts"
import { remote, serviceOn } from "./remote.ts"
import { recorder } from "./support.ts"

/** A policy whose tickets let everybody through, but for what is said here. */
const ticketing = (ticket: Partial<Policy.Ticket>, member: Partial<Policy.Member> = {}) =>
  Policy.make<Policy.Policy>({
    kind: "own",
    options: {},
    open: () => ({
      kind: "own",
      stage: Policy.Stage.shed,
      enter: () => ({ steps: [], check: () => true, refusal: () => undefined, admitted: () => {}, ...ticket }),
      ...member
    })
  })

const throws = (defect: unknown) => () => {
  throw defect
}

describe("a member that throws at the end of a call", () => {
  const cases: Record<string, Partial<Policy.Ticket>> = {
    "as it records": { record: throws("first") },
    "as it releases": { release: throws("first") },
    "as it records, and as it releases": { record: throws("first"), release: throws("second") }
  }
  for (const [when, ticket] of Object.entries(cases)) {
    it.effect(`${when}: the call dies of it, and the other members hear of the end`, () =>
      Effect.gen(function* () {
        const heard: Array<unknown> = []
        const { resilient } = yield* Resilience.make("app", {
          policies: {
            throws: ticketing(ticket),
            hears: ticketing({
              record: (outcome) => void heard.push(outcome),
              release: (started) => void heard.push(started)
            })
          }
        })
        assert.deepStrictEqual(yield* Effect.exit(resilient(Effect.void, "a")), Exit.die("first"))
        assert.deepStrictEqual(heard, ["success", true])
      })
    )
  }

  it.effect("a classifier that throws is asked once, and the call is ignored", () =>
    Effect.gen(function* () {
      const heard: Array<Outcome.Outcome> = []
      let asked = 0
      const { resilient } = yield* Resilience.make("app", {
        policies: { one: ticketing({ record: (outcome) => void heard.push(outcome) }) },
        classify: () => {
          asked++
          throw "a bug of the classifier"
        }
      })
      assert.deepStrictEqual(yield* Effect.exit(resilient(Effect.void, "a")), Exit.die("a bug of the classifier"))
      assert.deepStrictEqual([heard, asked], [["ignored"], 1])
    })
  )

  it.effect("a classifier that throws is asked once, and an attempt is ignored by all of its members", () =>
    Effect.gen(function* () {
      const heard: Array<Outcome.Outcome> = []
      const ofAttempt = () => ticketing({ record: (outcome) => void heard.push(outcome) }, { scope: "attempt" })
      let asked = 0
      const { resilient } = yield* Resilience.make("app", {
        policies: { one: ofAttempt(), other: ofAttempt() },
        retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(1) }),
        classify: () => {
          asked++
          throw "a bug of the classifier"
        }
      })
      const exit = yield* Effect.exit(resilient(Effect.fail("down"), "a"))
      assert.deepStrictEqual(exit, Exit.die("a bug of the classifier"))
      assert.deepStrictEqual(heard, ["ignored", "ignored"])
      assert.strictEqual(asked, 1)
    })
  )
})

class Refused extends Rejection.Rejection {
  readonly _tag = "Refused"
  readonly policy: string
  readonly reason = "no"
  constructor(policy: string) {
    super({ service: "app", key: "a" })
    this.policy = policy
  }
}

type Times = Omit<Policy.Refusal, "error" | "wait"> & { readonly waits?: boolean }

/** A policy that refuses every call, and where it may wait, notes with which deadline it does. */
const refusing = (kind: string, { waits = false, ...times }: Times, waiting: Array<unknown> = []) =>
  ticketing(
    {
      check: () => false,
      refusal: () => ({
        error: new Refused(kind),
        ...times,
        ...(waits ? { wait: ({ deadline }) => void waiting.push([kind, deadline]) } : {})
      })
    },
    { kind }
  )

describe("where several members refuse", () => {
  const waitAt = (retryAt: number | undefined, until = 9): Times => ({ retryAt, until, waits: true })
  const waits: ReadonlyArray<readonly [what: string, first: Times, second: Times, where: string, until: number]> = [
    ["with the later time", waitAt(5), waitAt(6), "second", 9],
    ["with the later time, in any order", waitAt(6), waitAt(5), "first", 9],
    ["with the first of equals", waitAt(5), waitAt(5), "first", 9],
    ["with a known time rather than an unknown one, be it 0", waitAt(undefined), waitAt(0), "second", 9],
    ["with a known time, in any order", waitAt(0), waitAt(undefined), "first", 9],
    ["with the first of unknown times", waitAt(undefined), waitAt(undefined), "first", 9],
    ["until the earlier of two ends", waitAt(1, 8), waitAt(2, 7), "second", 7],
    ["until the earlier of two ends, in any order", waitAt(1, 7), waitAt(2, 8), "second", 7]
  ]
  for (const [what, first, second, where, until] of waits) {
    it.effect(`a call waits ${what}`, () =>
      Effect.gen(function* () {
        const waiting: Array<unknown> = []
        const { events, record } = recorder()
        const { resilient } = yield* Resilience.make("app", {
          policies: { first: refusing("first", first, waiting), second: refusing("second", second, waiting) }
        })
        const call = yield* Effect.forkChild(record(resilient(Effect.void, "a")), { startImmediately: true })
        assert.deepStrictEqual(waiting, [[where, until]])
        assert.deepStrictEqual(events, [
          { _tag: "Queued", service: "app", key: "a", policy: where, limit: where }
        ] satisfies typeof events)
        yield* Fiber.interrupt(call)
        const exit = yield* Fiber.await(call)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      })
    )
  }

  const ends: ReadonlyArray<readonly [what: string, refusals: ReadonlyArray<Times>, by: number]> = [
    ["of the one where it may not wait", [waitAt(5), { until: 9 }], 1],
    ["of the first where it may not wait", [waitAt(5), { until: 9 }, { until: 7 }], 1],
    ["that is not about time, before all others", [waitAt(5), { until: 9 }, {}, {}], 2]
  ]
  for (const [what, refusals, by] of ends) {
    it.effect(`a call ends with the error ${what}`, () =>
      Effect.gen(function* () {
        const waiting: Array<unknown> = []
        const { resilient } = yield* Resilience.make("app", {
          policies: Object.fromEntries(refusals.map((times, i) => [`of${i}`, refusing(`${i}`, times, waiting)]))
        })
        const error = yield* Effect.flip(resilient(Effect.void, "a"))
        assert.deepInclude(error, { policy: `${by}` })
        assert.deepStrictEqual(waiting, [])
      })
    )
  }
})

it.effect("what is taken before a trip to the store is taken once, and no other call gets it meanwhile", () =>
  Effect.gen(function* () {
    const { layer, line } = yield* remote
    line.mode = "slow"
    const { inspect, resilient } = yield* serviceOn(layer, {
      bulkhead: Bulkhead.policy({ maxConcurrent: 1 }),
      rateLimiter: RateLimiter.fixedWindow({ limit: 9, window: "1 hour" })
    })
    const first = yield* Effect.forkChild(resilient(Effect.never, "a"), { startImmediately: true })
    const error = yield* Effect.flip(resilient(Effect.void, "b"))
    assert.deepInclude(error, { policy: "bulkhead", reason: "full" })
    yield* TestClock.adjust(70)
    line.mode = "up"
    assert.strictEqual((yield* inspect("a")).bulkhead?.running, 1)
    yield* Fiber.interrupt(first)
    assert.strictEqual((yield* inspect("a")).bulkhead?.running, 0)
  })
)

it.effect("no backoff begins where what admitted the call is over", () =>
  Effect.gen(function* () {
    const { record, tags } = recorder()
    const { resilient } = yield* Resilience.make("app", {
      policies: { over: ticketing({ left: () => true }) },
      retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("1 second") })
    })
    assert.strictEqual(yield* Effect.flip(record(resilient(Effect.fail("down"), "a"))), "down")
    assert.deepStrictEqual(tags(), ["Admitted", "AttemptEnded", "CallEnded"])
  })
)

it.effect("a call that waits for a slot of its key says for what", () =>
  Effect.gen(function* () {
    const { events, record } = recorder()
    const { resilient } = yield* Resilience.make("app", {
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute", by: "key" })
    })
    const runs = yield* Effect.forkChild(resilient(Effect.never, "a"), { startImmediately: true })
    const waits = yield* Effect.forkChild(record(resilient(Effect.void, "a")), { startImmediately: true })
    assert.deepStrictEqual(events, [
      { _tag: "Queued", service: "app", key: "a", policy: "bulkhead", limit: "bulkhead" }
    ] satisfies typeof events)
    yield* Fiber.interruptAll([runs, waits])
  })
)

it.effect("what a store dies of is what a call dies of, also where it would be tried again", () =>
  Effect.gen(function* () {
    const { store } = yield* remote
    const { resilient } = yield* Resilience.makeFromStore("app", {
      rateLimiter: RateLimiter.fixedWindow({ limit: 9, window: "1 hour" }),
      retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant(1), retryRejections: true })
    }).pipe(Effect.provideService(Store, { ...store, commit: () => Effect.die("a bug of the store") }))
    const exit = yield* Effect.exit(resilient(Effect.succeed(1), "a"))
    assert.deepStrictEqual(Exit.isFailure(exit) && exit.cause.reasons, Cause.die("a bug of the store").reasons)
  })
)
