/** A key that was cut out of a larger string does not keep that string alive. */
import { assert, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

it("60 keys cut out of strings of half a megabyte keep less than a megabyte, whatever remembers them", () => {
  const child = fileURLToPath(new URL("cutKeys.child.ts", import.meta.url))
  const options = ["--expose-gc", "--no-warnings", "--conditions=effect-resilience-source", child]
  const grown = JSON.parse(execFileSync(process.execPath, options, { encoding: "utf8" })) as Record<string, number>
  const { "a list": list, nothing, ...stores } = grown
  assert.isAbove(list!, 25_000_000, "a list of them keeps all of it: else this test shows nothing")
  assert.isBelow(nothing!, 1_000_000)
  assert.isAtLeast(Object.keys(stores).length, 5)
  for (const [name, bytes] of Object.entries(stores)) assert.isBelow(bytes, 1_000_000, name)
})
