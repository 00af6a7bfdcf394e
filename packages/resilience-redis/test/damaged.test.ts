/** Values that are not ours, and servers that do not write: of one key, or of now, and no outage of all others. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Option } from "effect"
import { Redis } from "effect/persistence"
import { CircuitBreaker, Event, RateLimiter, Resilience } from "effect-resilience"
import type { StoreError } from "effect-resilience/Rejection"
import { slidingLog } from "effect-resilience/kernel/SlidingLog"
import { tokenBucket } from "effect-resilience/kernel/TokenBucket"
import { type AnySpace, Command, Step } from "effect-resilience/Store"
import { RedisStore } from "../src/index.ts"
import { missing, pause, type Server, skipped, startRedis } from "./servers.ts"
import { clientOf, eventually, storeOf, storeOn } from "./support.ts"

const keys = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity } as const
const bucket: AnySpace = {
  name: "s/bucket",
  kernel: tokenBucket,
  policy: { limit: 3, window: 3_600_000, burst: 3 },
  isLimit: true,
  keys
}
const take = (key: string, space = bucket) => new Step(space, key, { op: "take", cost: 1 })

const scriptsOf = (server: Server): number =>
  Number(/cmdstat_evalsha:calls=(\d+)/.exec(server.command("INFO", "commandstats"))?.[1] ?? 0)

const reasonOf = (exit: Exit.Exit<unknown, StoreError>): string =>
  Option.match(Exit.findErrorOption(exit), { onNone: () => "ok", onSome: ({ reason }) => reason })

/** What a value is made into, and what its state's words are. */
const poisons: ReadonlyArray<readonly [what: string, poison: (value: string) => string]> = [
  ["another program's", () => "garbage"],
  ["empty", () => ""],
  ["of the old layout", () => "0 1764129600123 1000 3 4"],
  ["without its last word", (value) => value.slice(0, value.lastIndexOf(" "))],
  ["with more words", (value) => `${value} 7 7`],
  ["with a space at its end", (value) => `${value} `],
  ["with a word that is no number", (value) => value.replace(/\d+$/, "nan")],
  ["with one below 0", (value) => value.replace(/\d+$/, "-1")],
  ["with a fraction", (value) => value.replace(/\d+$/, "1.5")],
  ["with a number in hex", (value) => value.replace(/\d+$/, "0x10")],
  ["with an exponent", (value) => value.replace(/\d+$/, "1e3")],
  ["with one above 2^53", (value) => value.replace(/\d+$/, "9007199254740993000")],
  ["with an entry that is none", (value) => `${value} | garbage`],
  ["that is large", () => "7 ".repeat(30_000)]
]

describe.skipIf(missing !== undefined)(`a value in Redis that is not ours${skipped}`, () => {
  it.live("fails the questions to its key, stays as it is, and is replaced by a command", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      for (const [what, poison] of poisons) {
        server.command("FLUSHALL")
        yield* store.commit([take("ada")])
        const key = server.command("KEYS", "*ada")
        const value = poison(server.command("GET", key))
        server.command("SET", key, value)
        const asked: ReadonlyArray<Effect.Effect<unknown, StoreError>> = [
          store.commit([take("ada")]),
          store.commit([new Step(bucket, "ada", { op: "reset" })]),
          store.commit([take("bob"), take("ada")]),
          store.read(bucket, "ada")
        ]
        for (const one of asked) assert.strictEqual(reasonOf(yield* Effect.exit(one)), "damaged", what)
        assert.strictEqual(server.command("GET", key), value.trim(), what)
        const bob = yield* store.commit([take("bob")])
        assert.deepInclude<object>(
          bob.answers[0]!,
          { allowed: true, remaining: 2 },
          `${what}: bob has paid nothing for ada`
        )
        assert.isTrue((yield* store.commit([new Command(bucket, "ada", { op: "reset" })])).allowed)
        assert.deepInclude<object>(
          (yield* store.commit([take("ada")])).answers[0]!,
          { allowed: true, remaining: 2 },
          what
        )
      }
    })
  )

  it.live("of another type is not absent: nothing is written over it but by a command", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const gate: AnySpace = { ...bucket, name: "s/gate", kernel: { ...tokenBucket, id: "gate@1" } } // known to this process alone
      const store = yield* storeOf(yield* storeOn(server))
      for (const space of [bucket, gate]) {
        server.command("FLUSHALL")
        yield* store.commit([take("ada", space)])
        const key = server.command("KEYS", "*ada")
        server.command("DEL", key)
        server.command("RPUSH", key, "theirs")
        const exits: ReadonlyArray<Exit.Exit<unknown, StoreError>> = [
          yield* Effect.exit(store.commit([take("ada", space)])),
          yield* Effect.exit(store.read(space, "ada"))
        ]
        assert.deepStrictEqual(exits.map(reasonOf), ["damaged", "damaged"], space.name)
        assert.include(String(exits[0]!.pipe(Exit.findErrorOption, Option.getOrThrow).cause), "type list")
        assert.strictEqual(server.command("TYPE", key), "list")
        yield* store.commit([new Command(space, "ada", { op: "reset" })])
        assert.deepInclude<object>(
          (yield* store.commit([take("ada", space)])).answers[0]!,
          { remaining: 2 },
          space.name
        )
      }
      yield* store.commit([take("bob")])
      server.command("CONFIG", "RESETSTAT")
      yield* store.commit([take("bob")])
      assert.notInclude(server.command("INFO", "commandstats"), "cmdstat_type:", "not asked of what is a string")
    })
  )

  it.live("is found in one script with 31 others, which are served", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      yield* store.commit([take("3")])
      server.command("SET", server.command("KEYS", "*:3"), "garbage")
      const before = scriptsOf(server)
      const exits = yield* Effect.all(
        Array.from({ length: 32 }, (_, i) => Effect.exit(store.commit([take(`${i}`)]))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(scriptsOf(server) - before, 1)
      assert.deepStrictEqual(
        exits.map(reasonOf),
        exits.map((_, i) => (i === 3 ? "damaged" : "ok"))
      )
    })
  )

  it.live("is no outage: `onError` is for its key, other keys keep what they spent, and nothing flips", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const events: Array<Event.Event> = []
      const { inspect, resilient } = yield* Effect.provide(
        Resilience.makeFromStore("shop", {
          rateLimiter: RateLimiter.fixedWindow({ limit: 2, window: "1000 hours" }),
          circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "1 hour" })
        }),
        yield* storeOn(server)
      )
      const call = (key: string) =>
        Effect.isSuccess(resilient(Effect.void, key)).pipe(Effect.provide(Event.layer((event) => events.push(event))))
      assert.isTrue(yield* call("ada"))
      assert.isTrue(yield* call("bob"))
      server.command("SET", server.command("KEYS", "*ada"), "garbage")
      const seen = { ada: 0, bob: 0 }
      for (let i = 0; i < 5; i++) {
        if (yield* call("ada")) seen.ada++
        if (yield* call("bob")) seen.bob++
      }
      assert.deepStrictEqual(
        seen,
        { ada: 2, bob: 1 },
        "ada has a limit of 2 in this process, and bob has one call left"
      )
      assert.deepStrictEqual(
        events.filter(({ _tag }) => _tag === "StoreFlipped"),
        []
      )
      const looked = yield* Effect.exit(inspect("bob"))
      assert.isTrue(Exit.isSuccess(looked))
    })
  )

  it.live("does not keep a server busy for ever: the sum of a log may be of more than there is in it", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const log: AnySpace = { ...bucket, name: "s/log", kernel: slidingLog, policy: { limit: 3, window: 3_600_000 } }
      yield* store.commit([take("ada", log)])
      const key = server.command("KEYS", "*ada")
      server.command("SET", key, server.command("GET", key).replace(/ 1$/, " 500"))
      assert.isFalse((yield* store.commit([take("ada", log)])).allowed)
      assert.isTrue((yield* store.commit([take("bob", log)])).allowed)
    })
  )
})

describe.skipIf(missing !== undefined)(`a Redis that does not serve now${skipped}`, () => {
  for (const [what, setUp] of [
    ["its memory is full", [["CONFIG", "SET", "maxmemory", "1"]]],
    ["it is a replica now", [["REPLICAOF", "127.0.0.1", "1"]]],
    ["it has too few replicas", [["CONFIG", "SET", "min-replicas-to-write", "3"]]],
    ["its copies on the disk fail", [["BGSAVE"], ["CONFIG", "SET", "save", "3600 1"]]]
  ] as const) {
    it.live(`is not asked again one by one where ${what}`, () =>
      Effect.gen(function* () {
        const folder = mkdtempSync(join(tmpdir(), "effect-resilience-gone-"))
        const server = yield* startRedis(["--dir", folder])
        rmSync(folder, { recursive: true }) // so that a copy fails
        const store = yield* storeOf(yield* storeOn(server))
        for (const command of setUp) server.command(...command)
        yield* eventually(
          "it refuses",
          Effect.sync(() => /^(OOM|READONLY|NOREPLICAS|MISCONF) /.test(server.command("SET", "a", "b")))
        )
        const trips = Effect.gen(function* () {
          const before = scriptsOf(server)
          const exits = yield* Effect.all(
            Array.from({ length: 64 }, (_, i) =>
              Effect.exit(store.commit([take(`${i}`, { ...bucket, spread: true })]))
            ),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual([...new Set(exits.map(reasonOf))], ["unavailable"])
          return scriptsOf(server) - before
        })
        yield* trips // a refusal, too, says that a server is there, which may be asked whether it stands alone
        yield* eventually(
          "64 questions take two trips",
          Effect.map(trips, (trips) => trips === 2)
        )
      })
    )
  }

  it.live("is asked once more where it does not know a script that it has just learnt", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const redis = Context.get(yield* Layer.build(clientOf(server)), Redis.Redis)
      for (const times of [1, 2]) {
        let left = times
        // a proxy that sends SCRIPT LOAD to one server, and EVALSHA to another
        const forgetful = yield* Redis.make({
          send: <A>(command: string, ...args: ReadonlyArray<string>) =>
            command === "EVALSHA" && left-- > 0
              ? Effect.fail(new Redis.RedisError({ cause: new Error("NOSCRIPT No matching script. Please use EVAL.") }))
              : redis.send<A>(command, ...args),
          subscribe: () => Effect.die("it is not used"),
          connect: Effect.die("it is not used")
        })
        const layer = RedisStore.layer({ prefix: `test${times}`, sharded: false })
        const store = yield* storeOf(
          Layer.succeedContext(yield* Layer.build(Layer.provide(layer, Layer.succeed(Redis.Redis, forgetful))))
        )
        assert.strictEqual(reasonOf(yield* Effect.exit(store.commit([take("ada")]))), "ok", `${times}`)
      }
    })
  )
})

describe.skipIf(missing !== undefined)(`a caller whose callback throws${skipped}`, () => {
  it.live("is the only one that it reaches", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const thrown: Array<unknown> = []
      const listeners = process.listeners("uncaughtException")
      process.removeAllListeners("uncaughtException")
      process.on("uncaughtException", (error) => thrown.push(error.message))
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          process.removeAllListeners("uncaughtException")
          for (const listener of listeners) process.on("uncaughtException", listener)
        })
      )
      const told: Array<string> = []
      const ask = (key: string) =>
        Effect.withFiber((fiber) =>
          Effect.sync(() => {
            store.begin!([take(key)], fiber, () => {
              if (key === "bad") throw new Error("of bad")
              told.push(key)
            })
          })
        )
      yield* Effect.forEach(["a", "bad", "b", "c"], ask, { discard: true })
      const { allowed } = yield* store.commit([take("d")]) // in the same trip
      assert.isTrue(allowed)
      yield* server.suspend
      yield* Effect.forEach(["e", "bad", "f"], ask, { discard: true })
      yield* server.resume
      assert.isTrue((yield* store.commit([take("g")])).allowed)
      yield* pause(20) // the process hears of it after what runs now
      assert.deepStrictEqual(told, ["a", "b", "c", "e", "f"])
      assert.deepStrictEqual(thrown, ["of bad", "of bad"])
    })
  )
})
