/**
 * Mutation testing: `npx pnpm@12 mutation [group...] [--only file[:from-to]]...`.
 *
 * Works on a copy of the tree, so nothing here is ever left mutated, and asks again only what changed since the last run
 * (delete `.mutation` to ask everything). Fails below the threshold, and where the survivors
 * are not just those that docs/laws.md lists with a reason. Slow, so it is a CI job of its own and no part of `.ci/run`.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Stryker } from "@stryker-mutator/core"
import { fail, isMain, root } from "../lib.ts"
import { copyTree, home } from "./copyTree.ts"
import { type GroupName, groups, isGroup } from "./groups.ts"
import { compare, listed, type Mutant, score } from "./survivors.ts"

const threshold = 95

const options = (
  group: GroupName,
  only: ReadonlyArray<string> | undefined
): ConstructorParameters<typeof Stryker>[0] => ({
  testRunner: "vitest",
  plugins: [import.meta.resolve("@stryker-mutator/vitest-runner")],
  vitest: { configFile: "scripts/mutation/vitest.config.ts", related: false },
  mutate: (only ?? groups[group].sources).map((file) => `packages/resilience/src/${file}`),
  coverageAnalysis: "perTest",
  incremental: true,
  incrementalFile: join(home, `${group}-incremental.json`),
  inPlace: true,
  tempDirName: join(home, `${group}-backup`),
  concurrency: Number(process.env["MUTATION_WORKERS"] ?? 2),
  timeoutMS: 10_000,
  timeoutFactor: 3, // a busy machine must not pass for a loop
  // each result as it comes, for whoever does not want to wait for the end
  reporters: ["progress-append-only", "event-recorder"],
  eventReporter: { baseDir: join(home, `${group}-events`) },
  thresholds: { high: 100, low: threshold, break: null },
  allowEmpty: false
})

const test = async (group: GroupName, only: ReadonlyArray<string> | undefined): Promise<ReadonlyArray<Mutant>> => {
  process.env["MUTATION_GROUP"] = group
  const results = await new Stryker(options(group, only)).runMutationTest()
  return results.map(({ fileName, location, mutatorName, replacement, status }) => {
    const source = readFileSync(fileName, "utf8").split("\n")
    const { end, start } = location
    // lines and columns count from 1
    const lines = source.slice(start.line - 1, end.line)
    lines[lines.length - 1] = lines.at(-1)!.slice(0, end.column - 1)
    lines[0] = lines[0]!.slice(start.column - 1)
    const file = fileName.slice(fileName.indexOf("packages/resilience/src/") + "packages/resilience/src/".length)
    return { file, line: start.line, original: lines.join("\n"), replacement: replacement ?? mutatorName, status }
  })
}

const main = async () => {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { only: { type: "string", multiple: true } }
  })
  const names = positionals.length === 0 ? Object.keys(groups) : positionals
  const chosen = names.filter(isGroup)
  if (chosen.length < names.length) fail([`groups are ${Object.keys(groups).join(", ")}`])
  const seeds = { LAWS_SEED: "1", BOUNDS_SEED: "1", CONSERVATION_SEED: "1", MODEL_SEED: "1", MODEL_RUNS: "0.1" }
  Object.assign(process.env, seeds)
  process.env["PATH"] = `${join(root, "node_modules/.bin")}:${process.env["PATH"] ?? ""}`
  const problems: Array<string> = []
  const known = listed(readFileSync(join(root, "docs/laws.md"), "utf8"))
  for (const group of chosen) {
    process.chdir(copyTree(group))
    const mutants = await test(group, values.only)
    writeFileSync(join(home, `${group}.json`), JSON.stringify(mutants, null, 1))
    const percent = score(mutants)
    console.log(`${group}: ${percent.toFixed(1)} % of ${mutants.length} mutants`)
    if (percent < threshold) problems.push(`${group}: ${percent.toFixed(1)} % is below ${threshold} %`)
    problems.push(...compare(mutants, known))
  }
  process.chdir(root)
  if (problems.length > 0) fail(problems)
}

if (isMain(import.meta)) await main()
