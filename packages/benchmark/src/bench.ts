/**
 * Measures the cases, prints the table with each bar met or missed, and writes `docs/benchmarks.md`:
 *
 *     npx pnpm@12 bench                 all cases, and the page
 *     npx pnpm@12 bench allow waiters   the cases whose names hold one of the words
 *     npx pnpm@12 bench --short         in a minute; fails where a ratio is 1.5 times its bar
 *
 * Each case has a process of its own: what one leaves behind, in the heap and in the compiler, is not the next one's.
 */
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { cpus, loadavg, totalmem, type } from "node:os"
import { join } from "node:path"
import { cases } from "./cases.ts"
import { FLOOR, OURS, YARDSTICK } from "./compare.ts"
import type { Case, Result } from "./model.ts"
import { betterPeers, toMarkdown, toText, verdict } from "./report.ts"
import { isFarOff, measureOf, verdictOf } from "./verdict.ts"

const here = import.meta.dirname
const root = join(here, "../../..")

const measure = ({ flags = [], id }: Case, short: boolean): ReadonlyArray<Result> => {
  const args = ["--conditions=effect-resilience-source", ...flags, join(here, "one.ts"), id]
  const output = execFileSync(process.execPath, short ? [...args, "--short"] : args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"]
  })
  return JSON.parse(output)
}

/** The versions that are installed, by the manifests that node finds. */
const versions = (): string => {
  const require = createRequire(import.meta.url)
  const manifest = JSON.parse(readFileSync(join(here, "../package.json"), "utf8"))
  return Object.keys(manifest.devDependencies)
    .filter((name) => !name.startsWith("@types/") && !name.startsWith(OURS))
    .map((name) => {
      const path = require.resolve.paths(name)!.map((folder) => join(folder, name, "package.json"))
      for (const file of path) {
        try {
          return `${name} ${JSON.parse(readFileSync(file, "utf8")).version}`
        } catch {
          // not installed in this folder
        }
      }
      throw new Error(`${name} is not installed`)
    })
    .join(", ")
}

const machine = (): string => {
  const [cpu] = cpus()
  const load = loadavg()[0]!.toFixed(1)
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`
  return `${cpus().length} × ${cpu?.model.trim()}, ${memory}, ${type()}, Node ${process.versions.node}, load ${load}`
}

const writePage = (results: ReadonlyArray<Result>, startedOn: string): void => {
  const missed = results.flatMap(({ lines, title }) =>
    lines
      .filter((line) => verdictOf(line) === "missed")
      .map((line) => `- ${title}${line.theirs === undefined ? "" : `, against ${line.theirs.name}`}: ${verdict(line)}`)
  )
  const parts: Record<string, string> = {
    table: toMarkdown(results),
    missed: missed.length === 0 ? "None: every bar is met." : missed.join("\n"),
    better: betterPeers(results, (name) => name === FLOOR || name.startsWith(OURS) || name.startsWith(YARDSTICK)),
    machine: startedOn,
    versions: versions(),
    date: new Date().toISOString().slice(0, 10)
  }
  const template = readFileSync(join(here, "../page.md"), "utf8")
  const page = template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const part = parts[name]
    if (part === undefined) throw new Error(`page.md asks for ${name}`)
    return part
  })
  const file = join(root, "docs/benchmarks.md")
  writeFileSync(file, page)
  execFileSync(join(root, "node_modules/.bin/oxfmt"), [file])
  console.log(`\nwritten to ${file}`)
}

const words = process.argv.slice(2)
const short = words.includes("--short")
const filters = words.filter((word) => !word.startsWith("--"))
const unknown = words.find((word) => word.startsWith("--") && word !== "--short")
const chosen = cases
  .filter(({ id }) => filters.length === 0 || filters.some((filter) => id.includes(filter)))
  .filter(({ onlyFull }) => !short || onlyFull === undefined)
if (unknown !== undefined || chosen.length === 0) {
  console.error(`bench [--short] [case ...], where a case is one of: ${cases.map(({ id }) => id).join(", ")}`)
  process.exit(1)
}

const isFar = ({ lines }: Result): boolean => lines.some(isFarOff)

/** In a short run, what is far off is measured again, and only the second time counts: other programs run here, too. */
const measured = (one: Case): ReadonlyArray<Result> => {
  const first = measure(one, short)
  if (!short || !first.some(isFar)) return first
  const second = measure(one, short)
  return first.map((result, i) => (isFar(result) ? second[i]! : result))
}

const startedOn = machine()
console.log(`${startedOn}\n`)
const results: Array<Result> = []
for (const one of chosen) {
  for (const result of measured(one)) {
    results.push(result)
    console.log(`${toText(result)}\n`)
  }
}
const lines = results.flatMap(({ lines, title }) => lines.map((line) => ({ title, line })))
const barred = lines.filter(({ line }) => line.bar !== undefined)
console.log(`${barred.filter(({ line }) => verdictOf(line) === "met").length} of ${barred.length} bars met`)
if (short) {
  const far = barred.filter(({ line }) => isFarOff(line))
  for (const { line, title } of far) {
    const against = line.theirs === undefined ? "" : `, against ${line.theirs.name}`
    console.error(`bench: ${title}${against}: ${measureOf(line).toFixed(2)}, ${verdict(line)}`)
  }
  process.exitCode = far.length > 0 ? 1 : 0
} else if (filters.length === 0) {
  writePage(results, startedOn)
}
