import { build } from "esbuild"
import { gzipSync } from "node:zlib"
import { readFileSync } from "node:fs"
const root = process.cwd()
const src = readFileSync("scripts/_weigh.ts", "utf8")
const app = src.match(/const app = `([\s\S]*?)`/)![1]!
const trip = `tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds"`
const from = (m: string, code: string) =>
  [
    app,
    ...m.split(", ").map((n) => `import * as ${n} from "effect-resilience/${n}"`),
    `globalThis.part = ${code}`
  ].join("\n")
const codes: Record<string, string> = {
  readme: from(
    "Backoff, CircuitBreaker, RateLimiter, Resilience, Retry",
    `[Resilience.resilient, Resilience.layer({ timeout: "10 seconds", circuitBreaker: CircuitBreaker.policy({ ${trip} }), rateLimiter: RateLimiter.tokenBucket({ limit: 100, window: "1 minute", burst: 10 }), retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.exponential({ base: "500 millis" }) }) })]`
  ),
  bucket: from("RateLimiter", `RateLimiter.make(RateLimiter.tokenBucket({ limit: 1, window: 1 }))`),
  engine:
    app +
    `import { assemble } from "${root}/packages/resilience/src/engine/assemble.ts"\nimport { run } from "${root}/packages/resilience/src/engine/run.ts"\nglobalThis.part = [assemble, run]`
}
const code = codes[process.argv[2]!]!
const r = await build({
  stdin: { contents: code, resolveDir: root + "/examples", loader: "ts" },
  bundle: true,
  minifySyntax: true,
  minifyIdentifiers: true,
  minifyWhitespace: false,
  format: "esm",
  platform: "neutral",
  conditions: ["effect-resilience-source", "import"],
  write: false,
  logLevel: "silent"
})
const text = r.outputFiles[0]!.text
const chunks = text.split(/^(?=\/\/ \S+)/m).map((c) => {
  const [name] = c.split("\n")
  return { name: name!.slice(3), body: c }
})
const min = async (t: string) =>
  (await import("esbuild")).transform(t, { minifyWhitespace: true, loader: "js" }).then((x) => x.code)
const bodies: Array<{ name: string; body: string }> = []
for (const c of chunks) bodies.push({ name: c.name, body: await min(c.body.split("\n").slice(1).join("\n")) })
const gz = (t: string) => gzipSync(t, { level: 9 }).length
const all = gz(bodies.map((b) => b.body).join(""))
const rows = bodies
  .filter((b) => b.name.includes("packages/resilience"))
  .map(
    (b) =>
      [
        all -
          gz(
            bodies
              .filter((x) => x !== b)
              .map((x) => x.body)
              .join("")
          ),
        b.body.length,
        b.name.replace(/.*packages\/resilience\/src\//, "")
      ] as const
  )
  .sort((a, b) => b[0] - a[0])
const ours =
  all -
  gz(
    bodies
      .filter((b) => !b.name.includes("packages/resilience"))
      .map((b) => b.body)
      .join("")
  )
console.log("all of ours", ours)
const groups: Record<string, RegExp> = {
  engine: /^engine\//,
  memory: /^internal\/(memory|transaction|answers)/,
  limiter: /^(rateLimiter|RateLimiter)|kernel\/(Token|Limiter)/,
  circuit: /^(circuitBreaker|CircuitBreaker)|kernel\/Breaker/,
  "breaker kernel": /kernel\/Breaker/,
  retry: /^(retry|Retry|Backoff)/,
  errors: /^Rejection/,
  validate: /^Validate/,
  resilience: /^(resilience|Resilience)/,
  waiting: /^waiting/,
  timers: /^internal\/(timers|heap|isolated)/,
  bounds: /memoryCandidates/,
  rest: /^(internal\/(key|ambient|events|errorOf|time)|Event|Outcome|Policy|StoreModel|Timeout)/
}
for (const [g, re] of Object.entries(groups)) {
  const out = bodies.filter(
    (b) => !(b.name.includes("packages/resilience") && re.test(b.name.replace(/.*packages\/resilience\/src\//, "")))
  )
  console.log(String(all - gz(out.map((x) => x.body).join(""))).padStart(7), g)
}
if (process.argv[3]) for (const row of rows) console.log(...row)
