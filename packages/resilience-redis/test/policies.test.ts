/** Several policies on the keys of one space: what a deployment brings, and clocks that were ahead. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { CircuitBreaker, RateLimiter } from "effect-resilience"
import { breaker } from "effect-resilience/kernel/Breaker"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import type { LimiterDecision } from "effect-resilience/kernel/Limiter"
import { slidingLog } from "effect-resilience/kernel/SlidingLog"
import { slidingWindow } from "effect-resilience/kernel/SlidingWindow"
import { tokenBucket } from "effect-resilience/kernel/TokenBucket"
import { type AnySpace, Command, Step, type Store } from "effect-resilience/Store"
import { guests } from "./kernels/guests.ts"
import { missing, pause, type Server, skipped, startRedis } from "./servers.ts"
import { breakerOn, isAllowed, storeOf, storeOn } from "./support.ts"

const HOUR = 3_600_000
const forever = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity } as const

const limit = (policy: object, kernel: AnySpace["kernel"] = fixedWindow): AnySpace => ({
  name: "s/limit",
  kernel,
  policy,
  isLimit: true,
  keys: forever
})
const small = limit({ limit: 3, window: 1000 * HOUR })
const large = limit({ limit: 10, window: 2000 * HOUR })

const ask = (store: Store["Service"], space: AnySpace, input: object) =>
  Effect.map(
    store.commit([new Step(space, "ada", input)]),
    ({ answers: [answer] }) => answer as LimiterDecision<unknown>
  ) // of limits
const take = (store: Store["Service"], space: AnySpace, cost = 1) => ask(store, space, { op: "take", cost })

const valueIn = (server: Server): string => server.command("GET", server.command("KEYS", "*ada"))
const policiesIn = (value: string): ReadonlyArray<string> =>
  value.split(" | ").map((entry, i) => entry.split(" ")[i === 0 ? 2 : 1]!)
const scriptsOf = (server: Server): number =>
  Number(/cmdstat_evalsha:calls=(\d+)/.exec(server.command("INFO", "commandstats"))?.[1] ?? 0)

describe.skipIf(missing !== undefined)(`several policies on one key in Redis${skipped}`, () => {
  it.live(
    "have an entry each: what a question takes over is written behind where it came from, also of a refusal",
    () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const store = yield* storeOf(yield* storeOn(server))
        yield* take(store, large, 5)
        const written = valueIn(server)
        const { receipt } = yield* take(store, large, 0)
        yield* ask(store, small, { op: "refund", receipt })
        assert.strictEqual(valueIn(server), written, "a refund looks at no other entry")
        assert.strictEqual((yield* store.read(small, "ada")).state.used, 3, "a reader sees what a question would")
        assert.strictEqual(valueIn(server), written, "and writes nothing")
        assert.isFalse((yield* take(store, small)).allowed)
        const [first, second] = valueIn(server).split(" | ")
        assert.strictEqual(first, written)
        assert.deepStrictEqual(policiesIn(valueIn(server)), ["10,7200000000", "3,3600000000"])
        const atOf = (entry: string) => /;(\d+) /.exec(entry)![1]
        assert.strictEqual(atOf(second!), atOf(written), "as of when the other wrote")
        yield* take(store, large)
        assert.deepStrictEqual(policiesIn(valueIn(server)), ["10,7200000000", "3,3600000000"])
        yield* store.commit([new Command(small, "ada", { op: "reset" })])
        assert.strictEqual(server.command("DBSIZE"), "0", "a command leaves nothing of other policies")
      })
  )

  it.live("are asked by turns in one moment: in a script for each turn, in their order", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const spaces = [large, large, small, small, large]
      const answers = yield* Effect.all(
        spaces.map((space) => take(store, space)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        answers.map(({ remaining }) => remaining),
        [9, 8, 0, 0, 7]
      )
      assert.deepStrictEqual(
        answers.map(({ allowed }) => allowed),
        [true, true, true, false, true]
      )
      assert.strictEqual(scriptsOf(server), 3)
    })
  )

  it.live("of a kernel that only this process knows are kept alike, and one that is no limit begins anew", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const mine = { ...fixedWindow, id: "mine@1" }
      const [one, other] = [limit(small.policy, mine), limit(large.policy, mine)]
      yield* take(store, other, 5)
      assert.isFalse((yield* take(store, one)).allowed)
      assert.strictEqual(valueIn(server).split(" | ").length, 2)
      assert.strictEqual((yield* take(store, other, 0)).remaining, 5)
      yield* store.commit([new Command(one, "ada", { op: "reset" })])
      assert.strictEqual((yield* take(store, other, 0)).remaining, 10)

      const party = (seats: number): AnySpace => ({
        name: "s/party",
        kernel: guests,
        policy: { seats, host: "x" },
        keys: forever
      })
      const come = (seats: number) =>
        Effect.map(
          store.commit([new Step(party(seats), "bob", { op: "come", name: "eve", child: false })]),
          ({ allowed }) => allowed
        )
      assert.deepStrictEqual(
        [yield* come(1), yield* come(1), yield* come(2), yield* come(1)],
        [true, false, true, false]
      )
    })
  )

  it.live("of a circuit that is forgotten when nothing asks it for a while: each use moves its own end on", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const policy = {
        trips: [{ kind: "consecutive", failures: 1, within: 0 }],
        openLow: [HOUR],
        openHigh: [HOUR],
        openGrowth: 0,
        openCap: HOUR,
        permitted: 1,
        required: 1,
        lease: 0
      }
      const circuit = (idleTimeToLive: number): AnySpace => ({
        name: "s/circuit",
        kernel: breaker,
        policy: { ...policy, openCap: HOUR + idleTimeToLive },
        keys: { ...forever, idleTimeToLive }
      })
      const [short, long] = [circuit(400), circuit(100_000)]
      yield* store.commit([new Command(long, "ada", { op: "isolate" })])
      const admit = (space: AnySpace) => store.commit([new Step(space, "ada", { op: "admit", draw: 0 })])
      assert.isFalse((yield* admit(short)).allowed, "isolated by the other policy")
      const endOf = () => Number(/(\d+);\d+ \S+ Isolated/.exec(valueIn(server).split(" | ")[1]!)![1])
      const end = endOf()
      yield* pause(200)
      assert.isFalse((yield* admit(short)).allowed)
      assert.isAbove(endOf(), end)
      assert.isAbove(
        Number(server.command("PTTL", server.command("KEYS", "*ada"))),
        100_000,
        "the other one's is later"
      )
    })
  )

  it.live("do not starve each other: a new policy is let through within its span while the old one is busy", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const [before, after] = [yield* storeOn(server), yield* storeOn(server)]
      const old = yield* Effect.provide(
        RateLimiter.makeFromStore(RateLimiter.tokenBucket({ limit: 100, window: "1 second", burst: 40 }), "app/Mail"),
        before
      )
      const next = yield* Effect.provide(
        RateLimiter.makeFromStore(RateLimiter.tokenBucket({ limit: 4, window: "400 millis" }), "app/Mail"),
        after
      )
      for (let i = 0; i < 40; i++) yield* old.allow("ada")
      assert.isFalse(yield* next.allow("ada"), "what was spent is found")
      let asked = 0
      let passed = 0
      // the old one takes each unit that comes back to it, and asks ten times as often
      while (passed === 0 && asked < 100) {
        for (let i = 0; i < 10; i++) yield* old.allow("ada")
        yield* pause(10)
        asked++
        if (yield* next.allow("ada")) passed++
      }
      assert.strictEqual(passed, 1, `asked ${asked} times`)
    })
  )

  it.live("of a circuit: the next one finds it open, and by itself counts anew", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const policy = (failures: number) =>
        CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(failures), openDuration: "1 hour" })
      const old = yield* breakerOn(yield* storeOn(server), policy(2))
      const next = yield* breakerOn(yield* storeOn(server), policy(3))
      for (let i = 0; i < 2; i++) yield* Effect.exit(old.execute(Effect.fail("down")))
      assert.isFalse(yield* isAllowed(next.execute(Effect.void)))
      assert.strictEqual((yield* next.state()).state, "Open")
      yield* next.close()
      assert.isTrue(yield* isAllowed(old.execute(Effect.void)), "what is told by hand goes for both")
    })
  )
})

describe.skipIf(missing !== undefined)(`what older versions wrote to Redis${skipped}`, () => {
  it.live("lies beside what this one writes, and is neither read nor touched", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const space = { ...small, name: "app/Mail/limit" }
      const tag = "test:{service/app/Mail}"
      const old = {
        [`${tag}:app/Mail/limit:${fixedWindow.id}:ada`]: "0 0 3",
        [`${tag}:cleared`]: ` ${tag}:app/Mail/limit:${fixedWindow.id}: 7 `
      }
      for (const [key, value] of Object.entries(old)) server.command("SET", key, value)
      assert.isUndefined((yield* store.read(space, "ada")).state)
      assert.strictEqual((yield* take(store, space)).remaining, 2)
      yield* store.clear(space)
      assert.strictEqual((yield* take(store, space)).remaining, 2)
      for (const [key, value] of Object.entries(old))
        assert.strictEqual(server.command("GET", key).trim(), value.trim())
      const head = "test:2:{service/app/Mail}:"
      assert.deepStrictEqual(server.command("KEYS", "test:2:*").split("\n").sort(), [
        `${head}app/Mail/limit:${fixedWindow.id}:ada`,
        `${head}cleared`
      ])
    })
  )
})

/** Every time in a value so much later, as a server wrote it whose clock was ahead. */
const shift = (server: Server, millis: number): void => {
  const key = server.command("KEYS", "*ada")
  const value = server.command("GET", key).replaceAll(/\b\d{13}\b/g, (time) => String(Number(time) + millis))
  server.command("SET", key, value)
}

describe.skipIf(missing !== undefined)(`a Redis whose clock was ahead${skipped}`, () => {
  const policies: ReadonlyArray<readonly [AnySpace, AnySpace]> = [
    [
      limit({ limit: 5, window: HOUR, burst: 5 }, tokenBucket),
      limit({ limit: 7, window: HOUR, burst: 7 }, tokenBucket)
    ],
    [limit({ limit: 5, window: 100 * HOUR }), limit({ limit: 7, window: 100 * HOUR })],
    [
      limit({ limit: 5, slice: HOUR, slices: 10 }, slidingWindow),
      limit({ limit: 7, slice: HOUR, slices: 10 }, slidingWindow)
    ],
    [limit({ limit: 5, window: HOUR }, slidingLog), limit({ limit: 7, window: HOUR }, slidingLog)]
  ]
  for (const [space, next] of policies) {
    it.live(`grants no more than one bound of ${space.kernel.id}, and is not waited for`, () =>
      Effect.gen(function* () {
        const server = yield* startRedis()
        const store = yield* storeOf(yield* storeOn(server))
        yield* take(store, space, 5)
        shift(server, 60_000)
        assert.isFalse((yield* take(store, space)).allowed, "a minute ahead is believed, where the span is longer")
        shift(server, 1_000 * HOUR)
        for (let i = 0; i < 5; i++) assert.isTrue((yield* take(store, space)).allowed, `${i} of 5`)
        assert.isFalse((yield* take(store, space)).allowed)
        shift(server, 1_000 * HOUR)
        assert.strictEqual((yield* take(store, next, 0)).remaining, 7, "another policy does not wait for it either")
        assert.isTrue((yield* take(store, next, 7)).allowed)
        assert.isFalse((yield* take(store, next)).allowed)
      })
    )
  }

  it.live("keeps no circuit open until it is that time", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const policy = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "10 minutes" })
      const { execute, gate } = yield* breakerOn(yield* storeOn(server), policy)
      const store = yield* storeOf(yield* storeOn(server))
      yield* Effect.exit(execute(Effect.fail("down")))
      assert.isFalse(yield* isAllowed(execute(Effect.void)))
      assert.strictEqual((yield* store.read(gate.space, "")).state?.phase, "Open")
      const key = server.command("KEYS", "*circuit-breaker*")
      const value = server.command("GET", key)
      server.command(
        "SET",
        key,
        value.replaceAll(/\b\d{13}\b/g, (time) => String(Number(time) + 100 * HOUR))
      )
      assert.isTrue(yield* isAllowed(execute(Effect.void)), "it is time to probe")
    })
  )
})
