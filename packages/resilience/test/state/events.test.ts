/** What happens in a transaction is told when it has happened: after the commit, once. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Bulkhead, CircuitBreaker, type Event, RateLimiter, Resilience, Retry } from "../../src/index.ts"
import { EventSink } from "../../src/Event.ts"
import { recorder, settle } from "./support.ts"

const policy = RateLimiter.slidingLog({ limit: 2, window: "1 second" })
const trip = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "10 seconds" })

describe("events of a transaction", () => {
  it.effect("follow its commit, in order, each once", () =>
    Effect.gen(function* () {
      const { events, record, tags } = recorder()
      const limiter = yield* RateLimiter.make(policy, "app/limiter")
      yield* Effect.gen(function* () {
        yield* Effect.tx(
          Effect.gen(function* () {
            yield* limiter.allow("a")
            yield* Effect.tx(limiter.acquire("a"))
            yield* limiter.allow("a")
            yield* Effect.ignore(limiter.acquire("b", { cost: 9 }))
            yield* settle
            assert.deepStrictEqual(events, [])
          })
        )
        yield* settle
        assert.deepStrictEqual(tags(), ["Admitted", "Admitted", "Rejected", "Rejected"])
        assert.deepInclude(events[0], { service: "app/limiter", key: "a", attempt: 1, waited: 0 })
        assert.deepInclude(events[3], { key: "b" })
      }).pipe(record)
    })
  )

  it.effect("are told when the commit can be seen", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make(policy)
      const left: Array<number> = []
      const sink: Event.Sink = (_event, { context }) => {
        left.push(Effect.runSyncWith(context)(limiter.peek("a")).remaining)
      }
      yield* Effect.tx(limiter.allow("a")).pipe(Effect.provideService(EventSink, sink))
      yield* settle
      assert.deepStrictEqual(left, [1])
    })
  )

  for (const [how, failure] of Object.entries({
    fails: Effect.fail("no"),
    dies: Effect.die("no"),
    "is interrupted": Effect.interrupt
  })) {
    it.effect(`are never told when it ${how}`, () =>
      Effect.gen(function* () {
        const { events, record } = recorder()
        const limiter = yield* RateLimiter.make(policy)
        const breaker = yield* CircuitBreaker.make(trip)
        yield* Effect.exit(Effect.tx(Effect.all([limiter.allow("a"), breaker.isolate(), failure]))).pipe(record)
        yield* settle
        assert.deepStrictEqual(events, [])
      })
    )
  }

  it.effect("are those of the attempt that committed, when a conflict made it run again", () =>
    Effect.gen(function* () {
      const { record, tags } = recorder()
      const limiter = yield* RateLimiter.make(RateLimiter.slidingLog({ limit: 1, window: "1 second" }))
      const fiber = yield* Effect.forkChild(Effect.tx(Effect.tap(limiter.allow("a"), Effect.yieldNow)).pipe(record))
      yield* Effect.yieldNow
      yield* limiter.allow("a") // without a sink
      assert.isFalse(yield* Fiber.join(fiber))
      yield* settle
      assert.deepStrictEqual(tags(), ["Rejected"])
    })
  )

  it.effect("are those of the attempt that committed, when it waited with txRetry", () =>
    Effect.gen(function* () {
      const { record, tags } = recorder()
      const limiter = yield* RateLimiter.make(RateLimiter.slidingLog({ limit: 1, window: "1 second" }))
      yield* limiter.allow("a")
      const patient = Effect.flatMap(limiter.allow("a"), (allowed) => (allowed ? Effect.void : Effect.txRetry))
      const fiber = yield* Effect.forkChild(Effect.tx(patient).pipe(record))
      yield* settle
      assert.deepStrictEqual(tags(), [])
      yield* limiter.reset("a")
      yield* Fiber.join(fiber)
      yield* settle
      assert.deepStrictEqual(tags(), ["Admitted"])
    })
  )

  it.effect("tell of a circuit's moves once, and its own calls are told again only of new ones", () =>
    Effect.gen(function* () {
      const { events, record } = recorder()
      const breaker = yield* CircuitBreaker.make(trip, "app/breaker")
      yield* Effect.gen(function* () {
        yield* Effect.tx(
          Effect.gen(function* () {
            yield* breaker.isolate()
            yield* breaker.isolate()
            yield* breaker.close()
            yield* breaker.isolate()
            yield* settle
            assert.deepStrictEqual(events, [])
          })
        )
        yield* settle
        const moves = () =>
          events.flatMap((event) => (event._tag === "CircuitTransition" ? [`${event.from} ${event.to}`] : []))
        assert.deepStrictEqual(moves(), ["Closed Isolated", "Isolated Closed", "Closed Isolated"])
        yield* Effect.flip(breaker.execute(Effect.void))
        yield* breaker.state()
        assert.strictEqual(moves().length, 3)
        assert.deepStrictEqual(new Set(events.map((event: Event.Event) => event.service)), new Set(["app/breaker"]))
      }).pipe(record)
    })
  )

  it.effect("outside of a transaction are told at once", () =>
    Effect.gen(function* () {
      const { record, tags } = recorder()
      const limiter = yield* RateLimiter.make(policy)
      yield* Effect.gen(function* () {
        yield* limiter.allow("a")
        assert.deepStrictEqual(tags(), ["Admitted"])
      }).pipe(record)
    })
  )
})

it.effect("where no sink is set nothing is told, and nothing is thrown that a log would show", () =>
  Effect.gen(function* () {
    const logged: Array<unknown> = []
    const logger = Logger.make(({ message }) => void logged.push(message))
    const waits = { maxWait: "3 seconds", maxQueued: 1 } as const
    const policies = {
      circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(3), openDuration: "1 second" }),
      retry: Retry.policy({ maxAttempts: 2, backoff: Backoff.constant("100 millis"), retryRejections: true })
    }
    yield* Effect.gen(function* () {
      for (const wait of [
        { rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 second", ...waits }) },
        { bulkhead: Bulkhead.policy({ maxConcurrent: 1, ...waits }) }
      ]) {
        for (const timeouts of [{}, { timeout: "1 minute", attemptTimeout: "10 seconds" }] as const) {
          const { resilient } = yield* Resilience.make("app/Api", { ...policies, ...wait, ...timeouts })
          const ends = [Effect.fail("down"), Effect.delay(Effect.void, "1 second"), Effect.fail("down")]
          const calls = yield* Effect.forEach([...ends, ...ends, ...ends], (end) =>
            Effect.forkChild(Effect.exit(resilient(end, "a")))
          )
          yield* TestClock.adjust("1 minute")
          yield* Fiber.joinAll(calls)
        }
      }
    }).pipe(Effect.provide(Logger.layer([logger])))
    assert.deepStrictEqual(logged, [])
  })
)
