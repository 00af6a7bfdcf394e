// Prints vitest's own count as the closing line of .ci/run. Plain JavaScript: the machine's Node may not run TypeScript.
import { readFileSync } from "node:fs"

const text = readFileSync(process.argv[2], "utf8")
if (text === "") {
  console.log("\nvitest left no result")
  process.exit(1)
}
const { numFailedTests, numPassedTests, numPendingTests, numTodoTests } = JSON.parse(text)
const skipped = numPendingTests + numTodoTests
console.log(`\n${numPassedTests} passed, ${numFailedTests} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`)
