/** What a call leaves behind in the table: most updates touch no index (PostgreSQL calls them HOT, heap-only tuples). */
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import type { Kernel } from "effect-resilience/kernel/Kernel"
import { slidingLog } from "effect-resilience/kernel/SlidingLog"
import { slidingWindow } from "effect-resilience/kernel/SlidingWindow"
import { tokenBucket } from "effect-resilience/kernel/TokenBucket"
import { type AnySpace, Step, Store } from "effect-resilience/Store"
import { SqlStore } from "../src/index.ts"
import { clientOf } from "./servers.ts"
import { missing, skipped, usePostgres } from "./suite.ts"

vi.setConfig({ testTimeout: 120_000 })

// oxlint-disable-next-line typescript/no-explicit-any -- a limiter of whatever state
const spaceOf = (kernel: Kernel<any, any, any, any>, policy: unknown): AnySpace => ({
  name: "updates",
  kernel,
  policy,
  keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity },
  isLimit: true
})
const take = (space: AnySpace, key: string) => new Step(space, key, { op: "take", cost: 1 } as never) // a limiter's input

const hour = 3_600_000
const limiters = [
  spaceOf(tokenBucket, { limit: 1_000_000, window: hour, burst: 1_000_000 }),
  spaceOf(fixedWindow, { limit: 1_000_000, window: hour }),
  spaceOf(slidingWindow, { limit: 1_000_000, slice: hour / 10, slices: 10 }),
  spaceOf(slidingLog, { limit: 1_000_000, window: hour })
]

describe.skipIf(missing)(`the updates of a table of PostgreSQL${skipped}`, () => {
  const server = usePostgres()
  const client = Layer.unwrap(Effect.sync(() => clientOf(server().url, 2)))
  /** Backends say what they did when they end. */
  const counts = Effect.gen(function* () {
    const sql = yield* SqlClient
    const [row] = yield* sql<{ readonly all: number; readonly hot: number }>`
      SELECT n_tup_upd::int AS "all", n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = 'effect_resilience'`
    return row!
  }).pipe(Effect.provide(Layer.fresh(client)))
  const calls = 100

  for (const space of limiters) {
    it.live(`most leave the indexes alone, of ${space.kernel.id}`, () =>
      Effect.gen(function* () {
        const before = yield* counts
        yield* Effect.gen(function* () {
          const { commit } = yield* Store
          for (let i = 0; i <= calls; i++) yield* commit([take(space, "a")])
        }).pipe(Effect.provide(Layer.fresh(Layer.provide(SqlStore.layer(), client))))
        const after = yield* Effect.repeat(Effect.delay(counts, "20 millis"), {
          until: ({ all }) => all >= before.all + calls,
          times: 500
        })
        const [all, hot] = [after.all - before.all, after.hot - before.hot]
        assert.strictEqual(all, calls, "an update for each call after the first")
        // the end of a state is rounded up to 10 s, so one in that time moves it
        assert.isAtLeast(hot, calls - 10)
      })
    )
  }

  it.live("a row that was only looked at is not written", () =>
    Effect.gen(function* () {
      const before = yield* counts
      const [moves, stays] = [limiters[1]!, limiters[2]!]
      yield* Effect.gen(function* () {
        const { commit } = yield* Store
        yield* commit([take(moves, "b"), take(stays, "b")])
        const look = new Step(stays, "b", { op: "take", cost: 0 } as never) // as above
        for (let i = 0; i < calls; i++) yield* commit([take(moves, "b"), look])
      }).pipe(Effect.provide(Layer.fresh(Layer.provide(SqlStore.layer(), client))))
      const after = yield* Effect.repeat(Effect.delay(counts, "20 millis"), {
        until: ({ all }) => all >= before.all + calls,
        times: 500
      })
      // the first commit claims its two rows, and then writes them
      assert.strictEqual(after.all - before.all, calls + 2)
    })
  )
})
