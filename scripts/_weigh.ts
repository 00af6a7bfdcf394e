import { build } from "esbuild"
import { gzipSync } from "node:zlib"
const root = process.cwd()
const app = `
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
class Service extends Context.Service()("Service") {}
Effect.runFork(Effect.provide(Effect.asVoid(Service), Layer.succeed(Service, 1)))
globalThis.runtime = [Context, Effect, Layer]
`
const trip = `tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds"`
const from = (m: string, code: string) =>
  [
    app,
    ...m.split(", ").map((n) => `import * as ${n} from "effect-resilience/${n}"`),
    `globalThis.part = ${code}`
  ].join("\n")
const parts: Record<string, string> = {
  readme: from(
    "Backoff, CircuitBreaker, RateLimiter, Resilience, Retry",
    `[Resilience.resilient, Resilience.layer({
        timeout: "10 seconds",
        circuitBreaker: CircuitBreaker.policy({ ${trip} }),
        rateLimiter: RateLimiter.tokenBucket({ limit: 100, window: "1 minute", burst: 10 }),
        retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.exponential({ base: "500 millis" }) })
      })]`
  ),
  bucket: from("RateLimiter", `RateLimiter.make(RateLimiter.tokenBucket({ limit: 1, window: 1 }))`),
  bulkhead: from("Bulkhead", `Bulkhead.make(Bulkhead.policy({ maxConcurrent: 1 }))`),
  engine:
    app +
    `import { assemble } from "${root}/packages/resilience/src/engine/assemble.ts"\nimport { run } from "${root}/packages/resilience/src/engine/run.ts"\nglobalThis.part = [assemble, run]`
}
const b = async (code: string, minify = true) => {
  const r = await build({
    stdin: { contents: code, resolveDir: root + "/examples", loader: "ts" },
    bundle: true,
    minify,
    format: "esm",
    platform: "neutral",
    conditions: ["effect-resilience-source", "import"],
    metafile: true,
    write: false,
    logLevel: "silent"
  })
  return { text: r.outputFiles[0]!.text, inputs: Object.values(r.metafile!.outputs)[0]!.inputs }
}
const base = await b(app)
const which = process.argv[2]
for (const [n, code] of Object.entries(parts)) {
  if (which && n !== which) continue
  const x = await b(code)
  console.log(
    n,
    ((gzipSync(x.text, { level: 9 }).length - gzipSync(base.text, { level: 9 }).length) / 1000).toFixed(2),
    "kB gz;",
    x.text.length - base.text.length,
    "min"
  )
  if (which)
    for (const [f, { bytesInOutput }] of Object.entries(x.inputs).sort(
      (a, c) => c[1].bytesInOutput - a[1].bytesInOutput
    )) {
      const d = bytesInOutput - (base.inputs[f]?.bytesInOutput ?? 0)
      if (d > 0) console.log(String(d).padStart(7), f.replace(/.*node_modules\//, ""))
    }
}
