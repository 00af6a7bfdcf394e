/** Tokens taken ahead, on a real server, by real processes. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { RateLimiter, Resilience } from "effect-resilience"
import { RedisStore } from "../src/index.ts"
import { elapsed } from "../src/internal/leases.ts"
import type { WorkerSettings } from "./leaseWorker.ts"
import { missing, pause, type Server, skipped, startRedis } from "./servers.ts"
import { clientOf, eventually, isAllowed, storeOn } from "./support.ts"

const scriptsOf = (server: Server): number =>
  Number(/cmdstat_evalsha:calls=(\d+)/.exec(server.command("INFO", "commandstats"))?.[1] ?? 0)

/** Nothing comes back by itself while a test runs. Of a burst of 100, one is for what may be late. */
const slow = { limit: 100, window: "1000 hours" } as const
const held = RateLimiter.tokenBucket({ ...slow, lease: { duration: "1 minute", share: 20 } })
const brief = RateLimiter.tokenBucket({ ...slow, lease: { duration: "200 millis", share: 20 } })

const serviceOf = (limit: RateLimiter.Limit, id = "leased") =>
  Resilience.makeFromStore(id, { rateLimiter: limit, store: { onError: "fail", deadline: "10 seconds" } })

/** What the server has left, as a process that takes nothing ahead sees it. */
const leftOn = (server: Server, limit: RateLimiter.Limit, id = "leased") =>
  Effect.gen(function* () {
    const { inspect } = yield* Effect.provide(serviceOf(limit, id), yield* storeOn(server))
    return Effect.map(inspect("all"), ({ rateLimiter }) => rateLimiter!.remaining)
  })

interface Worker {
  readonly child: ChildProcess
  /** All that it said, once it has ended or said how many calls there were. */
  readonly done: Effect.Effect<string>
}

const startWorker = (settings: WorkerSettings) =>
  Effect.acquireRelease(
    Effect.sync((): Worker => {
      const file = fileURLToPath(new URL("leaseWorker.ts", import.meta.url))
      const child = spawn(
        process.execPath,
        [
          "--conditions=effect-resilience-source",
          "--disable-warning=ExperimentalWarning",
          file,
          JSON.stringify(settings)
        ],
        { stdio: ["ignore", "pipe", "inherit"] }
      )
      let text = ""
      const done = Effect.callback<string>((resume) => {
        const look = () => {
          if (/asked \d+\n$/.test(text)) resume(Effect.succeed(text))
        }
        child.stdout!.on("data", look)
        child.on("exit", () => resume(Effect.succeed(text)))
        look()
      })
      child.stdout!.on("data", (chunk) => (text += String(chunk)))
      return { child, done }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

describe.skipIf(missing !== undefined)(`leased limits${skipped}`, () => {
  it.live("let through what they would without leases, in less than a tenth of the trips", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const trips: Array<number> = []
      for (const lease of [undefined, { duration: "1 minute", share: 50 } as const]) {
        const limit = RateLimiter.tokenBucket({ limit: 1_000, window: "1000 hours", lease })
        const { resilient } = yield* Effect.provide(
          serviceOf(limit, `trips ${String(lease)}`),
          yield* storeOn(server, { prefix: lease === undefined ? "plain" : "leased" })
        )
        const before = scriptsOf(server)
        let admitted = 0
        for (let i = 0; i < 1_100; i++) if (yield* isAllowed(resilient(Effect.void, "all"))) admitted++
        trips.push(scriptsOf(server) - before)
        assert.strictEqual(admitted, lease === undefined ? 1_000 : 999)
      }
      assert.isAtLeast(trips[0]!, 1_100)
      assert.isAtMost(trips[1]! * 10, trips[0]!, `${trips.join(" and ")} trips`)
    })
  )

  it.live(
    "hold over four processes, in every span, in less than a tenth of the trips",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const limit = {
          limit: 1_000,
          window: "1 second",
          burst: 500,
          lease: { duration: "200 millis", share: 60 }
        } as const
        const settings: WorkerSettings = { url: server.url, limit, lasts: 2_000, rush: 60, pause: 10, atOnce: 4 }
        const workers = yield* Effect.all([1, 2, 3, 4].map(() => startWorker(settings)))
        const said = yield* Effect.all(
          workers.map(({ done }) => done),
          { concurrency: 4 }
        )
        const lines = said.flatMap((text) => text.trim().split("\n"))
        const asked = lines
          .filter((line) => line.startsWith("asked"))
          .reduce((sum, line) => sum + Number(line.slice(6)), 0)
        const admitted = lines
          .filter((line) => /^\d/.test(line))
          .map((line) => line.split(" ").map(Number) as [from: number, to: number]) // two numbers, as it writes them
          .sort(([, a], [, b]) => a - b)
        // counts what was surely decided within a span
        let worst = -Infinity
        const begins = admitted.map(([from]) => from).toSorted((a, b) => a - b)
        for (const begin of begins) {
          let units = 0
          for (const [from, to] of admitted) {
            if (from < begin) continue
            units++
            worst = Math.max(worst, units - limit.burst - Math.floor((limit.limit * Math.ceil(to - begin)) / 1_000))
          }
        }
        assert.isAtMost(worst, 0)
        // as long as all of them ask, they get what the limit has
        const firsts = said.map((text) => Number(text.split(" ")[0]))
        const lasts = said.map((text) => Number(text.trim().split("\n").at(-2)!.split(" ")[1]))
        const [first, last] = [Math.max(...firsts), Math.min(...lasts)]
        const meanwhile = admitted.filter(([from, to]) => from >= first && to <= last).length
        assert.isAbove(meanwhile, 0.7 * (last - first), `let through in ${last - first} ms`)
        assert.isAtMost(scriptsOf(server) * 10, asked, `${scriptsOf(server)} trips for ${asked} calls`)
      }),
    60_000
  )

  it.live("are only late by what a process had that was killed", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const options = {
        limit: 60,
        window: "10 seconds",
        burst: 70,
        lease: { duration: "5 seconds", share: 20 }
      } as const
      const left = yield* leftOn(server, RateLimiter.tokenBucket(options), "workers")
      assert.strictEqual(yield* left, 40)
      const once = { lasts: 0, rush: 13, pause: 0, atOnce: 1, stays: true }
      const { child, done } = yield* startWorker({ url: server.url, limit: options, ...once })
      const text = yield* done
      child.kill("SIGKILL")
      assert.strictEqual(text.trim().split("\n").length - 1, 13, "all were let through")
      assert.isBelow(yield* left, 40 - 13, "it had taken more than it spent")
      yield* eventually(
        "all is there again",
        Effect.map(left, (left) => left === 40)
      )
    })
  )

  it.live("get back what is left, at the end of each lease and when the store closes", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      for (const limit of [held, brief]) {
        const id = limit === held ? "held" : "brief"
        const left = yield* leftOn(server, limit, id)
        const scope = yield* Scope.make()
        const { resilient } = yield* Effect.provide(serviceOf(limit, id), yield* Scope.provide(storeOn(server), scope))
        for (let i = 0; i < 12; i++) assert.isTrue(yield* isAllowed(resilient(Effect.void, "all")))
        if (limit === held) {
          assert.isBelow(yield* left, 99 - 12)
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual(yield* left, 99 - 12)
        } else {
          yield* eventually(
            "the lease has ended",
            Effect.map(left, (left) => left === 99 - 12)
          )
          yield* Scope.close(scope, Exit.void)
        }
      }
    })
  )

  it.live("lose nothing to calls that leave on their way", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const left = yield* leftOn(server, brief)
      const { resilient } = yield* Effect.provide(serviceOf(brief), yield* storeOn(server))
      assert.isTrue(yield* isAllowed(resilient(Effect.void, "all")))
      yield* server.suspend
      const calls = yield* Effect.forEach([1, 2, 3], (cost) =>
        Effect.forkChild(resilient(Effect.void, "all", { cost }), { startImmediately: true })
      )
      yield* pause(50)
      yield* Effect.forkChild(Fiber.interruptAll(calls.slice(1)), { startImmediately: true })
      yield* pause(50)
      yield* server.resume
      yield* Fiber.join(calls[0]!)
      yield* eventually(
        "what they wanted is back",
        Effect.map(left, (left) => left === 99 - 2)
      )
    })
  )

  it.live("are taken with other limits or not at all", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const { resilient } = yield* Effect.provide(
        Resilience.makeFromStore("both", {
          rateLimiter: RateLimiter.every({
            user: RateLimiter.fixedWindow({ limit: 30, window: "1000 hours" }),
            all: RateLimiter.shared(held)
          }),
          store: { onError: "fail" }
        }),
        yield* storeOn(server)
      )
      const call = (user: string) => isAllowed(resilient(Effect.void, { user }))
      let admitted = 0
      for (const user of ["ada", "ada", "bob", "cy", "cy", "dan", "eve"]) {
        for (let i = 0; i < 30; i++) if (yield* call(user)) admitted++
      }
      assert.strictEqual(admitted, 99, "users who had no more took nothing of what all share")
      const refusal = yield* Effect.flip(resilient(Effect.void, { user: "eve" }))
      assert.deepStrictEqual(
        refusal._tag === "RateLimitExceeded" ? refusal.limits.map(({ limit }) => limit) : refusal._tag,
        ["all"]
      )
    })
  )

  it.live("let calls that wait go on in their turn", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const limit = RateLimiter.tokenBucket({
        limit: 50,
        window: "1 second",
        burst: 20,
        maxWait: "5 seconds",
        lease: { duration: "200 millis", share: 5 }
      })
      const { resilient } = yield* Effect.provide(serviceOf(limit), yield* storeOn(server))
      const [took, order] = yield* Effect.timed(
        Effect.gen(function* () {
          const order: Array<number> = []
          yield* Effect.forEach(
            Array.from({ length: 40 }, (_, i) => i),
            (i) =>
              resilient(
                Effect.sync(() => order.push(i)),
                "all"
              ),
            { concurrency: "unbounded", discard: true }
          )
          return order
        })
      )
      assert.strictEqual(order.length, 40)
      assert.isAtLeast(Duration.toMillis(took), 590, "10 at once, then 50 a second")
    })
  )

  it.live("begin anew on a reset, with nothing of what was held", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      class Limit extends RateLimiter.Service<Limit>()("leased", held) {}
      const limit = yield* Effect.provide(Limit, Layer.provide(Limit.layerFromStore, yield* storeOn(server)))
      const left = yield* leftOn(server, held)
      for (const reset of [limit.reset("all"), limit.reset()]) {
        for (let i = 0; i < 12; i++) assert.isTrue(yield* limit.allow("all"))
        assert.isBelow(yield* left, 99 - 12, "some are held")
        yield* reset
        let admitted = 0
        while (yield* limit.allow("all")) admitted++
        assert.strictEqual(admitted, 99)
        yield* reset
        assert.strictEqual(yield* left, 99)
      }
      assert.isTrue(yield* limit.allow("all", { cost: 99 }))
      assert.isFalse(yield* limit.allow("all"))
    })
  )

  it.live("fail like every other call where the server is away", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const { resilient } = yield* Effect.provide(
        Resilience.makeFromStore("away", { rateLimiter: held, store: { onError: "fail", deadline: "1 second" } }),
        yield* storeOn(server)
      )
      for (let i = 0; i < 4; i++) yield* resilient(Effect.void, "all")
      yield* server.suspend
      const exits = yield* Effect.forEach([1, 2, 3], () => Effect.exit(resilient(Effect.void, "all")))
      yield* server.resume
      assert.isTrue(Exit.isSuccess(exits[0]!), "it was taken ahead")
      assert.include(String(exits[2]), "StoreError")
      yield* eventually("it answers again", isAllowed(resilient(Effect.void, "all")))
    })
  )

  it.live("do not care what time the machines say it is", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const real = Clock.Clock.defaultValue()
      let admitted = 0
      for (const off of [-300_000, 300_000, 0]) {
        const clock: Clock.Clock = Object.assign(Object.create(real) as Clock.Clock, {
          currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe() + off,
          monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe() + BigInt(off + 300_000) * 1_000_000n
        })
        const scope = yield* Scope.make()
        const store = yield* Layer.buildWithScope(
          RedisStore.layer({ prefix: "test" }).pipe(Layer.provide(clientOf(server))),
          scope
        ).pipe(Effect.provideService(Clock.Clock, clock))
        const { resilient } = yield* Effect.provide(serviceOf(brief), Layer.succeedContext(store))
        const most = off === 0 ? 200 : 12
        for (let i = 0; i < most; i++) if (yield* isAllowed(resilient(Effect.void, "all"))) admitted++
        yield* Scope.close(scope, Exit.void)
      }
      assert.strictEqual(admitted, 99)
    })
  )
})

describe("the time that has passed", () => {
  it("follows the monotonic clock, but counts a machine's sleep", () => {
    let nanos = 0n
    let wall = 1_000_000
    const now = elapsed({
      ...({} as Clock.Clock), // the rest is not asked
      monotonicTimeNanosUnsafe: () => nanos,
      currentTimeMillisUnsafe: () => wall
    })
    const pass = (monotonic: number, onTheWall: number): number => {
      nanos += BigInt(monotonic * 1e6)
      wall += onTheWall
      return now()
    }
    assert.strictEqual(pass(10, 11), 10)
    assert.strictEqual(pass(10, 10_000), 10_010, "it slept, or was set forward")
    assert.strictEqual(pass(10, -600_000), 10_020, "it was set back")
    assert.strictEqual(pass(0, 0), 10_020)
  })
})
