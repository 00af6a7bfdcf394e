/**
 * Runs one case in this process, and prints its results as JSON: `node src/one.ts <id> [--short]`.
 */
import { cases } from "./cases.ts"

const [id, ...flags] = process.argv.slice(2)
const found = cases.find((one) => one.id === id)
if (found === undefined) throw new Error(`no case ${id}`)
const results = await found.run({ short: flags.includes("--short") })
// peers leave timers behind, so the process is ended and not left to end
process.stdout.write(JSON.stringify(results), () => process.exit(0))
