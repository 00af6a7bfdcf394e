/**
 * What importing the pipeline adds to an application that bundles Effect's runtime already.
 */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { OURS } from "../compare.ts"
import type { Case } from "../model.ts"

/** Names of parts in `scripts/bundle.ts`, which measures them. */
const PIPELINE = "README's pipeline"
const EFFECTS = "Effect's RateLimiter, CircuitBreaker, retry and timeout"

export const size: Case = {
  id: "size",
  run: async () => {
    const script = join(import.meta.dirname, "../../../../scripts/bundle.ts")
    const output = execFileSync(process.execPath, [script, PIPELINE, EFFECTS], { encoding: "utf8" })
    const sizeOf = (part: string): number => {
      const found = output.split("\n").find((line) => line.endsWith(` kB  ${part}`))
      // the second figure: beside all of Effect's runtime
      const kilobytes = Number.parseFloat(found?.split("kB")[1] ?? "")
      if (Number.isNaN(kilobytes)) throw new Error(`scripts/bundle.ts does not tell of ${part}`)
      return kilobytes
    }
    const pipeline = { name: OURS, value: sizeOf(PIPELINE) }
    return [
      {
        title: "added to a bundle by breaker + token bucket + retry + timeout, minified and gzipped",
        lines: [
          { ours: pipeline, unit: "kB", bar: 6, known: 28.1 },
          { ours: pipeline, unit: "kB", theirs: { name: EFFECTS, value: sizeOf(EFFECTS) } }
        ]
      }
    ]
  }
}
