import { assert, describe, it } from "@effect/vitest"
import { jsdocFences, refresh, regionOf, type Sources } from "./snippets.ts"

const example = `import "x"
// #region layer
  const a = 1
  // #region inner
    const b = 2
  // #endregion
// #endregion
export {}
`

const sources: Sources = {
  file: (path) => {
    if (path !== "examples/01-a.ts") throw new Error("does not exist")
    return example
  },
  output: () => "one\n\ntwo\n"
}

const page = (...lines: ReadonlyArray<string>) => lines.join("\n")

describe("regions", () => {
  it("a whole file comes without its region lines", () => {
    assert.strictEqual(regionOf(example, undefined), `import "x"\n  const a = 1\n    const b = 2\nexport {}`)
  })

  it("a region is dedented and may hold another", () => {
    assert.strictEqual(regionOf(example, "layer"), "const a = 1\n  const b = 2")
    assert.strictEqual(regionOf(example, "inner"), "const b = 2")
  })

  it("a region that is missing or never ends is refused", () => {
    assert.throws(() => regionOf(example, "lay"), /has no region lay/)
    assert.throws(() => regionOf("// #region a\n1", "a"), /never ends its region a/)
  })
})

describe("markdown", () => {
  it("a fence that equals its source is left alone", () => {
    const text = page("<!-- snippet: examples/01-a.ts#inner -->", "", "```ts", "const b = 2", "```", "tail")
    assert.deepStrictEqual(refresh("README.md", text, sources), { text, problems: [], stale: [] })
  })

  it("a fence that differs is stale and rewritten, also inside a list", () => {
    const before = page("- item", "", "  <!-- snippet: examples/01-a.ts#layer -->", "  ```ts", "  old", "  ```")
    const { problems, stale, text } = refresh("README.md", before, sources)
    assert.deepStrictEqual([problems, stale], [[], ["README.md:4  differs from examples/01-a.ts"]])
    assert.strictEqual(text, before.replace("  old", "  const a = 1\n    const b = 2"))
  })

  it("an output fence holds what the program prints", () => {
    const before = page("<!-- output: examples/01-a.ts -->", "```text", "one", "```")
    const { stale, text } = refresh("README.md", before, sources)
    assert.deepStrictEqual(stale, ["README.md:2  differs from examples/01-a.ts"])
    assert.strictEqual(text, before.replace("one", "one\n\ntwo"))
  })

  it("code without a marker, a missing file and a fence without an end are refused", () => {
    const problems = (...lines: ReadonlyArray<string>) => refresh("a.md", page(...lines), sources).problems
    assert.deepStrictEqual(problems("```ts", "1", "```"), [
      "a.md:1  this ts fence comes from no file: put <!-- snippet: path --> above it"
    ])
    assert.deepStrictEqual(problems("<!-- snippet: x.ts -->", "```ts", "```"), ["a.md:2  x.ts does not exist"])
    assert.deepStrictEqual(problems("```sh", "npm i"), ["a.md:1  this fence never ends"])
    assert.deepStrictEqual(problems("```sh", "npm i", "```"), [])
  })

  it("a marker counts for the next fence only", () => {
    const text = page("<!-- snippet: examples/01-a.ts#inner -->", "```ts", "const b = 2", "```", "```ts", "```")
    assert.lengthOf(refresh("a.md", text, sources).problems, 1)
  })
})

describe("JSDoc", () => {
  it("finds the fences of JSDoc comments, and of no others", () => {
    const source = page("/**", " * ```ts", " * const a = 1", " *   a", " * ```", " */", "// ```ts", "export {}")
    assert.deepStrictEqual(jsdocFences("a.ts", source), [{ line: 3, text: "const a = 1\n  a" }])
  })
})
