/**
 * One process of many: `node worker.ts <url> <minutes its clock is ahead> <task>`. It tells what it saw as JSON, one
 * line on its output.
 */
import { Effect, Layer, type Scope } from "effect"
import { CircuitBreaker, Resilience } from "effect-resilience"
import { fixedWindow } from "effect-resilience/kernel/FixedWindow"
import type { Kernel } from "effect-resilience/kernel/Kernel"
import { tokenBucket } from "effect-resilience/kernel/TokenBucket"
import { type AnySpace, Step, Store } from "effect-resilience/Store"
import { SqlStore } from "../src/index.ts"
import { clientOf } from "./servers.ts"

const keys = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity } as const
// oxlint-disable-next-line typescript/no-explicit-any -- a limiter of whatever state
const spaceOf = (name: string, kernel: Kernel<any, any, any, any>, policy: unknown): AnySpace => ({
  name,
  kernel,
  policy,
  keys
})
const take = (space: AnySpace, key: string) => new Step(space, key, { op: "take", cost: 1 } as never) // a limiter's input

export const AGES = 2 ** 40
export const fewPerAge = { limit: 300, window: AGES }
export const onePerAge = { limit: 1, window: AGES }
export const manyPerSecond = { limit: 100, window: 1_000, burst: 20 }
export const KEYS = 1_000

/** One probe at a time, which comes back by itself when its process is gone. */
export const circuit = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.consecutive(1),
  openDuration: "100 millis",
  probes: { permitted: 1, required: 1, lease: "2 seconds" }
})
export const orders = Resilience.makeFromStore("app/orders", { circuitBreaker: circuit, store: { onError: "fail" } })
export const storeOf = (url: string) => SqlStore.layer().pipe(Layer.provide(clientOf(url, 5)))

const fibers = Array.from({ length: 8 }).keys()

const tasks: Record<string, () => Effect.Effect<unknown, unknown, Store | Scope.Scope>> = {
  /** All ask more often than is allowed. */
  few: () =>
    Effect.gen(function* () {
      const { commit } = yield* Store
      const space = spaceOf("few", fixedWindow, fewPerAge)
      const asked = Array.from({ length: 150 }, () => commit([take(space, "hot")]))
      const all = yield* Effect.all(asked, { concurrency: 8 })
      return all.filter(({ allowed }) => allowed).length
    }),
  /** All ask each key once. */
  keys: () =>
    Effect.gen(function* () {
      const { commit } = yield* Store
      const space = spaceOf("keys", fixedWindow, onePerAge)
      const start = process.pid % KEYS
      const asked = Array.from({ length: KEYS }, (_, i) => commit([take(space, `key ${(start + 7 * i) % KEYS}`)]))
      const all = yield* Effect.all(asked, { concurrency: 8 })
      return all.filter(({ allowed }) => allowed).length
    }),
  /** All ask one key for as long as it takes; the times at which they were let in. */
  bucket: () =>
    Effect.gen(function* () {
      const { commit } = yield* Store
      const space = spaceOf("bucket", tokenBucket, manyPerSecond)
      const admitted: Array<number> = []
      const { now: start } = yield* commit([])
      yield* Effect.forEach(
        fibers,
        Effect.fnUntraced(function* () {
          for (let i = 0, now = start; i < 10_000 && now < start + 3_000; i++) {
            const committed = yield* commit([take(space, "hot")])
            now = committed.now
            if (committed.allowed) admitted.push(now)
          }
        }),
        { concurrency: "unbounded" }
      )
      return admitted
    }),
  /** Takes the one probe of a circuit that it opened, and never gives it back. */
  probe: () =>
    Effect.gen(function* () {
      const { resilient } = yield* orders
      yield* Effect.exit(resilient(Effect.fail("down"), "a"))
      yield* Effect.sleep("200 millis")
      yield* resilient(
        Effect.andThen(
          Effect.sync(() => console.log(JSON.stringify("holding"))),
          Effect.never
        ),
        "a"
      )
    })
}

const [url, ahead, task] = process.argv.slice(2)
if (import.meta.main && url !== undefined && task !== undefined) {
  // oxlint-disable no-restricted-globals -- the machine's clock is what is wrong here
  const now = Date.now
  Date.now = () => now() + Number(ahead) * 60_000 // before Effect's clock looks for the first time
  const done = await Effect.runPromise(Effect.scoped(Effect.provide(tasks[task]!(), storeOf(url))))
  console.log(JSON.stringify(done))
}
