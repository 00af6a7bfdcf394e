/** Several processes, whose clocks differ by minutes, and one PostgreSQL. */
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { missing, skipped, usePostgres } from "./suite.ts"
import { fewPerAge, KEYS, manyPerSecond, orders, storeOf } from "./worker.ts"

interface Worker {
  readonly process: ChildProcess
  /** What it says next. */
  readonly next: Effect.Effect<unknown>
}

/** Killed at the end, whatever happens. */
const worker = (url: string, minutesAhead: number, task: string) =>
  Effect.acquireRelease(
    Effect.sync((): Worker => {
      const file = join(import.meta.dirname, "worker.ts")
      const args = ["--conditions=effect-resilience-source", file, url, String(minutesAhead), task]
      const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
      const lines = createInterface({ input: child.stdout })
      const next = Effect.callback<unknown>((resume) => {
        lines.once("line", (line) => resume(Effect.succeed(JSON.parse(line))))
        child.once("exit", (code, signal) => resume(Effect.die(new Error(`the worker ended: ${code ?? signal}`))))
      })
      return {
        process: child,
        next: Effect.timeoutOrElse(next, {
          duration: "150 seconds",
          orElse: () => Effect.die("the worker says nothing")
        })
      }
    }),
    ({ process }) => Effect.sync(() => void process.kill("SIGKILL"))
  )

/** Eight processes, from four minutes behind to three ahead. */
const crowd = (url: string, task: string) =>
  Effect.forEach(
    [-4, -3, -2, -1, 0, 1, 2, 3],
    (minutes) => Effect.flatMap(worker(url, minutes, task), ({ next }) => next),
    {
      concurrency: "unbounded"
    }
  )

const sum = (numbers: ReadonlyArray<unknown>) => (numbers as ReadonlyArray<number>).reduce((a, b) => a + b, 0)

vi.setConfig({ testTimeout: 180_000 }) // eight processes on a machine with two cores

describe.skipIf(missing)(`eight processes at one PostgreSQL${skipped}`, () => {
  const server = usePostgres()
  it.live("one key lets through exactly its limit", () =>
    Effect.gen(function* () {
      assert.strictEqual(sum(yield* crowd(server().url, "few")), fewPerAge.limit)
    })
  )

  it.live("each of a thousand keys lets through exactly its limit", () =>
    Effect.gen(function* () {
      assert.strictEqual(sum(yield* crowd(server().url, "keys")), KEYS)
    })
  )

  it.live("no window of the server's time holds more than the bucket allows", () =>
    Effect.gen(function* () {
      const times = ((yield* crowd(server().url, "bucket")) as ReadonlyArray<ReadonlyArray<number>>).flat()
      times.sort((a, b) => a - b)
      const { burst, limit, window } = manyPerSecond
      const within = (from: number, to: number) => burst + Math.floor((limit * (to - from)) / window)
      for (const [i, from] of times.entries()) {
        for (let j = i; j < times.length; j++) {
          const admitted = j - i + 1
          const bound = within(from, times[j]!)
          if (admitted > bound) assert.fail(`${admitted} from ${from} to ${times[j]}, where ${bound} are allowed`)
        }
      }
      assert.isAbove(times.length, burst, "it was full once, and then they took what came")
    })
  )

  it.live("a probe whose process was killed comes back when its lease ends", () =>
    Effect.gen(function* () {
      const { next, process } = yield* worker(server().url, 5, "probe")
      assert.strictEqual(yield* next, "holding")
      process.kill("SIGKILL")
      const { inspect, resilient } = yield* orders
      const state = Effect.map(inspect("a"), ({ circuitBreaker }) => circuitBreaker!.state)
      assert.deepInclude(yield* Effect.flip(resilient(Effect.void, "a")), { _tag: "CircuitOpen", state: "HalfOpen" })
      assert.strictEqual(yield* state, "HalfOpen")
      // it counts as failed, so the circuit opens once more
      yield* resilient(Effect.void, "a").pipe(
        Effect.delay("50 millis"),
        Effect.retry({ times: 200, while: ({ _tag }) => _tag === "CircuitOpen" })
      )
      assert.strictEqual(yield* state, "Closed")
    }).pipe(Effect.scoped, Effect.provide(Layer.unwrap(Effect.sync(() => storeOf(server().url)))))
  )
})
