/** What an admission holds, tells and asks on its way, in this process and with a store elsewhere. */
import { assert, it } from "@effect/vitest"
import { Cause, type Duration, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Resilience, Retry } from "../../src/index.ts"
import { Store } from "../../src/Store.ts"
import { remote, serviceOn } from "./remote.ts"
import { recorder } from "./support.ts"

const again = Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("1 minute"), retryRejections: true })
const tripsOnSlow = (slowAfter: Duration.Input) =>
  CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.slowCallRate({ slowAfter, threshold: 1, window: { calls: 2 }, minimumCalls: 1 }),
    openDuration: "1 minute"
  })
const start = <A, E>(self: Effect.Effect<A, E>) => Effect.forkChild(self, { startImmediately: true })

it.effect("a call that the store failed holds no slot while it backs off", () =>
  Effect.gen(function* () {
    const { layer, line } = yield* remote
    line.mode = "down"
    const { events, record } = recorder()
    const { inspect, resilient } = yield* serviceOn(layer, {
      bulkhead: Bulkhead.policy({ maxConcurrent: 1 }),
      rateLimiter: RateLimiter.fixedWindow({ limit: 9, window: "1 hour" }),
      retry: again,
      store: { onError: "fail" }
    })
    const call = yield* start(record(resilient(Effect.succeed(1), "a")))
    assert.deepInclude(events.find((event) => event._tag === "Rejected")?.rejection, { reason: "unavailable" })
    line.mode = "up"
    assert.strictEqual((yield* inspect("a")).bulkhead?.running, 0)
    assert.strictEqual(yield* resilient(Effect.succeed(2), "b"), 2)
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(yield* Fiber.join(call), 1)
  })
)

it.effect("a call that waited in vain stands in no line while it backs off", () =>
  Effect.gen(function* () {
    const { inspect, resilient } = yield* Resilience.make("app/Api", {
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 second" }),
      retry: again
    })
    const slow = yield* start(resilient(Effect.never, "a"))
    const call = yield* start(resilient(Effect.succeed(1), "a"))
    assert.strictEqual((yield* inspect("a")).bulkhead?.queued, 1)
    yield* TestClock.adjust("1 second")
    assert.strictEqual((yield* inspect("a")).bulkhead?.queued, 0)
    yield* Fiber.interrupt(slow)
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(yield* Fiber.join(call), 1)
  })
)

it.effect("what a store dies of is what the call dies of", () =>
  Effect.gen(function* () {
    const { store } = yield* remote
    const { resilient } = yield* Resilience.makeFromStore("app/Api", {
      rateLimiter: RateLimiter.fixedWindow({ limit: 9, window: "1 hour" })
    }).pipe(Effect.provideService(Store, { ...store, commit: () => Effect.die("a bug of the store") }))
    const exit = yield* Effect.exit(resilient(Effect.succeed(1), "a"))
    assert.deepStrictEqual(Exit.isFailure(exit) && exit.cause.reasons, Cause.die("a bug of the store").reasons)
  })
)

it.effect("where there is nothing to ask of it, a store elsewhere is not asked", () =>
  Effect.gen(function* () {
    const { layer, line } = yield* remote
    const { resilient } = yield* serviceOn(layer, { bulkhead: Bulkhead.policy({ maxConcurrent: 1 }) })
    assert.strictEqual(yield* resilient(Effect.succeed(1), "a"), 1)
    assert.strictEqual(line.asked, 0)
  })
)

it.effect("the time of a trip is no wait", () =>
  Effect.gen(function* () {
    const { layer, line } = yield* remote
    line.mode = "slow"
    const { events, record } = recorder()
    const { resilient } = yield* serviceOn(layer, {
      rateLimiter: RateLimiter.fixedWindow({ limit: 9, window: "1 hour" })
    })
    const call = yield* start(record(resilient(Effect.succeed(1), "a")))
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(call)
    const [admitted] = events.filter((event) => event._tag === "Admitted")
    assert.strictEqual(admitted!.waited, 0)
  })
)

it.effect("a call that waits says for what", () =>
  Effect.gen(function* () {
    const { events, record } = recorder()
    const { resilient } = yield* Resilience.make("app/Api", {
      bulkhead: Bulkhead.policy({ maxConcurrent: 1, maxWait: "1 minute" }),
      rateLimiter: RateLimiter.fixedWindow({ limit: 1, window: "1 second", maxWait: "1 minute" })
    })
    yield* resilient(Effect.void, "a")
    const slow = yield* start(record(resilient(Effect.never, "a")))
    yield* TestClock.adjust("2 seconds")
    const next = yield* start(record(resilient(Effect.void, "b")))
    assert.deepStrictEqual(
      events.filter((event) => event._tag === "Queued"),
      [
        { _tag: "Queued", service: "app/Api", key: "a", policy: "rateLimiter", limit: "limit" },
        { _tag: "Queued", service: "app/Api", key: "b", policy: "bulkhead", limit: "bulkhead" }
      ]
    )
    yield* Fiber.interruptAll([slow, next])
  })
)

it.effect("nobody is asked how long to stay away for what was no failure, or had no error", () =>
  Effect.gen(function* () {
    const asked: Array<unknown> = []
    const { resilient } = yield* Resilience.make("app/Api", {
      circuitBreaker: CircuitBreaker.policy({
        tripPolicy: CircuitBreaker.consecutive(9),
        openDuration: "1 minute",
        retryAfter: (error) => {
          asked.push(error)
          return Option.none()
        }
      }),
      classify: (exit) =>
        Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("no matter") ? "ignored" : "failure"
    })
    yield* Effect.exit(resilient(Effect.fail("no matter"), "a"))
    yield* Effect.exit(resilient(Effect.die("a defect"), "a"))
    assert.deepStrictEqual(asked, [])
    yield* Effect.exit(resilient(Effect.fail("a failure"), "a"))
    assert.deepStrictEqual(asked, ["a failure"])
  })
)

it.effect("a call that began at time 0 is told with its whole duration", () =>
  Effect.gen(function* () {
    const { events, record } = recorder()
    const { resilient } = yield* Resilience.make("app/Api", {
      retry: Retry.policy({ maxAttempts: 1, backoff: Backoff.constant(1) })
    })
    const call = yield* start(record(resilient(Effect.sleep("3 seconds"), "a")))
    yield* TestClock.adjust("3 seconds")
    yield* Fiber.join(call)
    assert.deepStrictEqual(
      events.map((event) => ("duration" in event ? event.duration : undefined)),
      [undefined, 3_000, 3_000]
    )
  })
)

it.effect("calls that are slow already are told to a circuit elsewhere before it is asked", () =>
  Effect.gen(function* () {
    const { layer } = yield* remote
    const { resilient } = yield* serviceOn(layer, {
      circuitBreaker: tripsOnSlow("1 second")
    })
    const slow = yield* start(resilient(Effect.never, "a"))
    yield* TestClock.adjust("2 seconds")
    const error = yield* Effect.flip(resilient(Effect.succeed(1), "b"))
    assert.strictEqual(error._tag, "CircuitOpen")
    yield* Fiber.interrupt(slow)
  })
)

it.effect("what a call gives back that left in mid-trip wakes who waits for it", () =>
  Effect.gen(function* () {
    const { layer, line } = yield* remote
    line.mode = "slow"
    const { resilient } = yield* serviceOn(layer, {
      rateLimiter: RateLimiter.fixedWindow({ limit: 1, window: "1 hour", maxWait: "2 hours" })
    })
    const first = yield* start(resilient(Effect.succeed(1), "a"))
    const second = yield* start(resilient(Effect.succeed(2), "a"))
    yield* TestClock.adjust(30)
    yield* Fiber.interrupt(first)
    yield* TestClock.adjust(500)
    assert.deepStrictEqual(second.pollUnsafe(), Exit.succeed(2))
  })
)

it.effect("the permit of a call that left in mid-trip goes back by the clock of the call", () =>
  Effect.gen(function* () {
    const { layer, line } = yield* remote
    const { inspect, resilient } = yield* serviceOn(layer, {
      circuitBreaker: tripsOnSlow("1 hour")
    })
    const long = yield* start(resilient(Effect.never, "a"))
    line.mode = "slow"
    const leaves = yield* start(resilient(Effect.succeed(1), "a"))
    yield* TestClock.adjust(30)
    yield* Fiber.interrupt(leaves)
    yield* TestClock.adjust(500)
    line.mode = "up"
    assert.strictEqual((yield* inspect("a")).circuitBreaker?.state, "Closed")
    yield* Fiber.interrupt(long)
  })
)

it.effect("a call whose classifier throws still gives its probe back to a store elsewhere", () =>
  Effect.gen(function* () {
    const { layer } = yield* remote
    const { inspect, resilient } = yield* serviceOn(layer, {
      circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 second" })
    })
    yield* Effect.flip(resilient(Effect.fail("down"), "a"))
    yield* TestClock.adjust("1 second")
    const broken = resilient(Effect.void, "a", {
      classify: () => {
        throw new Error("a bug of the classifier")
      }
    })
    assert.isTrue(Exit.isFailure(yield* Effect.exit(broken)))
    assert.deepInclude((yield* inspect("a")).circuitBreaker, { state: "HalfOpen", probesInFlight: 0 })
  })
)

it.effect("a call that was on its way already when another began to wait is let through", () =>
  Effect.gen(function* () {
    const { layer, line } = yield* remote
    line.mode = "slow"
    const { resilient } = yield* serviceOn(layer, {
      rateLimiter: RateLimiter.fixedWindow({ limit: 2, window: "1 hour", maxWait: "2 hours" })
    })
    const call = (n: number, cost: number) =>
      Effect.andThen(start(resilient(Effect.succeed(n), "a", { cost })), (fiber) =>
        Effect.as(TestClock.adjust(10), fiber)
      )
    const one = yield* call(1, 1)
    const two = yield* call(2, 2)
    const three = yield* call(3, 1)
    yield* TestClock.adjust(500)
    assert.deepStrictEqual(
      [one, two, three].map((fiber) => fiber.pollUnsafe()),
      [Exit.succeed(1), undefined, Exit.succeed(3)]
    )
    yield* Fiber.interrupt(two)
  })
)

it.effect("a call that waited says how long, and one that did not says 0", () =>
  Effect.gen(function* () {
    const { events, record } = recorder()
    const { resilient } = yield* Resilience.make("app/Api", {
      rateLimiter: RateLimiter.fixedWindow({ limit: 1, window: "1 second", maxWait: "1 minute" })
    })
    yield* TestClock.adjust(300)
    yield* record(resilient(Effect.void, "a"))
    const call = yield* start(record(resilient(Effect.void, "a")))
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(call)
    assert.deepStrictEqual(
      events.flatMap((event) => (event._tag === "Admitted" ? [event.waited] : [])),
      [0, 700]
    )
  })
)
