/**
 * One process of many: `node worker.ts <url> <minutes its clock is ahead>`. It is told what to do by messages, and answers
 * each. It ends when nobody is left to tell it.
 *
 * Admissions are known by the time of the server, which is part of what a store answers.
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as CircuitBreaker from "effect-resilience/CircuitBreaker"
import * as RateLimiter from "effect-resilience/RateLimiter"
import * as Resilience from "effect-resilience/Resilience"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import type { Kernel } from "effect-resilience/kernel/Kernel"
import { slidingLog } from "effect-resilience/kernel/SlidingLog"
import { type AnySpace, Step, Store } from "effect-resilience/Store"
import * as RedisStore from "../src/RedisStore.ts"

export type Task = "hammer" | "keys" | "traffic" | "passed" | "stop" | "local" | "probe"
/** When, by the clock of the server, a call asked for a key; and what it was told. */
export type Seen = readonly [key: string, now: number, allowed: boolean]

export const PROCESSES = 8
export const KEYS = 1_000
export const perHalfSecond = { limit: 40, window: 500 }
export const twoPerAge = { limit: 2, window: 2 ** 40 }

/** In an outage each process has its part of the limit. */
export const LIMIT = 80
const parts = Resilience.makeFromStore("parts", {
  rateLimiter: RateLimiter.fixedWindow({ limit: LIMIT, window: "1000 hours" }),
  store: { deadline: "10 seconds", localShare: 1 / PROCESSES }
})

/** Two probes at a time, which come back by themselves when their process is gone. */
export const probed = Resilience.makeFromStore("probed", {
  circuitBreaker: CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.consecutive(1),
    openDuration: "100 millis",
    probes: { permitted: 2, required: 2, lease: "2 seconds" }
  }),
  store: { onError: "fail", deadline: "10 seconds" }
})

const keys = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity } as const
// oxlint-disable-next-line typescript/no-explicit-any -- a limiter of whatever state
const spaceOf = (name: string, kernel: Kernel<any, any, any, any>, policy: unknown): AnySpace => ({
  name,
  kernel,
  policy,
  keys,
  spread: true
})
const take = (space: AnySpace, key: string) => new Step(space, key, { op: "take", cost: 1 } as never) // a limiter's input

const hot = spaceOf("hot/limit", slidingLog, perHalfSecond)
const thousand = spaceOf("thousand/limit", fixedWindow, twoPerAge)
const inTraffic = spaceOf("traffic/limit", fixedWindow, twoPerAge)

const many = <A, E, R>(fibers: number, one: (fiber: number) => Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: fibers }).keys(), one, { concurrency: "unbounded" })

const tasks = Effect.gen(function* () {
  const { commit } = yield* Store
  const limited = yield* parts
  const circuit = yield* probed
  const seen: Array<Seen> = []
  const traffic = { on: true }

  /** Abandoned when it takes long: it may be taken then, and is not seen. */
  const ask = (space: AnySpace, key: string) =>
    commit([take(space, key)]).pipe(
      Effect.timeoutOption("300 millis"),
      Effect.map((answer) => {
        if (answer._tag === "Some") seen.push([key, answer.value.now, answer.value.allowed])
      }),
      Effect.catchTag("StoreError", () => Effect.void)
    )

  const all: Record<Task, Effect.Effect<unknown, unknown>> = {
    /** One key, by the time of the server; everything that it was told. */
    hammer: Effect.gen(function* () {
      const told: Array<Seen> = []
      const { now: start } = yield* commit([])
      yield* many(
        8,
        Effect.fnUntraced(function* () {
          for (let i = 0, now = start; i < 2_000 && now < start + 1_500; i++) {
            const committed = yield* commit([take(hot, "one")])
            now = committed.now
            told.push(["one", now, committed.allowed])
          }
        })
      )
      return told
    }),
    /** Each of a thousand keys once; those that let it through. */
    keys: Effect.gen(function* () {
      const first = process.pid % KEYS
      const asked = Array.from({ length: KEYS }, (_, i) => (first + 7 * i) % KEYS)
      const answers = yield* Effect.forEach(asked, (key) => commit([take(thousand, `key ${key}`)]), { concurrency: 64 })
      return asked.filter((_, i) => answers[i]!.allowed)
    }),
    /** The same key as everybody, and one of a thousand, until it is told to stop. */
    traffic: many(
      4,
      Effect.fnUntraced(function* (fiber) {
        for (let i = 0; traffic.on && i < 20_000; i++) {
          yield* ask(hot, "all")
          yield* ask(inTraffic, `key ${(process.pid * 31 + fiber * 250 + i) % KEYS}`)
          yield* Effect.sleep("10 millis")
        }
      })
    ),
    passed: Effect.sync(() => seen.filter(([, , allowed]) => allowed).length),
    stop: Effect.sync(() => {
      traffic.on = false
      return seen
    }),
    /** How many of these pass. */
    local: Effect.map(
      Effect.forEach(Array.from({ length: 50 }), () => Effect.isSuccess(limited.resilient(Effect.void, "ada")), {
        concurrency: 10
      }),
      (passed) => passed.filter(Boolean).length
    ),
    /** Takes both probes of a circuit that it opened, and never gives them back. */
    probe: Effect.gen(function* () {
      // the server was started again a moment ago, and this process may not have noticed
      const failed = Effect.flip(circuit.resilient(Effect.fail("down"), "it"))
      yield* Effect.repeat(failed, { until: (error) => error === "down", schedule: Schedule.spaced("50 millis") })
      yield* Effect.sleep("150 millis")
      let held = 0
      yield* Effect.callback<void>((resume) => {
        const probe = Effect.andThen(
          Effect.sync(() => ++held === 2 && resume(Effect.void)),
          Effect.never
        )
        for (const _ of [1, 2]) Effect.runFork(circuit.resilient(probe, "it"))
      })
      return held
    })
  }
  return all
})

const [url, ahead] = process.argv.slice(2)
if (import.meta.main && url !== undefined) {
  // oxlint-disable no-restricted-globals -- the machine's clock is what is wrong here
  const now = Date.now
  Date.now = () => now() + Number(ahead) * 60_000 // before Effect's clock looks for the first time
  process.once("disconnect", () => process.exit())
  const program = Effect.gen(function* () {
    const all = yield* tasks
    process.on("message", ({ id, task }: { readonly id: number; readonly task: Task }) => {
      Effect.runPromise(all[task]).then(
        (value) => process.send?.({ id, value }),
        (cause) => process.send?.({ id, failed: String(cause) })
      )
    })
    process.send?.({ id: 0 })
    return yield* Effect.never
  })
  // what is asked while it is not connected fails at once, and is not taken later
  const redis = NodeRedis.layer({ url, disableOfflineQueue: true })
  await Effect.runPromise(
    Effect.scoped(Effect.provide(program, RedisStore.layer({ prefix: "test" }).pipe(Layer.provide(redis))))
  )
}
