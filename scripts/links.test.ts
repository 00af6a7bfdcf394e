import { assert, it } from "@effect/vitest"
import { anchorsOf, linksOf } from "./links.ts"

it("anchors are those that GitHub makes", () => {
  const page = "# The `Store`, and why\n## Again\n## Again\n```sh\n# not a heading\n```\n## [A link](x.md)"
  assert.deepStrictEqual(Array.from(anchorsOf(page)), ["the-store-and-why", "again", "again-1", "a-link"])
})

it("links are found with their lines, but not in code", () => {
  const page = '[a](a.md#b) and [c](<c.md> "title")\n`[no](no.md)`\n```md\n[no](no.md)\n```\n[`d`](d.md)'
  assert.deepStrictEqual(linksOf(page), [
    [1, "a.md#b"],
    [1, "c.md"],
    [6, "d.md"]
  ])
})
