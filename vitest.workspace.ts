/**
 * One vitest project for each workspace package that has tests, one for the examples, one for the scripts.
 *
 * vitest reads this file only when it is named: `vitest run --config vitest.workspace.ts`. The custom condition makes
 * `import ... from "effect-resilience"` hit `packages/resilience/src`, so no test ever runs against a stale build.
 */
import { globSync } from "node:fs"
import { availableParallelism } from "node:os"
import { dirname, join } from "node:path"
import { defineConfig } from "vitest/config"

/** vite's own conditions for Node, after ours. */
const conditions = ["effect-resilience-source", "module", "node", "development|production"]

/** Every folder under `packages/` that has tests is a project of its own name, with no list to keep. */
const packages = globSync("packages/*/package.json", { cwd: import.meta.dirname })
  .map(dirname)
  .filter((folder) => globSync(`${folder}/test/**/*.test.ts`, { cwd: import.meta.dirname }).length > 0)
  .toSorted()

/**
 * `npx pnpm@12 test:deep` (mode `deep`) draws fresh seeds and runs each property as often as its file says; `test` has fixed seeds
 * and a part of that effort. A variable that is set goes before both.
 */
const effortOf = (isDeep: boolean) => {
  const { LAWS_RUNS = isDeep ? "1" : "0.3", MODEL_RUNS = isDeep ? "1" : "0.3" } = process.env
  return {
    env: { LAWS_RUNS, MODEL_RUNS },
    setupFiles: isDeep ? [] : [join(import.meta.dirname, "scripts/fixedSeeds.ts")]
  }
}

const project = (name: string, root: string, include: ReadonlyArray<string>, effort: ReturnType<typeof effortOf>) => ({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  // virtual time needs no real time, but a loaded machine may be slow: no test may fail for that
  test: {
    name,
    root,
    include: [...include],
    testTimeout: 60_000,
    ...effort
  }
})

/** Where `.ci/run` wants the result, which it prints as its last line. */
const result = process.env["VITEST_RESULT"]

export default defineConfig(({ mode }) => {
  const effort = effortOf(mode === "deep")
  return {
    test: {
      // vitest leaves one core idle, which on two is half of them; and those who test a server wait for it
      maxWorkers: Math.max(3, availableParallelism()),
      reporters: result === undefined ? ["default"] : ["default", ["json", { outputFile: result }]],
      projects: [
        ...packages.map((folder) => project(folder.replace("packages/", ""), folder, ["test/**/*.test.ts"], effort)),
        project("examples", "examples", ["**/*.test.ts"], effort),
        project("scripts", "scripts", ["**/*.test.ts"], effort)
      ]
    }
  }
})
