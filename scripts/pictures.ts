/**
 * Draws the pictures of docs anew: `node scripts/pictures.ts [--check]`. Each is drawn from an example, but for the two
 * schemes of docs/how-it-works.md, which `schemes.ts` draws.
 *
 * All is simulated from a seed, so the same sources give the same picture. With `--check`, nothing is written, and a
 * picture that would be another one fails.
 */
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { Effect } from "effect"
import { Report } from "effect-resilience-testing"
import { type Study, svg } from "../examples/choosing/study.ts"
import { fail, root } from "./lib.ts"
import { breaker, pipeline } from "./schemes.ts"

const folder = "docs/guides/pictures"
const check = process.argv.includes("--check")
const stale: Array<string> = []
mkdirSync(join(root, folder), { recursive: true })

/** The picture of an example: of its `study`, or of its `simulation`. */
const draw = async (example: string): Promise<string> => {
  const drawn: { study?: Effect.Effect<Study<unknown>>; simulation?: Effect.Effect<Report.Report> } = await import(
    join(root, example)
  )
  if (drawn.study !== undefined) return svg(await Effect.runPromise(drawn.study))
  if (drawn.simulation !== undefined) return Report.toSvg(await Effect.runPromise(drawn.simulation))
  return fail([`${example} has nothing to draw`])
}

const numbers = "examples/{27,3[1-5],47}-*.ts"
const howItWorks = "examples/*-{clocks-that-step,one-step-or-two,a-store-that-hangs}.ts"
const examples = globSync([numbers, howItWorks], { cwd: root }).toSorted()

const pictures: ReadonlyArray<readonly [name: string, source: string, draw: () => string | Promise<string>]> = [
  ...examples.map((example) => [basename(example, ".ts").slice(3), example, () => draw(example)] as const),
  ["pipeline", "scripts/schemes.ts", pipeline],
  ["breaker", "scripts/schemes.ts", breaker]
]
for (const [name, source, draw] of pictures) {
  const file = join(folder, `${name}.svg`)
  const text = await draw()
  const before = existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8") : ""
  if (before === text) continue
  if (check) stale.push(`${file} is not what ${source} says: run pnpm pictures`)
  else writeFileSync(join(root, file), text)
}
if (examples.length !== 10) stale.push(`${examples.length} examples with a picture, and not 10`)
if (stale.length > 0) fail(stale)
console.log(`pictures: ${pictures.length} ${check ? "are what their sources say" : "drawn"}`)
