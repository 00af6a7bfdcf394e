/**
 * The mutants that survive, and what docs/laws.md says of each.
 *
 * A survivor is named by its file, what stood there and what the mutant puts there. Line numbers would go stale with
 * every change.
 */
export interface Mutant {
  readonly file: string
  readonly line: number
  readonly original: string
  readonly replacement: string
  readonly status: string
}

export interface Listed {
  readonly file: string
  readonly change: string
}

const clip = (code: string): string => {
  const line = code.replaceAll(/\s+/g, " ").replaceAll("`", "'").replaceAll("|", "¦").trim()
  return line.length > 70 ? `${line.slice(0, 67)}...` : line
}

/** A mutant, as docs/laws.md names it. */
export const changeOf = ({ original, replacement }: Pick<Mutant, "original" | "replacement">): string =>
  `${clip(original)} → ${clip(replacement)}`

const survived = ({ status }: Mutant): boolean => status === "Survived" || status === "NoCoverage"
const counted = ({ status }: Mutant): boolean =>
  survived({ status } as Mutant) || status === "Killed" || status === "Timeout"

/** Percent of the mutants that some test notices. */
export const score = (mutants: ReadonlyArray<Mutant>): number => {
  const all = mutants.filter(counted)
  return all.length === 0 ? 0 : (100 * all.filter((mutant) => !survived(mutant)).length) / all.length
}

/** The list: a line for each survivor, `- kernel/X.ts: ` with the change in backticks, then a colon and the reason. */
export const listed = (markdown: string): ReadonlyArray<Listed> =>
  Array.from(markdown.matchAll(/^- `([\w/]+\.ts)`: `([^`]*)`: ./gm), ([, file, change]) => ({
    file: file!,
    change: change!
  }))

/** What is not as it is listed. Each entry speaks for one survivor. Only files that were mutated are looked at. */
export const compare = (mutants: ReadonlyArray<Mutant>, known: ReadonlyArray<Listed>): ReadonlyArray<string> => {
  const files = new Set(mutants.map(({ file }) => file))
  const open = known.filter(({ file }) => files.has(file))
  const problems: Array<string> = []
  for (const mutant of mutants.filter(survived)) {
    const change = changeOf(mutant)
    const at = open.findIndex((entry) => entry.file === mutant.file && entry.change === change)
    if (at >= 0) open.splice(at, 1)
    else problems.push(`survives, and is not listed: ${mutant.file}:${mutant.line}: ${change}`)
  }
  return [...problems, ...open.map(({ change, file }) => `is listed, and does not survive: ${file}: ${change}`)]
}
