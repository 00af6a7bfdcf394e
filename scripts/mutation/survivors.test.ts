import { assert, describe, it } from "@effect/vitest"
import { compare, listed, type Mutant, score } from "./survivors.ts"

const mutant = (status: string, change: Partial<Mutant> = {}): Mutant => ({
  file: "kernel/A.ts",
  line: 7,
  original: "a <\n    b",
  replacement: "a <= b",
  status,
  ...change
})
const list = `# Laws

- \`kernel/A.ts\`: \`a < b → a <= b\`: they are never equal.
- \`kernel/B.ts\`: \`x → y\`: no reason is needed here.
`

describe("the score", () => {
  it("counts who was noticed by a test or by its time, and leaves out what could not run", () => {
    const statuses = [
      "Killed",
      "Killed",
      "Timeout",
      "Survived",
      "NoCoverage",
      "RuntimeError",
      "CompileError",
      "Ignored"
    ]
    assert.strictEqual(score(statuses.map((status) => mutant(status))), 60)
  })

  it("of nothing is nothing", () => {
    assert.strictEqual(score([]), 0)
  })
})

describe("the list of survivors", () => {
  it("is read from the page, an entry a line", () => {
    assert.deepStrictEqual(listed(list), [
      { file: "kernel/A.ts", change: "a < b → a <= b" },
      { file: "kernel/B.ts", change: "x → y" }
    ])
  })

  it("takes no entry without a reason", () => {
    assert.deepStrictEqual(listed("- `kernel/A.ts`: `a < b → a <= b`: \n- `kernel/A.ts`: `a < b → a <= b`"), [])
  })

  it("is right where it names just those that survived, of the files that were mutated", () => {
    assert.deepStrictEqual(compare([mutant("Survived"), mutant("Killed")], listed(list)), [])
    assert.deepStrictEqual(compare([mutant("NoCoverage")], listed(list)), [])
  })

  it("lacks a survivor that is listed once and survives twice", () => {
    assert.deepStrictEqual(compare([mutant("Survived"), mutant("Survived", { line: 9 })], listed(list)), [
      "survives, and is not listed: kernel/A.ts:9: a < b → a <= b"
    ])
  })

  it("names one too many when its mutant is noticed", () => {
    assert.deepStrictEqual(compare([mutant("Killed")], listed(list)), [
      "is listed, and does not survive: kernel/A.ts: a < b → a <= b"
    ])
  })

  it("names long mutants by their beginning, in one line that is safe in a page", () => {
    const long = mutant("Survived", { original: "`${a}` ||\n b", replacement: "x".repeat(200) })
    const [problem] = compare([long], [])
    assert.strictEqual(problem, `survives, and is not listed: kernel/A.ts:7: '\${a}' ¦¦ b → ${"x".repeat(67)}...`)
  })
})
