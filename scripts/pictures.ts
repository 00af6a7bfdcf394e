/**
 * Draws the pictures of docs/guides/choosing-numbers.md anew: `node scripts/pictures.ts [--check]`.
 *
 * Each is the `study` of an example, simulated from a seed, so the same sources give the same picture. With `--check`,
 * nothing is written, and a picture that would be another one fails.
 */
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { Effect } from "effect"
import { type Study, svg } from "../examples/choosing/study.ts"
import { fail, root } from "./lib.ts"

const folder = "docs/guides/pictures"
const check = process.argv.includes("--check")
const stale: Array<string> = []
mkdirSync(join(root, folder), { recursive: true })
const examples = globSync("examples/3[1-5]-*.ts", { cwd: root }).toSorted()
for (const example of examples) {
  const { study }: { study: Effect.Effect<Study<unknown>> } = await import(join(root, example))
  const file = join(folder, `${basename(example, ".ts").slice(3)}.svg`)
  const text = svg(await Effect.runPromise(study))
  const before = existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8") : ""
  if (before === text) continue
  if (check) stale.push(`${file} is not what ${example} says: run pnpm pictures`)
  else writeFileSync(join(root, file), text)
}
if (examples.length === 0) stale.push("no study found")
if (stale.length > 0) fail(stale)
console.log(`pictures: ${examples.length} ${check ? "equal their studies" : "drawn"}`)
