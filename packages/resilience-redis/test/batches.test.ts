/** Commits that come at once go in one trip, and are what they would be one after the other. */
import { assert, describe, it } from "@effect/vitest"
import { NodeRedis } from "@effect/platform-node"
import { Socket } from "node:net"
import { Effect, Exit, Fiber, Layer, Random } from "effect"
import type { LimiterDecision } from "effect-resilience/kernel/Limiter"
import { slidingWindow } from "effect-resilience/kernel/SlidingWindow"
import { tokenBucket } from "effect-resilience/kernel/TokenBucket"
import { type AnySpace, Step, Store } from "effect-resilience/Store"
import { RedisStore } from "../src/index.ts"
import { drawsOf, pick } from "./random.ts"
import { missing, pause, type Server, skipped, startRedis } from "./servers.ts"
import { clientOf, storeOf, storeOn } from "./support.ts"

/** `BATCH_SEED` repeats a run. */
const seed = Number(process.env["BATCH_SEED"] ?? Effect.runSync(Random.nextIntBetween(0, 2 ** 31)))

const keys = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity } as const
// the two policies are the same words
const bucket: AnySpace = {
  name: "s/bucket",
  kernel: tokenBucket,
  policy: { limit: 7, window: 900_000, burst: 7 },
  keys
}
const window: AnySpace = {
  name: "s/window",
  kernel: slidingWindow,
  policy: { limit: 7, slice: 900_000, slices: 7 },
  keys
}
const other: AnySpace = { ...bucket, name: "s/other", policy: { limit: 2, window: 50_000, burst: 3 } }

/** Services make this input once, so that what is asked twice is seen to be the same. */
const takes = [1, 2, 3, 4].map((cost) => ({ op: "take", cost }) as const)

/** Without the receipt: a key that has just ended may be forgotten or not, which a receipt tells, and nothing else. */
const said = (answer: unknown) => {
  const { receipt, ...rest } = answer as { readonly receipt: unknown }
  assert.isDefined(receipt)
  return rest
}

const scriptsOf = (server: Server): number =>
  Number(/cmdstat_evalsha:calls=(\d+)/.exec(server.command("INFO", "commandstats"))?.[1] ?? 0)

describe.skipIf(missing !== undefined)(`commits at once (BATCH_SEED=${seed})${skipped}`, () => {
  it.live("are decided in their order, each all or nothing, on what those before it left", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const draw = drawsOf(seed)
      const states = new Map<string, unknown>()
      const receipts = new Map<string, Array<unknown>>()
      let refused = 0
      for (let round = 0; round < 12; round++) {
        const commits = Array.from({ length: 60 }, () =>
          [bucket, window, ...(draw(2) === 0 ? [other] : [])].map((space) => {
            const key = pick(draw, ["a", "b", "c"])
            const given = receipts.get(space.name + key) ?? []
            const what = draw(20)
            if (what === 0) return new Step(space, key, { op: "reset" })
            if (what < 6 && given.length > 0) return new Step(space, key, { op: "refund", receipt: pick(draw, given) })
            return new Step(space, key, pick(draw, takes))
          })
        )
        const before = scriptsOf(server)
        const replies = yield* Effect.all(
          commits.map((steps) => store.commit(steps)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(scriptsOf(server) - before, 2, "32, and the others")
        replies.forEach(({ allowed, answers, now }, i) => {
          const asked = commits[i]!.map(({ input, key, space }) => {
            const name = space.name + key
            const state: unknown = states.get(name) ?? space.kernel.initial(space.policy)
            const [answer, after] = space.kernel.step(space.policy, state, input, now)
            return { name, answer: answer as unknown, allowed: answer.allowed, after: after as unknown }
          })
          assert.deepStrictEqual(
            answers.map(said),
            asked.map(({ answer }) => said(answer)),
            `round ${round}, commit ${i}`
          )
          assert.strictEqual(
            allowed,
            asked.every(({ allowed }) => allowed)
          )
          if (!allowed) refused++
          else {
            asked.forEach(({ after, answer, name }) => {
              states.set(name, after)
              const list = receipts.get(name) ?? []
              receipts.set(name, [...list.slice(-4), (answer as { readonly receipt: unknown }).receipt])
            })
          }
          if (i !== 31 && i !== 59) return
          // at the end of a trip, what is as good as new is forgotten
          for (const { kernel, name, policy } of [bucket, window, other]) {
            for (const key of ["a", "b", "c"]) {
              const state = states.get(name + key)
              if (state !== undefined && kernel.expiresAt(policy, state)! <= now) states.delete(name + key)
            }
          }
        })
        for (const space of [bucket, window, other]) {
          for (const key of ["a", "b", "c"]) {
            const { now, state } = yield* store.read(space, key)
            const expected = states.get(space.name + key)
            const end = expected === undefined ? 0 : (space.kernel.expiresAt(space.policy, expected) ?? Infinity)
            if (now < end) assert.deepStrictEqual(state as unknown, expected, `${space.name} of ${key}`)
          }
        }
      }
      assert.isAbove(refused, 50)
    })
  )

  it.live("are not taken for one another where they ask alike", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const asked = [
        [bucket, "a"],
        [bucket, "a"],
        [bucket, "b"],
        [other, "b"]
      ] as const
      const replies = yield* Effect.all(
        asked.map(([space, key]) => store.commit([new Step(space, key, takes[0]!)])),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        replies.map(({ answers: [answer] }) => (answer as LimiterDecision<unknown>).remaining),
        [6, 5, 6, 2]
      )
      assert.strictEqual(scriptsOf(server), 1)
    })
  )

  it.live(
    "are sent in turns where they are too many for one trip, so that some are answered while others are decided",
    () =>
      Effect.gen(function* () {
        const { client } = yield* NodeRedis.NodeRedis
        const store = yield* Store
        const commits = (times: number) =>
          Effect.forEach(
            Array.from({ length: times }, (_, i) => `${i % 2}`),
            (key) => store.commit([new Step(bucket, key, takes[0]!)]),
            { concurrency: "unbounded", discard: true }
          )
        yield* commits(1) // Redis learns the script
        let turn = 0
        const turns = Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => turn++)
        )
        const counting = yield* Effect.forkChild(Effect.forever(turns, { disableYield: true }))
        const sent: Array<number> = []
        const { sendCommand } = client
        client.sendCommand = ((args: Array<string>) => {
          if (args[0] === "EVALSHA") sent.push(turn)
          return sendCommand.call(client, args)
        }) as typeof sendCommand // of the arguments, effect's service gives the first
        for (const [times, trips] of [
          [32, 1],
          [33, 2],
          [96, 3]
        ] as const) {
          sent.length = 0
          yield* commits(times)
          assert.strictEqual(sent.length, trips, `of ${times} commits`)
          assert.strictEqual(new Set(sent).size, trips, `of ${times} commits, each in a turn of its own: ${sent}`)
          assert.strictEqual(
            Math.max(...sent) - Math.min(...sent),
            trips - 1,
            `and no turn goes by for nothing: ${sent}`
          )
        }
        yield* Fiber.interrupt(counting)
      }).pipe(
        Effect.provide(
          Layer.unwrap(
            Effect.map(startRedis(), (server) =>
              Layer.provideMerge(RedisStore.layer({ prefix: "test" }), clientOf(server))
            )
          )
        )
      )
  )

  it.live("are told trip by trip where several are answered at once, so that what follows is not sent at once", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const commit = store.commit([new Step(bucket, "a", takes[0]!)])
      yield* commit
      yield* server.suspend // both trips are read at once, and answered at once
      const seen: Array<string> = []
      const told = Effect.sync(() => seen.push("told"))
      const calls = Array.from({ length: 64 }, () => Effect.andThen(Effect.andThen(commit, told), commit))
      const all = yield* Effect.forkChild(Effect.all(calls, { concurrency: "unbounded", discard: true }), {
        startImmediately: true
      })
      yield* pause(100)
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const { write } = Socket.prototype
          Socket.prototype.write = function (this: Socket, ...args: Parameters<Socket["write"]>) {
            if (String(args[0]).includes("EVALSHA")) seen.push("sent")
            return write.apply(this, args)
          } as typeof write // of its overloads, the one that all others come to
          return write
        }),
        (write) => Effect.sync(() => (Socket.prototype.write = write))
      )
      yield* server.resume
      yield* Fiber.join(all)
      const order = seen.filter((one, i) => one !== seen[i - 1])
      assert.deepStrictEqual(order, ["told", "sent", "told", "sent"])
      assert.strictEqual(seen.indexOf("sent"), 32)
    })
  )

  it.live("do not fail with one whose state is not to be read", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const take = (key: string) => Effect.exit(store.commit([new Step(bucket, key, { op: "take", cost: 1 })]))
      yield* take("bad")
      server.command("SET", server.command("KEYS", "*bad"), "0 what is this")
      const exits = yield* Effect.all(["a", "bad", "a", "b"].map(take), { concurrency: "unbounded" })
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true, true])
      assert.include(String(exits[1]), "StoreError")
      const left = yield* store.commit([new Step(bucket, "a", { op: "take", cost: 6 })])
      assert.isFalse(left.allowed, "what was let through is counted, once")
    })
  )

  it.live("leave without a trip where they are interrupted before it", () =>
    Effect.gen(function* () {
      const server = yield* startRedis()
      const store = yield* storeOf(yield* storeOn(server))
      const take = (cost: number) => store.commit([new Step(bucket, "a", { op: "take", cost })])
      const first = yield* Effect.forkChild(take(5), { startImmediately: true })
      const second = yield* Effect.forkChild(take(7), { startImmediately: true })
      first.interruptUnsafe()
      assert.isTrue((yield* Fiber.join(second)).allowed)
    })
  )
})
