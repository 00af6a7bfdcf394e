/** A database whose clock was ahead (a failover, a step of NTP): what was written then lies in the future. */
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { CircuitBreaker, RateLimiter, Resilience } from "effect-resilience"
import { SqlStore } from "../src/index.ts"
import { clientOf } from "./servers.ts"
import { missing, skipped, usePostgres } from "./suite.ts"

vi.setConfig({ testTimeout: 120_000 })

const hour = 3_600_000
const limits = {
  tokenBucket: (limit: number) => RateLimiter.tokenBucket({ limit, window: "1 hour" }),
  fixedWindow: (limit: number) => RateLimiter.fixedWindow({ limit, window: "1 hour" }),
  slidingWindow: (limit: number) => RateLimiter.slidingWindow({ limit, window: "1 hour" }),
  slidingLog: (limit: number) => RateLimiter.slidingLog({ limit, window: "1 hour" })
}

describe.skipIf(missing)(`a PostgreSQL whose clock was ahead${skipped}`, () => {
  const server = usePostgres()
  const both = Layer.unwrap(Effect.sync(() => Layer.provideMerge(SqlStore.layer(), clientOf(server().url))))
  /** All times in the rows of a service, as a clock would have written them that was so much ahead. */
  const ahead = (service: string, millis: number) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const pattern = `[2,"${service}/%`
      const rows = yield* sql<{ readonly key: string; readonly state: string }>`
        SELECT key, state FROM effect_resilience WHERE space LIKE ${pattern}`
      assert.lengthOf(rows, 1)
      // what has 13 digits is a time of this century
      const state = rows[0]!.state.replaceAll(/\b1\d{12}\b/g, (time) => String(Number(time) + millis))
      assert.notStrictEqual(state, rows[0]!.state)
      yield* sql`UPDATE effect_resilience SET state = ${state}, expires_at = expires_at + ${millis} WHERE space LIKE ${pattern}`
    })

  for (const [name, limit] of Object.entries(limits)) {
    const calls = (service: string, most: number, count: number) =>
      Effect.gen(function* () {
        const { resilient } = yield* Resilience.makeFromStore(service, {
          rateLimiter: limit(most),
          store: { onError: "fail" }
        })
        let allowed = 0
        for (let i = 0; i < count; i++) {
          const exit = yield* Effect.exit(resilient(Effect.void, "a"))
          if (Exit.isSuccess(exit)) allowed++
          else assert.include(String(exit), "RateLimitExceeded")
        }
        return allowed
      }).pipe(Effect.scoped)

    it.live(`by far more than a limit's window: one more of it is let through, and the limit holds, ${name}`, () =>
      Effect.gen(function* () {
        const service = `clock/far ${name}`
        assert.strictEqual(yield* calls(service, 10, 10), 10)
        yield* ahead(service, 3 * hour)
        const allowed = yield* calls(service, 10, 25)
        assert.isAtLeast(allowed, 10)
        assert.isAtMost(allowed, 20, "two of them, where a window begins meanwhile")
      }).pipe(Effect.provide(both))
    )

    it.live(`by far more than a limit's window: another policy of it is not held up either, ${name}`, () =>
      Effect.gen(function* () {
        const service = `clock/other ${name}`
        assert.strictEqual(yield* calls(service, 10, 10), 10)
        yield* ahead(service, 3 * hour)
        assert.isAtLeast(yield* calls(service, 12, 14), 12)
      }).pipe(Effect.provide(both))
    )

    it.live(`by less than a limit's window: what was spent is spent, ${name}`, () =>
      Effect.gen(function* () {
        const service = `clock/near ${name}`
        assert.strictEqual(yield* calls(service, 10, 10), 10)
        yield* ahead(service, 500)
        assert.isAtMost(yield* calls(service, 10, 3), 1)
      }).pipe(Effect.provide(both))
    )
  }

  it.live("by far more than an opening lasts: the circuit asks a probe", () =>
    Effect.gen(function* () {
      const service = "clock/circuit"
      const { inspect, resilient } = yield* Resilience.makeFromStore(service, {
        circuitBreaker: CircuitBreaker.policy({
          tripPolicy: CircuitBreaker.consecutive(1),
          openDuration: "1 hour",
          by: "key"
        }),
        store: { onError: "fail" }
      })
      const state = Effect.map(inspect("a"), ({ circuitBreaker }) => circuitBreaker!.state)
      yield* Effect.exit(resilient(Effect.fail("down"), "a"))
      assert.strictEqual(yield* state, "Open")
      yield* ahead(service, 500)
      assert.strictEqual(yield* state, "Open")
      yield* ahead(service, 3 * hour)
      assert.strictEqual(yield* resilient(Effect.succeed("ran"), "a"), "ran")
      assert.strictEqual(yield* state, "Closed")
    }).pipe(Effect.provide(both))
  )
})
