/**
 * Eight processes, whose clocks differ by minutes, and one Redis that goes through everything.
 *
 * When an admission was is told by the server, within the script that decided: whole milliseconds of one clock.
 */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { assert, describe, layer, vi } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { type Proxy, startProxy } from "./proxy.ts"
import { missing, pause, type Server, skipped, startRedis } from "./servers.ts"
import { KEYS, LIMIT, perHalfSecond, probed, PROCESSES, type Seen, type Task, twoPerAge } from "./worker.ts"
import { eventually, storeOn } from "./support.ts"

interface Worker {
  readonly ask: (task: Task) => Effect.Effect<unknown>
  readonly kill: Effect.Effect<void>
}

/** Killed at the end, whatever happens. */
const worker = (url: string, minutesAhead: number) =>
  Effect.gen(function* () {
    const args = ["--conditions=effect-resilience-source", join(import.meta.dirname, "worker.ts"), url]
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [...args, String(minutesAhead)], { stdio: ["ignore", "ignore", "inherit", "ipc"] })
      ),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    )
    child.setMaxListeners(0)
    let ids = 0
    const answer = (id: number) =>
      Effect.callback<unknown>((resume) => {
        const listen = (message: object) => {
          if (!("id" in message) || message.id !== id) return
          child.off("message", listen)
          const failed = "failed" in message ? message.failed : undefined
          resume(failed === undefined ? Effect.succeed("value" in message && message.value) : Effect.die(failed))
        }
        child.on("message", listen)
        child.once("exit", (code, signal) => resume(Effect.die(new Error(`a process ended: ${code ?? signal}`))))
      }).pipe(Effect.timeoutOrElse({ duration: "60 seconds", orElse: () => Effect.die("a process says nothing") }))
    yield* answer(0)
    const ask = (task: Task) =>
      Effect.suspend(() => {
        const id = ++ids
        child.send({ id, task })
        return answer(id)
      })
    return { ask, kill: Effect.sync(() => void child.kill("SIGKILL")) } satisfies Worker
  })

class Crowd extends Context.Service<
  Crowd,
  { readonly server: Server; readonly proxy: Proxy; readonly workers: ReadonlyArray<Worker> }
>()("test/Crowd") {}

/** The server loses nothing that it has answered, so that limits hold also over its death. */
const crowd = Layer.effect(
  Crowd,
  Effect.gen(function* () {
    const server = yield* startRedis(["--appendonly", "yes", "--appendfsync", "always"])
    const proxy = yield* startProxy(server.port)
    const clocks = Array.from({ length: PROCESSES }, (_, i) => i - 4)
    const workers = yield* Effect.forEach(clocks, (minutes) => worker(proxy.url, minutes), { concurrency: "unbounded" })
    return { server, proxy, workers }
  })
)

const everybody = <A>(task: Task) =>
  Effect.flatMap(
    Crowd,
    ({ workers }) => Effect.forEach(workers, ({ ask }) => ask(task) as Effect.Effect<A>, { concurrency: "unbounded" }) // as the worker says
  )

const sum = (numbers: ReadonlyArray<number>) => numbers.reduce((a, b) => a + b, 0)

/** The times of what was let through, in order, for each key. */
const admissions = (seen: ReadonlyArray<Seen>): ReadonlyMap<string, ReadonlyArray<number>> => {
  const times = new Map<string, Array<number>>()
  for (const [key, now, allowed] of seen) {
    if (!allowed) continue
    const known = times.get(key)
    if (known === undefined) times.set(key, [now])
    else known.push(now)
  }
  for (const each of times.values()) each.sort((a, b) => a - b)
  return times
}

const { limit, window } = perHalfSecond

const inTrailingWindows = (times: ReadonlyArray<number>) => {
  for (const [i, time] of times.entries()) {
    const first = times.findIndex((other) => other > time - window)
    if (i - first + 1 > limit) assert.fail(`${i - first + 1} in the ${window} ms up to ${time}`)
  }
}

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 }) // eight processes on a machine with two cores

describe.skipIf(missing !== undefined)(`eight processes at one Redis${skipped}`, () => {
  layer(crowd, { excludeTestServices: true, timeout: "2 minutes" })((it) => {
    it.effect("one key: no trailing window is above its limit, and nobody is refused while there is room", () =>
      Effect.gen(function* () {
        const seen = (yield* everybody<ReadonlyArray<Seen>>("hammer")).flat()
        const times = admissions(seen).get("one")!
        inTrailingWindows(times)
        assert.isAtLeast(times.length, 2 * limit)
        const refused = seen.filter(([, , allowed]) => !allowed)
        assert.isAbove(refused.length, 0)
        for (const [, now] of refused) {
          const inWindow = times.filter((time) => time > now - window && time <= now).length
          if (inWindow < limit) assert.fail(`refused at ${now}, where ${inWindow} of ${limit} were taken`)
        }
      })
    )

    it.effect("a thousand keys: each lets through exactly its limit", () =>
      Effect.gen(function* () {
        const counts = new Array<number>(KEYS).fill(0)
        for (const key of (yield* everybody<ReadonlyArray<number>>("keys")).flat()) counts[key]! += 1
        for (const [key, count] of counts.entries()) assert.strictEqual(count, twoPerAge.limit, `key ${key}`)
      })
    )

    it.effect(
      "its scripts forgotten, slowed, hung, killed and started: limits hold, and calls pass again each time",
      () =>
        Effect.gen(function* () {
          const { proxy, server } = yield* Crowd
          const traffic = yield* Effect.forkChild(everybody("traffic"), { startImmediately: true })
          const passed = Effect.map(everybody<number>("passed"), sum)
          const passes = (when: string) =>
            Effect.gen(function* () {
              const before = yield* everybody<number>("passed")
              const all = Effect.map(everybody<number>("passed"), (now) => now.every((n, i) => n > before[i]!))
              yield* eventually(`every process is let through ${when}`, all)
            })
          const flush = Effect.sync(() => void server.command("SCRIPT", "FLUSH"))
          const sleep = Effect.sync(() => void server.command("DEBUG", "SLEEP", "0.4"))
          const faults: Record<string, readonly [begin: Effect.Effect<void>, end: Effect.Effect<void>]> = {
            "its scripts are forgotten": [flush, flush],
            "the wire is slow": [proxy.delay(40), proxy.delay(0)],
            "the wire is slower than the callers wait": [proxy.delay(400), proxy.delay(0)],
            "it sleeps": [sleep, Effect.void],
            "it hangs": [server.suspend, server.resume],
            "it is killed, and started again": [server.kill, server.start]
          }
          yield* passes("at the start")
          for (const [fault, [begin, end]] of Object.entries(faults)) {
            yield* begin
            yield* pause(400)
            if (fault === "the wire is slow") yield* passes("while it is slow")
            yield* end
            yield* passes(`after this: ${fault}`)
          }
          const total = yield* passed
          const seen = (yield* everybody<ReadonlyArray<Seen>>("stop")).flat()
          yield* Fiber.join(traffic)
          assert.isAtLeast(seen.filter(([, , allowed]) => allowed).length, total)
          const times = admissions(seen)
          inTrailingWindows(times.get("all")!)
          assert.isAbove(times.size, 1)
          for (const [key, { length }] of times) {
            if (key !== "all") assert.isAtMost(length, twoPerAge.limit, key)
          }
        })
    )

    it.effect("while it is down, all together let through what each one's share comes to; then what it has left", () =>
      Effect.gen(function* () {
        const { server } = yield* Crowd
        yield* server.kill
        assert.strictEqual(sum(yield* everybody<number>("local")), LIMIT)
        yield* server.start
        let total = 0
        const asked = Effect.map(everybody<number>("local"), (numbers) => {
          total += sum(numbers)
          return total >= LIMIT
        })
        yield* eventually("all of its limit is taken", asked)
        yield* asked
        assert.strictEqual(total, LIMIT)
      })
    )

    it.effect("the slots of probes come back when their process is killed", () =>
      Effect.gen(function* () {
        const { server, workers } = yield* Crowd
        const { inspect, resilient } = yield* Effect.provide(probed, yield* storeOn(server))
        const victim = workers.at(-1)!
        assert.strictEqual(yield* victim.ask("probe"), 2)
        yield* victim.kill
        assert.strictEqual((yield* inspect("it")).circuitBreaker!.state, "HalfOpen")
        assert.deepInclude(yield* Effect.flip(resilient(Effect.void, "it")), { _tag: "CircuitOpen", state: "HalfOpen" })
        // they count as failed, so the circuit opens once more
        const isClosed = Effect.andThen(
          Effect.exit(resilient(Effect.void, "it")),
          Effect.map(inspect("it"), ({ circuitBreaker }) => circuitBreaker!.state === "Closed")
        )
        yield* eventually("it is closed", isClosed)
      })
    )
  })
})
