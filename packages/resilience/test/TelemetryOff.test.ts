import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Metric } from "effect"
import { build } from "esbuild"
import { vi } from "vitest"
import { Telemetry } from "../src/index.ts"
import type * as events from "../src/internal/events.ts"
import { isolated, spanOf, story } from "./watching.ts"

const emitted = vi.hoisted(() => ({ count: 0 }))

/** Each event is built as an argument of `emit`, so its calls count the events that are built. */
vi.mock("../src/internal/events.ts", async (original) => {
  const actual = await original<typeof events>()
  const emit: typeof actual.emit = (...args) => {
    emitted.count++
    actual.emit(...args)
  }
  return { ...actual, emit }
})

describe("what is off costs nothing", () => {
  const count = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      emitted.count = 0
      return Effect.map(isolated(self), () => emitted.count)
    })

  it.effect("without a sink no event is built", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* count(story), 0)
      const off = Telemetry.layer({ metrics: false, spans: false, logs: false })
      assert.strictEqual(yield* count(Effect.provide(story, off)), 0)
      assert.isAbove(yield* count(Effect.provide(story, Telemetry.layer({ logs: false }))), 20)
    })
  )

  it.effect("each part is off by its own option", () =>
    Effect.gen(function* () {
      const parts = { metrics: 0, spans: 0, logs: 0 }
      const logger = Logger.make(() => void parts.logs++)
      const run = (options: Telemetry.Options) =>
        Effect.gen(function* () {
          parts.logs = 0
          const { attributes, events } = yield* spanOf(story)
          parts.metrics = (yield* Metric.snapshot).length
          parts.spans = events.length + Object.keys(attributes).length
          return Object.entries(parts).flatMap(([part, seen]) => (seen > 0 ? [part] : []))
        }).pipe(Effect.provide(Logger.layer([logger])), Effect.provide(Telemetry.layer(options)), isolated)
      assert.deepStrictEqual(yield* run({}), ["metrics", "spans", "logs"])
      assert.deepStrictEqual(yield* run({ metrics: false }), ["spans", "logs"])
      assert.deepStrictEqual(yield* run({ spans: false }), ["metrics", "logs"])
      assert.deepStrictEqual(yield* run({ logs: false }), ["metrics", "spans"])
    })
  )

  it("an application that does not import Telemetry or EventStream does not bundle them", async () => {
    const inputs = async (names: string) => {
      const contents = `import { ${names} } from "../src/index.ts"; console.log(${names})`
      const resolveDir = fileURLToPath(new URL(".", import.meta.url))
      const stdin = { contents, resolveDir, loader: "ts" } as const
      const { metafile } = await build({
        stdin,
        bundle: true,
        format: "esm",
        platform: "neutral",
        metafile: true,
        write: false
      })
      const output = Object.values(metafile.outputs)[0]!.inputs
      const bundled = Object.keys(output).filter((file) => output[file]!.bytesInOutput > 0)
      return ["Telemetry.ts", "EventStream.ts", "effect/dist/Metric.js", "effect/dist/Stream.js"].filter((name) =>
        bundled.some((file) => file.endsWith(`/${name}`))
      )
    }
    const core = "resilient, Resilience, RateLimiter, CircuitBreaker, Bulkhead, Retry, Backoff, Event"
    assert.deepStrictEqual(await inputs(core), [])
    assert.deepStrictEqual(await inputs(`${core}, Telemetry`), ["Telemetry.ts", "effect/dist/Metric.js"])
    assert.deepStrictEqual(await inputs(`${core}, EventStream`), ["EventStream.ts", "effect/dist/Stream.js"])
  })
})
