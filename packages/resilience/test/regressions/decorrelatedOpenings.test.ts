/** Ours: openings drawn from a decorrelated backoff went on growing up to the cap of the breaker, past the backoff's own. */
import { assert, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker } from "../../src/index.ts"

it.effect("no opening is longer than the cap of its backoff", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(
      CircuitBreaker.policy({
        tripPolicy: CircuitBreaker.consecutive(1),
        openDuration: Backoff.decorrelated({ base: "1 second", cap: "5 seconds" })
      })
    )
    const lengths: Array<number> = []
    for (let i = 0; i < 4; i++) {
      yield* Effect.exit(breaker.execute(Effect.fail("no")))
      const { openForMillis } = yield* breaker.state()
      lengths.push(openForMillis)
      yield* TestClock.adjust(openForMillis)
    }
    assert.deepStrictEqual(lengths, [3_000, 5_000, 5_000, 5_000])
  }).pipe(Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 1 - 2 ** -53, nextIntUnsafe: () => 0 }))
)
