/**
 * Law 9. With a synchronous effect and `maxWait` 0, `Effect.runSync` works on the whole pipeline.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, References } from "effect"
import { Backoff, Bulkhead, CircuitBreaker, RateLimiter, Resilience, Retry } from "../../src/index.ts"

class Whole extends Resilience.Service<Whole>()("test/Whole", {
  timeout: "1 second",
  attemptTimeout: "500 millis",
  circuitBreaker: CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.anyOf(
      CircuitBreaker.consecutive(2),
      CircuitBreaker.slowCallRate({ slowAfter: "1 second", threshold: 0.5, window: "1 minute" })
    ),
    openDuration: "1 minute"
  }),
  rateLimiter: RateLimiter.every({
    user: RateLimiter.tokenBucket({ limit: 3, window: "1 hour" }),
    all: RateLimiter.shared(RateLimiter.slidingWindow({ limit: 100, window: "1 hour" }))
  }),
  bulkhead: Bulkhead.policy({ maxConcurrent: 1 }),
  retry: Retry.policy({
    maxAttempts: 3,
    backoff: Backoff.exponential({ base: "1 second" }),
    while: (error: string) => error === "again"
  })
}) {}

const key = { user: "ada" }
const every = [3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 24, 32, 64, 2048]

const sync = <A, E>(maxOps: number, program: Effect.Effect<A, E, Whole>) =>
  Effect.runSyncExit(
    program.pipe(Effect.provide(Layer.fresh(Whole.layer)), Effect.provideService(References.MaxOpsBeforeYield, maxOps))
  )

describe("law 9: Effect.runSync", () => {
  for (const maxOps of every) {
    it(`runs a call through every policy (a yield each ${maxOps} operations)`, () => {
      const exit = sync(
        maxOps,
        Effect.gen(function* () {
          const answers = [
            yield* Whole.resilient(Effect.succeed(1), key),
            yield* Whole.resilient(
              Effect.sync(() => 2),
              key
            )
          ]
          const seen = yield* Whole.inspect(key)
          return [
            answers,
            seen.rateLimiter?.limits["user"]?.remaining,
            seen.bulkhead?.running,
            seen.circuitBreaker?.state
          ]
        })
      )
      assert.deepStrictEqual(exit, Exit.succeed([[1, 2], 1, 0, "Closed"]))
    })

    it(`runs every refusal and failure (a yield each ${maxOps} operations)`, () => {
      const exit = sync(
        maxOps,
        Effect.gen(function* () {
          const down = Effect.flip(Whole.resilient(Effect.fail("down"), key))
          const first = yield* down
          const second = yield* down
          const third = yield* down
          const died = yield* Effect.exit(Whole.resilient(Effect.die("bug"), { user: "bob" }))
          return [first, second, typeof third === "string" ? third : third._tag, died._tag]
        })
      )
      assert.deepStrictEqual(exit, Exit.succeed(["down", "down", "CircuitOpen", "Failure"]))
    })
  }

  it("refuses by the limit", () => {
    const exit = sync(
      2048,
      Effect.gen(function* () {
        for (let i = 0; i < 3; i++) yield* Whole.resilient(Effect.void, key)
        return (yield* Effect.flip(Whole.resilient(Effect.void, key)))._tag
      })
    )
    assert.deepStrictEqual(exit, Exit.succeed("RateLimitExceeded"))
  })

  const many = Effect.forEach(
    Array.from({ length: 5_000 }, (_, i) => i),
    (i) => Effect.succeed(i),
    { discard: true }
  )

  it("lets others run while a body of many operations runs under a timer", () => {
    const exit = sync(
      2048,
      Effect.gen(function* () {
        let ran = false
        yield* Effect.forkChild(Effect.sync(() => (ran = true)))
        const seen = Effect.sync(() => ran)
        return [yield* seen, yield* Whole.resilient(Effect.andThen(many, seen), key)]
      })
    )
    assert.deepStrictEqual(exit, Exit.succeed([false, true]))
  })

  it("runs a body of many operations under a timer", () => {
    assert.deepStrictEqual(sync(2048, Whole.resilient(Effect.as(many, "done"), key)), Exit.succeed("done"))
  })
})
