import { assert, it } from "@effect/vitest"
import { join } from "node:path"
import { check } from "./typetest.ts"

const { cases, problems } = check(join(import.meta.dirname, "fixtures"))
const at = (file: string) =>
  problems.flatMap((problem) => {
    const [, line, text] = new RegExp(`typetest/${file}\\.tst\\.ts:(\\d+) {2}([^]*)`).exec(problem) ?? []
    return text === undefined ? [] : [`${line} ${text.replace(/\s+/g, " ")}`]
  })

it("right cases pass: displayed types over several lines or beside the code, errors in a row", () => {
  assert.deepStrictEqual(at("right"), [])
})

it("a wrong displayed type, a wrong message, a missing error and an unexpected one are told with their lines", () => {
  assert.deepStrictEqual(at("wrong"), [
    "1 expected nothing stands above displayed no declaration above",
    "3 expected number displayed 1",
    "5 expected an error another message line 6 says Type 'number' is not assignable to type 'string'.",
    "8 expected an error no error at all line 9 says nothing",
    "11 error: Type 'number' is not assignable to type 'string'."
  ])
})

it("a file without a case is told", () => {
  assert.deepStrictEqual(at("empty"), ["1 has no case"])
})

it("counts the cases", () => {
  assert.strictEqual(cases, 11)
})
