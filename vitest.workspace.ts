/**
 * One vitest project for each workspace package that has tests, one for the examples, one for the scripts.
 *
 * vitest reads this file only when it is named: `vitest run --config vitest.workspace.ts`. The custom condition makes
 * `import ... from "effect-resilience"` hit `packages/resilience/src`, so no test ever runs against a stale build.
 */
import { globSync } from "node:fs"
import { availableParallelism } from "node:os"
import { dirname } from "node:path"
import { defineConfig } from "vitest/config"

/** vite's own conditions for Node, after ours. */
const conditions = ["effect-resilience-source", "module", "node", "development|production"]

/** Every folder under `packages/` that has tests is a project of its own name, with no list to keep. */
const packages = globSync("packages/*/package.json", { cwd: import.meta.dirname })
  .map(dirname)
  .filter((folder) => globSync(`${folder}/test/**/*.test.ts`, { cwd: import.meta.dirname }).length > 0)
  .toSorted()

const project = (name: string, root: string, include: ReadonlyArray<string>) => ({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  // virtual time needs no real time, but a loaded machine may be slow: no test may fail for that
  test: { name, root, include: [...include], testTimeout: 60_000 }
})

/** Where `.ci/run` wants the result, which it prints as its last line. */
const result = process.env["VITEST_RESULT"]

export default defineConfig({
  test: {
    // vitest leaves one core idle, which on two is half of them; and those who test a server wait for it
    maxWorkers: Math.max(3, availableParallelism()),
    reporters: result === undefined ? ["default"] : ["default", ["json", { outputFile: result }]],
    projects: [
      ...packages.map((folder) => project(folder.replace("packages/", ""), folder, ["test/**/*.test.ts"])),
      project("examples", "examples", ["**/*.test.ts"]),
      project("scripts", "scripts", ["**/*.test.ts"])
    ]
  }
})
