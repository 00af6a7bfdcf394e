/**
 * The tests that mutants are run against: of one group, quick ones first, since the first failure ends a run.
 *
 * The seeds are fixed: a property that is random would make the score random, and a seed is part of a test's name.
 */
import { join, matchesGlob } from "node:path"
import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"
import { groups, isGroup } from "./groups.ts"

const group = process.env["MUTATION_GROUP"] ?? ""
if (!isGroup(group)) throw new Error(`MUTATION_GROUP is ${group}`)
const conditions = ["effect-resilience-source", "module", "node", "development|production"]
const root = join(import.meta.dirname, "../../packages/resilience")
const { tests } = groups[group]

class InOrder extends BaseSequencer {
  override async sort(files: Array<TestSpecification>) {
    const rank = ({ moduleId }: TestSpecification) =>
      tests.findIndex((test) => matchesGlob(moduleId, join(root, "test", test)))
    return files.toSorted((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    root,
    include: tests.map((test) => `test/${test}`),
    // in virtual time a test that waits has lost somebody; it need not wait long, but kernels have no time and much to do
    testTimeout: group === "kernels" ? 60_000 : 8_000,
    isolate: false,
    sequence: { sequencer: InOrder }
  }
})
