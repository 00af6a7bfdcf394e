/**
 * Checks the types of every package, of the examples and of the scripts: `node scripts/check.ts`.
 */
import { globSync } from "node:fs"
import { fail, root, run } from "./lib.ts"

const failed: Array<string> = []
for (const project of globSync("{packages/*,examples,scripts}/tsconfig.json", { cwd: root }).toSorted()) {
  const result = run("tsc", ["-p", project])
  console.log(`${result.ok ? "ok    " : "FAILED"} ${project}`)
  if (!result.ok) failed.push(result.stdout + result.stderr)
}
if (failed.length > 0) fail(failed)
