/**
 * Draws the pictures of docs/guides anew, each from an example: `node scripts/pictures.ts [--check]`.
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

const examples = globSync("examples/{27,3[1-5]}-*.ts", { cwd: root }).toSorted()
for (const example of examples) {
  const file = join(folder, `${basename(example, ".ts").slice(3)}.svg`)
  const text = await draw(example)
  const before = existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8") : ""
  if (before === text) continue
  if (check) stale.push(`${file} is not what ${example} says: run pnpm pictures`)
  else writeFileSync(join(root, file), text)
}
if (examples.length !== 6) stale.push(`${examples.length} examples with a picture, and not 6`)
if (stale.length > 0) fail(stale)
console.log(`pictures: ${examples.length} ${check ? "are what their examples say" : "drawn"}`)
