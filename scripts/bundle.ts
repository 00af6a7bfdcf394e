/**
 * Measures what parts of the library add to an application that bundles Effect's runtime already, minified and gzipped,
 * and fails where a policy that is not used is bundled: `node scripts/bundle.ts [part ...]`.
 *
 * Kernels are told by their ids, which are strings in the bundle; the weight of Effect's modules by esbuild's account.
 */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { build } from "esbuild"
import { condition, fail, root } from "./lib.ts"

/** The application: what nearly every program with Effect bundles. */
const application = `
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
class Service extends Context.Service()("Service") {}
Effect.runFork(Effect.provide(Effect.asVoid(Service), Layer.succeed(Service, 1)))
`

/** One that uses so much of it that all of it is bundled: there, only what is a part's own is added. */
const whole = `${application}\nglobalThis.runtime = [Context, Effect, Layer]\n`

interface Part {
  readonly name: string
  readonly code: string
  /** The kernels that it may bundle, by the part of the id before `@`. It must bundle these, and no other. */
  readonly kernels: ReadonlyArray<string> | "any"
  /** To compare with: it may weigh what it weighs. */
  readonly peer?: true
  /** Whether it may stand in `Effect.tx`. What may not bundles no transactional reference. */
  readonly joins?: true
  /** Whether it brings a remote store. What does not bundles no guard. */
  readonly remote?: true
  /** kB beside all of Effect's runtime, at most: what it weighed when it was last looked at, and a little. */
  readonly most?: number
}

/** Imports by module: esbuild keeps all of a namespace that an index re-exports (Rollup and Rolldown do not). */
const from = (modules: string, code: string) => {
  const imports = modules.split(", ").map((name) => `import * as ${name} from "effect-resilience/${name}"`)
  return [application, ...imports, `globalThis.part = ${code}`].join("\n")
}

const limiter = (code: string) =>
  from("RateLimiter, Resilience", `Resilience.make("app/Api", { rateLimiter: RateLimiter.${code} })`)

const trip = `tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds"`

const engine = ["assemble", "run"].map(
  (name) => `import { ${name} } from ${JSON.stringify(join(root, "packages/resilience/src/engine", `${name}.ts`))}`
)

const parts: ReadonlyArray<Part> = [
  {
    name: "the engine alone",
    code: [application, ...engine, "globalThis.part = [assemble, run]"].join("\n"),
    kernels: [],
    most: 5.8
  },
  { name: "Rejection", code: from("Rejection", "Rejection.isRejection"), kernels: [] },
  {
    name: "Resilience, timeout only",
    code: from("Resilience", `Resilience.make("app/Api", { timeout: 1 })`),
    kernels: []
  },
  { name: "... tokenBucket", code: limiter(`tokenBucket({ limit: 1, window: 1 })`), kernels: ["token-bucket"] },
  { name: "... fixedWindow", code: limiter(`fixedWindow({ limit: 1, window: 1 })`), kernels: ["fixed-window"] },
  { name: "... slidingWindow", code: limiter(`slidingWindow({ limit: 1, window: 10 })`), kernels: ["sliding-window"] },
  { name: "... slidingLog", code: limiter(`slidingLog({ limit: 1, window: 1 })`), kernels: ["sliding-log"] },
  {
    name: "... circuitBreaker",
    code: from(
      "CircuitBreaker, Resilience",
      `Resilience.make("app/Api", { circuitBreaker: CircuitBreaker.policy({ ${trip} }) })`
    ),
    kernels: ["circuit-breaker"]
  },
  {
    name: "... retry",
    code: from(
      "Backoff, Resilience, Retry",
      `Resilience.make("app/Api", { retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("1 second") }) })`
    ),
    kernels: []
  },
  {
    name: "... bulkhead",
    code: from(
      "Bulkhead, Resilience",
      `Resilience.make("app/Api", { bulkhead: Bulkhead.policy({ maxConcurrent: 1 }) })`
    ),
    kernels: []
  },
  {
    name: "README's pipeline",
    code: from(
      "Backoff, CircuitBreaker, RateLimiter, Resilience, Retry",
      `[Resilience.resilient, Resilience.layer({
        timeout: "10 seconds",
        circuitBreaker: CircuitBreaker.policy({ ${trip} }),
        rateLimiter: RateLimiter.tokenBucket({ limit: 100, window: "1 minute", burst: 10 }),
        retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.exponential({ base: "500 millis" }) })
      })]`
    ),
    kernels: ["token-bucket", "circuit-breaker"],
    most: 28.3
  },
  {
    name: "one token bucket as a service",
    code: from("RateLimiter", `RateLimiter.make(RateLimiter.tokenBucket({ limit: 1, window: 1 }))`),
    kernels: ["token-bucket"],
    joins: true,
    most: 16.6
  },
  {
    name: "a pipeline on a store of one's own",
    code: from(
      "RateLimiter, RemoteStore, Resilience",
      `[RemoteStore.make, Resilience.makeFromStore("app/Api", { rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: 1 }) })]`
    ),
    kernels: ["token-bucket"],
    joins: true,
    remote: true
  },
  {
    name: "Effect's RateLimiter, CircuitBreaker, retry and timeout",
    code: `${application}
      import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
      import * as RateLimiter from "effect/persistence/RateLimiter"
      import * as Schedule from "effect/Schedule"
      globalThis.part = [RateLimiter.layer, RateLimiter.layerStoreMemory, CircuitBreaker.layerStoreMemory(),
        CircuitBreaker.layer({ ${trip} }),
        (self) => Effect.timeout(Effect.retry(self, Schedule.exponential("500 millis")), "10 seconds")]`,
    kernels: [],
    peer: true
  },
  { name: "everything", code: `${application}\nexport * from "effect-resilience"`, kernels: "any" }
]

/** Effect modules that no part but `everything` may add. */
const heavy = /node_modules\/effect\/.*\/(Stream|PubSub|Queue|Schedule|Schema|SchemaAST|Metric)\.js$/

interface Bundle {
  readonly text: string
  readonly gzipped: number
  /** Bytes of each input file. */
  readonly inputs: Readonly<Record<string, number>>
}

const bundle = async (code: string): Promise<Bundle> => {
  const result = await build({
    stdin: { contents: code, resolveDir: join(root, "examples"), loader: "ts" },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "neutral",
    conditions: [condition, "import"],
    metafile: true,
    write: false,
    logLevel: "silent"
  })
  const text = result.outputFiles[0]?.text ?? ""
  const inputs = Object.values(result.metafile.outputs)[0]?.inputs ?? {}
  return {
    text,
    gzipped: gzipSync(text, { level: 9 }).length,
    inputs: Object.fromEntries(Object.entries(inputs).map(([file, { bytesInOutput }]) => [file, bytesInOutput]))
  }
}

const kernels = globSync("packages/resilience/src/kernel/*.ts", { cwd: root }).flatMap((file) =>
  [...readFileSync(join(root, file), "utf8").matchAll(/\bid: "([a-z-]+)@\d+"/g)].map(([, id]) => String(id))
)

const problems: Array<string> = []
const base = await bundle(application)
const wholeBase = await bundle(whole)
const kB = (bytes: number, sign = "+") => `${sign}${(bytes / 1000).toFixed(1)}`.padStart(7) + " kB"
console.log(
  `${kB(base.gzipped, "")}${kB(wholeBase.gzipped, "")}  the application: Effect, Layer, Context as used; all of them`
)
const chosen = process.argv.slice(2)
for (const part of parts) {
  if (chosen.length > 0 && !chosen.includes(part.name)) continue
  const built = await bundle(part.code).catch((error: Error) => {
    problems.push(`${part.name}  ${error.message}`)
  })
  if (built === undefined) continue
  const beside = await bundle(part.code.replace(application, whole))
  console.log(`${kB(built.gzipped - base.gzipped)}${kB(beside.gzipped - wholeBase.gzipped)}  ${part.name}`)
  if (part.kernels === "any") continue
  for (const kernel of kernels) {
    const bundled = built.text.includes(`"${kernel}@`)
    if (bundled === part.kernels.includes(kernel)) continue
    problems.push(`${part.name}  ${bundled ? "bundles" : "lacks"} the kernel ${kernel}`)
  }
  const weighs = (beside.gzipped - wholeBase.gzipped) / 1000
  if (part.most !== undefined && weighs > part.most) {
    problems.push(`${part.name}  weighs ${weighs.toFixed(2)} kB, ${part.most} at most`)
  }
  // what only the guard of a remote store says
  const guards = built.text.includes('"StoreFlipped"')
  if (part.peer === undefined && guards !== (part.remote === true)) {
    problems.push(`${part.name}  ${guards ? "bundles" : "lacks"} a guard`)
  }
  // what only the journal of a transaction needs
  const joins = Object.keys(built.inputs).some((file) => file.endsWith("/internal/memoryTransactions.ts"))
  if (part.peer === undefined && joins !== (part.joins === true)) {
    problems.push(`${part.name}  ${joins ? "bundles" : "lacks"} transactions`)
  }
  for (const [file, bytes] of Object.entries(built.inputs)) {
    const added = bytes - (base.inputs[file] ?? 0)
    if (part.peer === undefined && heavy.test(file) && added > 0)
      problems.push(`${part.name}  adds ${added} bytes of ${file}`)
  }
}
if (kernels.length === 0) problems.push("no kernel id found in packages/resilience/src/kernel")
if (problems.length > 0) fail(problems.map((problem) => `bundle: ${problem}`))
