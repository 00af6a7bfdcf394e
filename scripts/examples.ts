/**
 * Runs every numbered example, one after another, each for 30 s at most: `node scripts/examples.ts`.
 *
 * An example that needs a server which is not installed prints `SKIPPED: why` and ends well, or fails where CI is set.
 */
import { globSync } from "node:fs"
import { condition, fail, root, run } from "./lib.ts"

const failures: Array<string> = []
const examples = globSync("examples/[0-9][0-9]-*.ts", { cwd: root, exclude: ["**/*.test.ts"] }).toSorted()
for (const example of examples) {
  const start = performance.now()
  const result = run(process.execPath, [`--conditions=${condition}`, example], { timeoutSeconds: 30 })
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`${result.ok ? "ok    " : "FAILED"} ${example} (${seconds} s)`)
  const skipped = /^SKIPPED.*/m.exec(result.stdout)
  if (skipped !== null) console.log(`       ${skipped[0]}`)
  if (!result.ok) failures.push(`${example} ended with ${result.ending}\n${result.stdout}${result.stderr}`)
}
if (examples.length === 0) failures.push("no example found")
if (failures.length > 0) fail(failures)
console.log(`examples: ${examples.length} run`)
