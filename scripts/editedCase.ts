/**
 * Runs a case of `../shared/cases` with edits, for what has changed since it was handed over: each edit has a reason, and has to
 * find its text exactly once. The case prints, and asserts nothing.
 */
import { execFileSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./lib.ts"

export interface Edit {
  readonly why: string
  readonly from: string
  /** Where it ends, if not with `from`: all before this goes, too. */
  readonly until?: string
  readonly to: string
}

/** By the name that is asked for: the case, and what changes in it. */
export type Cases = Readonly<Record<string, readonly [name: string, edits: ReadonlyArray<Edit>]>>

export const edited = (text: string, edits: ReadonlyArray<Edit>): string =>
  edits.reduce((text, { from, to, until, why }) => {
    const start = text.indexOf(from)
    const end = until === undefined ? start + from.length : text.indexOf(until)
    const once = start >= 0 && text.lastIndexOf(from) === start && end > start
    if (!once) throw new Error(`the text of "${why}" is not there exactly once: ${from}`)
    return text.slice(0, start) + to + text.slice(end)
  }, text)

/** `group`: the folder of the handed cases, and the package that they run in. `beside`: what they import of that folder. */
export const runCase = (group: "redis" | "sql", cases: Cases, beside: ReadonlyArray<string> = []): void => {
  const home = join(root, `packages/resilience-${group}`)
  const found = cases[process.argv[2] ?? ""]
  if (found === undefined) throw new Error(`cases are ${Object.keys(cases).join(", ")}`)
  const [name, edits] = found
  const handed = join(root, "../shared/cases", group)
  const folder = mkdtempSync(join(home, "cases."))
  try {
    for (const file of beside) cpSync(join(handed, file), join(folder, file))
    const file = join(folder, `${name}.ts`)
    writeFileSync(file, edited(readFileSync(join(handed, `${name}.ts`), "utf8"), edits))
    const flags = ["--conditions=effect-resilience-source", "--expose-gc", "--no-warnings"]
    execFileSync(process.execPath, [...flags, file], { cwd: home, stdio: "inherit" })
  } finally {
    rmSync(folder, { recursive: true })
  }
}
