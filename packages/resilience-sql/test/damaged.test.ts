/** Rows of a real table that cannot be read, that another layout wrote, and that two versions of a service share. */
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Exit, Layer, Tracer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { CircuitBreaker, type Event, RateLimiter, Resilience } from "effect-resilience"
import { EventSink } from "effect-resilience/Event"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import { type AnySpace, Step, Store } from "effect-resilience/Store"
import { SqlStore } from "../src/index.ts"
import { clientOf } from "./servers.ts"
import { missing, skipped, usePostgres } from "./suite.ts"

vi.setConfig({ testTimeout: 120_000 })

const ages = "1000 hours"
const open = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: ages, by: "key" })

/** How a call ended, in a word or two. */
const wordOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "ok"
  const [reason] = exit.cause.reasons
  const error = (reason?._tag === "Fail" ? reason.error : undefined) as { _tag?: string; reason?: string } | undefined // or a defect
  return error === undefined ? "defect" : `${error._tag} ${error.reason ?? ""}`.trim()
}

describe.skipIf(missing)(`rows of a table of PostgreSQL${skipped}`, () => {
  const server = usePostgres()
  const client = Layer.unwrap(Effect.sync(() => clientOf(server().url)))
  const both = Layer.provideMerge(SqlStore.layer(), client)
  const poison = (service: string, key: string, state = "garbage") =>
    Effect.flatMap(
      SqlClient,
      (sql) =>
        sql`UPDATE effect_resilience SET state = ${state} WHERE space LIKE ${`[2,"${service}%`} AND key = ${JSON.stringify(key)}`
    )
  const stateOf = (service: string, key: string) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const rows = yield* sql<{ readonly state: string }>`
        SELECT state FROM effect_resilience WHERE space LIKE ${`[2,"${service}%`} AND key = ${JSON.stringify(key)}`
      return rows[0]?.state
    })
  let sent = 0
  const counted = Effect.provideService(
    Tracer.Tracer,
    Tracer.make({
      span: (options) => {
        if (options.kind === "client") sent++
        return new Tracer.NativeSpan(options)
      }
    })
  )

  it.live("one that is damaged is the error of its own key, and neither an outage nor in another key's way", () =>
    Effect.gen(function* () {
      const events: Array<Event.Event> = []
      const users = Array.from({ length: 12 }, (_, i) => ({ user: i === 7 ? "damaged" : `user ${i}` }))
      const service = yield* Resilience.makeFromStore("app/many", {
        rateLimiter: RateLimiter.every({
          user: RateLimiter.fixedWindow({ limit: 50, window: ages }),
          global: RateLimiter.shared(RateLimiter.fixedWindow({ limit: 5_000, window: ages }))
        }),
        store: { onError: "fail" }
      })
      const all = Effect.forEach(users, (key) => Effect.exit(service.resilient(Effect.void, key)), {
        concurrency: "unbounded"
      })
      yield* Effect.gen(function* () {
        assert.deepStrictEqual(
          (yield* all).map(wordOf),
          users.map(() => "ok")
        )
        yield* poison("app/many/user", "damaged")
        const before = sent
        const words = (yield* all).map(wordOf)
        assert.isAtMost(sent - before, 4, "trips, for a batch of one and a batch of the others")
        assert.deepStrictEqual(
          words,
          users.map((_, i) => (i === 7 ? "StoreError damaged" : "ok"))
        )
        const inspections = yield* Effect.forEach(users, (key) => Effect.exit(service.inspect(key)))
        assert.deepStrictEqual(inspections.map(wordOf), words)
        assert.strictEqual(yield* stateOf("app/many/user", "damaged"), "garbage")
        const { limits } = (yield* service.inspect(users[0]!)).rateLimiter!
        assert.strictEqual(limits!["global"]!.remaining, 5_000 - 12 - 11)
        assert.deepStrictEqual(
          events.filter(({ _tag }) => _tag === "StoreFlipped"),
          []
        )
      }).pipe(Effect.provideService(EventSink, (event: Event.Event) => void events.push(event)))
    }).pipe(Effect.provide(both), counted)
  )

  it.live("one that is damaged is repaired by the reset of its limit", () =>
    Effect.gen(function* () {
      const limit = RateLimiter.fixedWindow({ limit: 3, window: ages })
      const { resilient } = yield* Resilience.makeFromStore("app/reset", {
        rateLimiter: limit,
        store: { onError: "fail" }
      })
      const limiter = yield* RateLimiter.makeFromStore(limit, "app/reset")
      const call = Effect.map(Effect.exit(resilient(Effect.void, "a")), wordOf)
      assert.strictEqual(yield* call, "ok")
      yield* poison("app/reset", "a", '[[{"limit":3,"window":3600000000},0,null,{"start":"0","used":1}]]')
      assert.strictEqual(yield* call, "StoreError damaged")
      assert.strictEqual(yield* call, "StoreError damaged", "it is not overwritten by a call")
      yield* limiter.reset("a")
      assert.deepStrictEqual([yield* call, yield* call, yield* call], ["ok", "ok", "ok"])
      assert.strictEqual(yield* call, "RateLimitExceeded limit")
    }).pipe(Effect.provide(both))
  )

  for (const [op, words] of [
    ["reset", ["ok", "ok"]],
    ["close", ["ok", "ok"]],
    ["isolate", ["CircuitOpen Isolated", "CircuitOpen Isolated"]]
  ] satisfies ReadonlyArray<["reset" | "close" | "isolate", ReadonlyArray<string>]>) {
    it.live(`one that is damaged is repaired by "${op}" of its circuit`, () =>
      Effect.gen(function* () {
        const id = `app/circuit ${op}`
        const { inspect, resilient } = yield* Resilience.makeFromStore(id, {
          circuitBreaker: open,
          store: { onError: "fail" }
        })
        const circuit = yield* CircuitBreaker.makeFromStore(open, id)
        const call = Effect.map(Effect.exit(resilient(Effect.void, "a")), wordOf)
        yield* Effect.exit(resilient(Effect.fail("down"), "a"))
        assert.strictEqual(yield* call, "CircuitOpen Open")
        yield* poison(id, "a", '[[{"trips":[]},1,null,{"phase":"Open"}]]')
        assert.deepStrictEqual(
          [yield* call, wordOf(yield* Effect.exit(inspect("a")))],
          ["StoreError damaged", "StoreError damaged"]
        )
        yield* circuit[op]("a")
        assert.deepStrictEqual<ReadonlyArray<string>>([yield* call, yield* call], words)
      }).pipe(Effect.provide(both))
    )
  }

  it.live(
    "one is damaged whose numbers no policy has, whose phase no circuit knows, or whose lists are too short",
    () =>
      Effect.gen(function* () {
        const limits = {
          fixed: [
            (limit: number) => RateLimiter.fixedWindow({ limit, window: ages }),
            ['"window":3600000000', '"window":0'],
            ['"limit":3', '"limit":0.5']
          ],
          sliding: [
            (limit: number) => RateLimiter.slidingWindow({ limit, window: ages, slices: 4 }),
            ['"slices":4', '"slices":5'],
            [",0]}", "]}"],
            [",0]}", ",0,0]}"]
          ],
          log: [
            (limit: number) => RateLimiter.slidingLog({ limit, window: ages }),
            ['"counts":[1]', '"counts":[1,1]'],
            ['"counts":[1]', '"counts":[]']
          ],
          bucket: [(limit: number) => RateLimiter.tokenBucket({ limit, window: ages }), ['"burst":3', '"burst":-3']]
        } satisfies Record<string, [(limit: number) => RateLimiter.Limit, ...ReadonlyArray<[string, string]>]>
        for (const [name, [limit, ...changes]] of Object.entries(limits)) {
          const id = `app/impossible ${name}`
          const version = (most: number) =>
            Effect.gen(function* () {
              const service = yield* Resilience.makeFromStore(id, {
                rateLimiter: limit(most),
                store: { onError: "fail" }
              })
              const limiter = yield* RateLimiter.makeFromStore(limit(most), id)
              return {
                call: (key: string) => Effect.map(Effect.exit(service.resilient(Effect.void, key)), wordOf),
                look: Effect.map(Effect.exit(service.inspect("a")), wordOf),
                reset: limiter.reset("a")
              }
            })
          yield* Effect.scoped(Effect.flatMap(version(3), ({ call }) => call("a")))
          const good = (yield* stateOf(id, "a"))!
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { call, look, reset } = yield* version(5)
              for (const [part, by] of changes) {
                const bad = good.replace(part, by)
                assert.notStrictEqual(bad, good, `${name}: ${part}`)
                yield* poison(id, "a", bad)
                assert.deepStrictEqual(
                  [yield* call("a"), yield* look],
                  ["StoreError damaged", "StoreError damaged"],
                  bad
                )
                assert.strictEqual(yield* stateOf(id, "a"), bad)
                assert.strictEqual(yield* call("b"), "ok")
                yield* reset
                assert.strictEqual(yield* call("a"), "ok", bad)
              }
            })
          )
        }
        const { inspect, resilient } = yield* Resilience.makeFromStore("app/melted", {
          circuitBreaker: open,
          store: { onError: "fail" }
        })
        const circuit = yield* CircuitBreaker.makeFromStore(open, "app/melted")
        for (const [key, part, by] of [
          ["a", '"phase":"Open"', '"phase":"Melted"'],
          ["b", '"cells":[]', '"cells":[1]'],
          ["c", '"windows":[{', '"windows":[{"calls":0,"bad":0,"head":0,"cells":[]},{']
        ] as const) {
          yield* Effect.exit(resilient(Effect.fail("down"), key))
          const good = (yield* stateOf("app/melted", key))!
          const bad = good.replace(part, by)
          assert.notStrictEqual(bad, good)
          yield* poison("app/melted", key, bad)
          const exits = [yield* Effect.exit(resilient(Effect.void, key)), yield* Effect.exit(inspect(key))]
          assert.deepStrictEqual(exits.map(wordOf), ["StoreError damaged", "StoreError damaged"], bad)
          assert.strictEqual(yield* stateOf("app/melted", key), bad)
          yield* circuit.reset(key)
          assert.strictEqual(wordOf(yield* Effect.exit(resilient(Effect.void, key))), "ok")
        }
      }).pipe(Effect.provide(both))
  )

  it.live("those of the layout before lie beside, and are neither read nor written nor cleared", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient
      const { clear, commit, read } = yield* Store
      const space: AnySpace = {
        name: "app/before",
        kernel: fixedWindow,
        policy: { limit: 5, window: 2 ** 40 },
        keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity }
      }
      const old = {
        space: JSON.stringify(["app/before", fixedWindow.id]),
        key: '"a"',
        state: '{"start":0,"used":5}',
        expires_at: null
      }
      yield* sql`INSERT INTO effect_resilience ${sql.insert(old)}`
      assert.isUndefined((yield* read(space, "a")).state)
      assert.isTrue((yield* commit([new Step(space, "a", { op: "take", cost: 5 } as never)])).allowed) // a limit's input
      yield* clear(space)
      const rows = yield* sql`SELECT * FROM effect_resilience WHERE space LIKE '%app/before%'`
      assert.deepStrictEqual(rows, [old])
    }).pipe(Effect.provide(both))
  )

  it.live("those of two versions of a service, one closed and the next built: what was spent is found", () =>
    Effect.gen(function* () {
      const version = (limit: number) =>
        Effect.gen(function* () {
          const limiter = yield* RateLimiter.makeFromStore(
            RateLimiter.fixedWindow({ limit, window: ages }),
            "app/version"
          )
          let allowed = 0
          while (yield* limiter.allow("a")) allowed++
          return { allowed, ...(yield* limiter.peek("a")) }
        }).pipe(Effect.scoped)
      assert.deepInclude(yield* version(10), { allowed: 10, remaining: 0 })
      assert.deepInclude(yield* version(15), { allowed: 5, remaining: 0 })
      assert.deepInclude(yield* version(10), { allowed: 0, remaining: 0 })
      assert.deepInclude(yield* version(5), { allowed: 0, remaining: 0 })
      const entries: ReadonlyArray<readonly [{ readonly limit: number }]> = JSON.parse(
        (yield* stateOf("app/version", "a"))!
      )
      assert.deepStrictEqual(
        entries.map(([{ limit }]) => limit),
        [15, 5, 10]
      )
    }).pipe(Effect.provide(both))
  )

  it.live("those of two versions that ask in one batch are decided each on its own state", () =>
    Effect.gen(function* () {
      const { commit } = yield* Store
      const spaceOf = (limit: number): AnySpace => ({
        name: "app/batch",
        kernel: fixedWindow,
        policy: { limit, window: 2 ** 40 },
        keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity },
        isLimit: true
      })
      const [one, other] = [spaceOf(10), spaceOf(20)]
      const steps = Array.from(
        { length: 60 },
        (_, i) => new Step(i % 2 === 0 ? one : other, "a", { op: "take", cost: 1 } as never)
      ) // a limit's input
      const all = yield* Effect.all(
        steps.map((step) => commit([step])),
        { concurrency: "unbounded" }
      )
      const allowed = (version: number) => all.filter((committed, i) => committed.allowed && i % 2 === version).length
      assert.strictEqual(allowed(0), 10)
      assert.strictEqual(allowed(1), 19, "it began with the one that the first had taken")
    }).pipe(Effect.provide(both))
  )
})
