/**
 * Holds every code fence of README.md and docs/ to a file that CI runs: `node scripts/snippets.ts [--write]`.
 *
 *     <!-- snippet: examples/01-quick-start.ts -->            the next fence is that file
 *     <!-- snippet: examples/01-quick-start.ts#layer -->      ... the part between `// #region layer` and `// #endregion`
 *     <!-- output: examples/01-quick-start.ts -->             ... what the program prints, run by this Node
 *
 * The marker is the last line above the fence that is not blank. Without `--write` a difference fails; with it the
 * markdown is rewritten. A TypeScript or JavaScript fence without a marker always fails.
 *
 * Every ts fence in a JSDoc comment of packages/<name>/src is compiled (not run), each as a module of its own.
 */
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseSync } from "oxc-parser"
import { condition, fail, isMain, root, run } from "./lib.ts"

/** What CI runs: scripts/examples.ts runs the numbered examples, vitest and scripts/typetest.ts the tests. */
const runByCi = [/^examples\/\d\d-[^/]+\.ts$/, /^(examples|packages\/[^/]+\/test)\/.*\.test\.ts$/, /\.tst\.ts$/]

const code = /^(ts|tsx|mts|cts|typescript|js|jsx|mjs|cjs|javascript)$/
const marker = /^\s*<!-- (snippet|output): ([^\s#]+)(?:#(\S+))? -->\s*$/
const regionLine = /^\s*\/\/ #(end)?region\b/

/** Where the text behind a marker comes from. Throws an Error with the reason where there is none. */
export interface Sources {
  readonly file: (path: string) => string
  readonly output: (path: string) => string
}

/** Removes the indentation that all lines share. */
const dedent = (lines: ReadonlyArray<string>): string => {
  const filled = lines.filter((line) => line.trim() !== "")
  const indent = Math.min(...filled.map((line) => line.length - line.trimStart().length))
  return lines
    .map((line) => line.slice(indent))
    .join("\n")
    .trim()
}

export const regionOf = (text: string, name: string | undefined): string => {
  const lines = text.split("\n")
  if (name === undefined)
    return lines
      .filter((line) => !regionLine.test(line))
      .join("\n")
      .trim()
  const start = lines.findIndex((line) => line.trim() === `// #region ${name}`)
  if (start < 0) throw new Error(`has no region ${name}`)
  let depth = 1
  for (let end = start + 1; end < lines.length; end++) {
    const edge = regionLine.exec(lines[end] ?? "")
    if (edge !== null) depth += edge[1] === undefined ? 1 : -1
    if (depth === 0) return dedent(lines.slice(start + 1, end).filter((line) => !regionLine.test(line)))
  }
  throw new Error(`never ends its region ${name}`)
}

export interface Refreshed {
  readonly text: string
  /** What fails with or without `--write`. */
  readonly problems: ReadonlyArray<string>
  /** The fences whose content was not what its marker names. */
  readonly stale: ReadonlyArray<string>
}

/** The markdown with every marked fence filled from its source. */
export const refresh = (name: string, markdown: string, sources: Sources): Refreshed => {
  const lines = markdown.split("\n")
  const out: Array<string> = []
  const problems: Array<string> = []
  const stale: Array<string> = []
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? ""
    const [, indent = "", ticks, language = ""] = /^(\s*)(`{3,}|~{3,})\s*(\S*)/.exec(line) ?? []
    if (ticks === undefined) {
      out.push(line)
      continue
    }
    const where = `${name}:${i + 1}`
    const end = lines.findIndex((other, index) => index > i && other.trim() === ticks)
    if (end < 0) return { text: markdown, problems: [...problems, `${where}  this fence never ends`], stale }
    let content = lines.slice(i + 1, end)
    const [, kind, path = "", region] = marker.exec(out.findLast((above) => above.trim() !== "") ?? "") ?? []
    if (kind !== undefined) {
      try {
        const text = kind === "output" ? sources.output(path).trimEnd() : regionOf(sources.file(path), region)
        const fresh = text.split("\n").map((each) => (each === "" ? "" : indent + each))
        if (fresh.join("\n") !== content.join("\n")) stale.push(`${where}  differs from ${path}`)
        content = fresh
      } catch (error) {
        problems.push(`${where}  ${path} ${error instanceof Error ? error.message : String(error)}`)
      }
    } else if (code.test(language)) {
      problems.push(`${where}  this ${language} fence comes from no file: put <!-- snippet: path --> above it`)
    }
    out.push(line, ...content, lines[end] ?? "")
    i = end
  }
  return { text: out.join("\n"), problems, stale }
}

const outputs = new Map<string, string>()

const repository: Sources = {
  file: (path) => {
    if (!runByCi.some((pattern) => pattern.test(path))) throw new Error("is not a file that CI runs")
    if (globSync(path, { cwd: root }).length === 0) throw new Error("does not exist")
    return readFileSync(join(root, path), "utf8")
  },
  output: (path) => {
    repository.file(path)
    const known = outputs.get(path)
    if (known !== undefined) return known
    const result = run(process.execPath, [`--conditions=${condition}`, path], { timeoutSeconds: 30 })
    if (!result.ok) throw new Error(`failed with ${result.ending}\n${result.stderr}`)
    outputs.set(path, result.stdout)
    return result.stdout
  }
}

export interface Fence {
  /** The line of the source at which the code begins. */
  readonly line: number
  readonly text: string
}

/** The ts fences inside the JSDoc comments of a source. */
export const jsdocFences = (file: string, source: string): ReadonlyArray<Fence> =>
  parseSync(file, source)
    .comments.filter(({ type, value }) => type === "Block" && value.startsWith("*"))
    .flatMap(({ start, value }) => {
      const lines = value.split("\n").map((line) => line.replace(/^\s*\* ?/, ""))
      const first = source.slice(0, start).split("\n").length
      const fences: Array<Fence> = []
      for (let i = 0; i < lines.length; i++) {
        if (!/^```(ts|typescript)\b/.test(lines[i] ?? "")) continue
        const end = lines.findIndex((line, index) => index > i && line.startsWith("```"))
        fences.push({ line: first + i + 1, text: lines.slice(i + 1, end < 0 ? undefined : end).join("\n") })
        i = end < 0 ? lines.length : end
      }
      return fences
    })

/** Compiles the JSDoc fences, in a folder of the examples: from there, every package of the workspace can be imported. */
const checkJsdoc = (): { readonly count: number; readonly problems: ReadonlyArray<string> } => {
  const folder = join(root, "examples/.snippets")
  rmSync(folder, { recursive: true, force: true })
  const origins = new Map<string, { readonly file: string; readonly line: number }>()
  for (const file of globSync("packages/*/src/**/*.ts", { cwd: root }).toSorted()) {
    for (const { line, text } of jsdocFences(file, readFileSync(join(root, file), "utf8"))) {
      const snippet = `${file.replace(/\.ts$/, "").replaceAll("/", "_")}_${line}.ts`
      origins.set(snippet, { file, line })
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, snippet), text)
    }
  }
  if (origins.size === 0) return { count: 0, problems: [] }
  const config = {
    extends: "../../tsconfig.base.json",
    compilerOptions: { types: ["node"], noUnusedLocals: false, noUnusedParameters: false },
    include: ["*.ts"]
  }
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config))
  const result = run("tsc", ["-p", join(folder, "tsconfig.json"), "--pretty", "false"])
  const problems = result.stdout
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [, path = "", at, message = ""] = /^(.*?)\((\d+),\d+\): (.*)$/.exec(line) ?? []
      const origin = origins.get(path.slice(path.lastIndexOf("/") + 1))
      return origin === undefined
        ? line
        : `${origin.file}:${origin.line + Number(at) - 1}  example in JSDoc: ${message}`
    })
  return { count: origins.size, problems: result.ok ? [] : [...problems, result.stderr].filter(Boolean) }
}

if (isMain(import.meta)) {
  const write = process.argv.includes("--write")
  const problems: Array<string> = []
  let pages = 0
  for (const page of globSync(["README.md", "docs/**/*.md"], { cwd: root }).toSorted()) {
    const before = readFileSync(join(root, page), "utf8")
    const after = refresh(page, before, repository)
    problems.push(...after.problems)
    if (!write) problems.push(...after.stale.map((stale) => `${stale}: run pnpm snippets --write`))
    else if (after.text !== before) {
      writeFileSync(join(root, page), after.text)
      console.log(`written ${page}`)
    }
    pages++
  }
  const jsdoc = checkJsdoc()
  problems.push(...jsdoc.problems)
  if (problems.length > 0) fail(problems)
  console.log(`snippets: ${pages} pages equal their sources, ${jsdoc.count} examples in JSDoc compile`)
}
