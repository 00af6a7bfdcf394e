/** What calls see when the database is slow, stops, dies and comes back. */
import { assert, describe, it, vi } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { CircuitBreaker, type Event, Resilience, RateLimiter } from "effect-resilience"
import { EventSink } from "effect-resilience/Event"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import { type AnySpace, Step, Store } from "effect-resilience/Store"
import { SqlStore } from "../src/index.ts"
import { clientOf } from "./servers.ts"
import { missing, skipped, usePostgres } from "./suite.ts"

vi.setConfig({ testTimeout: 180_000 })

const limit = RateLimiter.fixedWindow({ limit: 1_000_000, window: "1 day" })
const circuit = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1_000), openDuration: "1 minute" })

describe.skipIf(missing)(`when PostgreSQL fails${skipped}`, () => {
  const server = usePostgres()
  const client = Layer.unwrap(Effect.sync(() => clientOf(server().url)))
  const both = Layer.provideMerge(SqlStore.layer(), client)
  const took = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const start = yield* Clock.currentTimeMillis
      const exit = yield* Effect.exit(self)
      return { exit, millis: (yield* Clock.currentTimeMillis) - start }
    })
  const flips = (events: ReadonlyArray<Event.Event>) =>
    events.flatMap((event) => (event._tag === "StoreFlipped" ? [event.available] : []))

  it.live(
    "a row that somebody else has locked holds no call longer than the deadline, and is in nobody else's way",
    () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient
        const policies = (deadline: "200 millis" | "1 minute") =>
          ({ rateLimiter: limit, store: { onError: "fail", deadline } }) as const
        const hasty = yield* Resilience.makeFromStore("app/locked", policies("200 millis"))
        const patient = yield* Resilience.makeFromStore("app/locked", policies("1 minute"))
        yield* patient.resilient(Effect.void, "a")
        yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`SELECT FROM effect_resilience WHERE key = '"a"' FOR UPDATE`
            const calls = yield* Effect.forEach([1, 2, 3, 4, 5], () => took(hasty.resilient(Effect.void, "a")), {
              concurrency: "unbounded"
            })
            for (const { exit, millis } of calls) {
              assert.include(String(exit), "StoreError")
              assert.isAtLeast(millis, 190)
              assert.isBelow(millis, 20_000, "200 ms, on a machine that may be busy; the row is locked for longer")
            }
            yield* patient.resilient(Effect.void, "b")
          })
        )
        // those who left are in nobody's way
        yield* patient.resilient(Effect.void, "a")
      }).pipe(Effect.provide(both))
  )

  it.live(
    "a server that stops in the middle of traffic costs no call an error: this process decides until it goes on",
    () =>
      Effect.gen(function* () {
        const events: Array<Event.Event> = []
        const { resilient } = yield* Resilience.makeFromStore("app/paused", {
          rateLimiter: limit,
          circuitBreaker: circuit,
          store: { deadline: "200 millis" }
        })
        const call = resilient(Effect.succeed("ran"), "a")
        yield* Effect.gen(function* () {
          yield* call
          yield* Effect.acquireUseRelease(
            Effect.sync(() => server().pause(true)),
            () =>
              Effect.gen(function* () {
                const calls = yield* Effect.forEach([1, 2, 3], () => took(call), { concurrency: "unbounded" })
                for (const { exit, millis } of calls) {
                  assert.deepStrictEqual(exit, Exit.succeed("ran"))
                  assert.isBelow(millis, 2_000)
                }
                assert.deepStrictEqual(flips(events), [false])
              }),
            () => Effect.sync(() => server().pause(false))
          )
          const back = Effect.sync(() => flips(events).at(-1) === true)
          yield* Effect.repeat(Effect.andThen(Effect.delay(call, "50 millis"), back), { until: (is) => is, times: 400 })
          assert.deepStrictEqual(flips(events).at(-1), true)
        }).pipe(Effect.provideService(EventSink, (event: Event.Event) => void events.push(event)))
      }).pipe(Effect.provide(both))
  )

  it.live(
    "a server that is killed and restarted during traffic costs no call an error, and its limits hold again",
    () =>
      Effect.gen(function* () {
        const events: Array<Event.Event> = []
        const { inspect, resilient } = yield* Resilience.makeFromStore("app/killed", {
          rateLimiter: limit,
          circuitBreaker: circuit,
          store: { deadline: "1 second" }
        })
        const keys = ["a", "b", "c", "d"]
        let failed: unknown
        const traffic = { on: true }
        const calls = (key: string) =>
          Effect.gen(function* () {
            while (traffic.on) {
              const exit = yield* Effect.exit(resilient(Effect.succeed("ran"), key))
              if (Exit.isFailure(exit)) failed = exit
              yield* Effect.sleep("5 millis")
            }
          })
        yield* Effect.gen(function* () {
          const running = yield* Effect.forEach([...keys, ...keys], (key) => Effect.forkChild(calls(key)))
          for (let round = 0; round < 3; round++) {
            const seen = events.length
            const flipped = (available: boolean) =>
              Effect.repeat(
                Effect.delay(
                  Effect.sync(() => flips(events.slice(seen)).includes(available)),
                  "20 millis"
                ),
                { until: (is) => is, times: 1_000 }
              )
            yield* Effect.sleep("200 millis")
            yield* Effect.promise(() => server().kill())
            assert.isTrue(yield* flipped(false), "it was noticed")
            yield* Effect.promise(() => server().up())
            assert.isTrue(yield* flipped(true), "and so was its return")
          }
          traffic.on = false
          for (const fiber of running) yield* Fiber.join(fiber)
        }).pipe(
          Effect.ensuring(Effect.sync(() => (traffic.on = false))),
          Effect.provideService(EventSink, (event: Event.Event) => void events.push(event))
        )
        assert.isUndefined(failed, String(failed))
        assert.isAtLeast(flips(events).length, 6)
        for (const [i, available] of flips(events).entries()) assert.strictEqual(available, i % 2 === 1)
        // what the server was told before it was killed is still there
        assert.isBelow((yield* inspect("a")).rateLimiter!.remaining, 1_000_000)
      }).pipe(Effect.provide(both))
  )

  it.live("a slow server is waited for within the deadline; while it is slower, this process decides", () =>
    Effect.gen(function* () {
      const events: Array<Event.Event> = []
      const policies = (deadline: "1 minute" | "500 millis") => ({ rateLimiter: limit, store: { deadline } }) as const
      const patient = yield* Resilience.makeFromStore("app/slow", policies("1 minute"))
      const hasty = yield* Resilience.makeFromStore("app/slow", policies("500 millis"))
      const slowedBy = (seconds: number) =>
        server().now(`CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
          $$BEGIN IF NEW.space LIKE '[2,"app/slow%' THEN PERFORM pg_sleep(${seconds}); END IF; RETURN NEW; END$$`)
      slowedBy(0.05)
      server().now(
        "CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON effect_resilience FOR EACH ROW EXECUTE FUNCTION slow()"
      )
      const used = Effect.map(patient.inspect("a"), ({ rateLimiter }) => 1_000_000 - rateLimiter!.remaining)
      yield* Effect.gen(function* () {
        for (const calls of [1, 2, 3]) {
          yield* patient.resilient(Effect.void, "a")
          assert.strictEqual(yield* used, calls)
        }
        assert.deepStrictEqual(flips(events), [])
        slowedBy(8)
        const { exit, millis } = yield* took(hasty.resilient(Effect.succeed("ran"), "a"))
        assert.deepStrictEqual(exit, Exit.succeed("ran"))
        assert.isBelow(millis, 7_000)
        assert.deepStrictEqual(flips(events), [false])
        slowedBy(0)
        const back = Effect.map(hasty.resilient(Effect.void, "a"), () => flips(events).at(-1) === true)
        yield* Effect.repeat(Effect.delay(back, "50 millis"), { until: (is) => is, times: 400 })
        assert.deepStrictEqual(flips(events).at(-1), true)
        assert.isAtLeast(yield* used, 4)
      }).pipe(
        Effect.ensuring(Effect.sync(() => server().now("DROP TRIGGER slow ON effect_resilience"))),
        Effect.provideService(EventSink, (event: Event.Event) => void events.push(event))
      )
    }).pipe(Effect.provide(both))
  )

  /** A kernel that is asked between the look and the write, when others do something with the row. */
  const meddled = (name: string, meddle: (asked: number) => void): AnySpace => {
    let asked = 0
    return {
      name,
      policy: { limit: 1_000, window: 2 ** 40 },
      keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity },
      kernel: {
        ...fixedWindow,
        step: (policy, state, input, now) => {
          meddle(++asked)
          return fixedWindow.step(policy, state, input, now)
        }
      }
    }
  }
  const take = (space: AnySpace) => new Step(space, "a", { op: "take", cost: 1 } as never) // its input
  const takeOne = `UPDATE effect_resilience SET state =
    jsonb_set(state::jsonb, '{0,3,used}', to_jsonb((state::jsonb #>> '{0,3,used}')::int + 1))::text
    WHERE space LIKE '[2,"meddled%'`

  it.live("a commit that lost to others three times locks its row, and is decided on what they left", () =>
    Effect.gen(function* () {
      const { commit, read } = yield* Store
      let asked = 0
      const space = meddled("meddled", (times) => {
        asked = times
        if (times > 1 && times < 5) server().now(takeOne)
      })
      yield* commit([take(space)])
      assert.isTrue((yield* commit([take(space)])).allowed)
      assert.strictEqual(asked, 5)
      assert.deepInclude((yield* read(space, "a")).state, { used: 5 })
    }).pipe(Effect.provide(both))
  )

  it.live("a connection that is cut in the middle of a transaction is an error of the store, and no defect", () =>
    Effect.gen(function* () {
      const { commit, read } = yield* Store
      const space = meddled("meddled too", (times) => {
        if (times > 1 && times < 5) server().now(takeOne)
        if (times !== 5) return
        server().now("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
      })
      yield* commit([take(space)])
      const error = yield* Effect.flip(commit([take(space)]))
      assert.deepInclude(error, { _tag: "StoreError", reason: "unavailable" })
      assert.deepInclude((yield* read(space, "a")).state, { used: 4 })
    }).pipe(Effect.provide(both))
  )

  it.live("a kernel that throws is its caller's own defect, and nobody else's", () =>
    Effect.gen(function* () {
      const { commit } = yield* Store
      const good = meddled("shared", () => {})
      const bad: AnySpace = {
        ...good,
        kernel: {
          ...good.kernel,
          step: () => {
            throw new Error("a bug")
          }
        }
      }
      const exits = yield* Effect.all(
        [good, good, bad, good].map((space) => Effect.exit(commit([take(space)]))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        exits.map((exit) => (Exit.isSuccess(exit) ? "allowed" : Cause.hasDies(exit.cause))),
        ["allowed", "allowed", true, "allowed"]
      )
    }).pipe(Effect.provide(both))
  )
})
