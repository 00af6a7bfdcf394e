/**
 * Runs the type tests, `packages/<name>/typetest/*.tst.ts`: what a hover displays and what the compiler says of a mistake.
 *
 * The types are those of TypeScript 7's own checker (its API is `typescript/unstable/sync`; the version is pinned).
 * tstyche 7.2 was tried: it fetches TypeScript 6 for itself and checks with that.
 *
 * How to write a case:
 *
 *     const charged = Payments.resilient(charge(500), "user:1")
 *     // => Effect.Effect<Receipt, ChargeError | RateLimitExceeded, Payments>
 *
 *     type Errors = Effect.Error<typeof charged>
 *     // => ChargeError | RateLimitExceeded
 *
 *     // error: 'circutBreaker' is not a policy
 *     Resilience.make("app/Payments", { circutBreaker })
 *
 * `=>` is about the last declaration of the file's top level that ends above it (`const`, `type`, `class`, `function`)
 * and tells the whole displayed type; comment lines right below that are indented by four spaces or more continue it.
 * Names are displayed as the file imports them. Spaces and line breaks do not matter.
 *
 * `error:` stands right above the line that the compiler complains of, which may be inside a statement, and tells a part
 * of the message. Several in a row must all be found on that line. An error without a marker fails, and so does a marker
 * without its error. `// @ts-expect-error` is not needed.
 */
import { globSync, readFileSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { type Comment, parseSync, type Program, type Span } from "oxc-parser"
import { API, type Diagnostic, type Project } from "typescript/unstable/sync"
import { fail, isMain, root } from "./lib.ts"

interface TypeCase {
  readonly line: number
  /** The offset of the declaration's name, `undefined` where none stands above. */
  readonly name: Span | undefined
  readonly expected: string
}

interface ErrorCase {
  readonly line: number
  /** The line that must fail. */
  readonly at: number
  readonly expected: string
}

interface Cases {
  readonly types: ReadonlyArray<TypeCase>
  readonly errors: ReadonlyArray<ErrorCase>
  readonly lineAt: (offset: number) => number
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim()

/** The names that the top level declares, each with the offset at which its declaration ends. */
const declarations = (program: Program): ReadonlyArray<{ readonly name: Span; readonly end: number }> =>
  program.body.flatMap((statement) => {
    const node = statement.type === "ExportNamedDeclaration" ? (statement.declaration ?? statement) : statement
    switch (node.type) {
      case "VariableDeclaration":
        return node.declarations.map(({ end, id }) => ({ name: id, end }))
      case "TSTypeAliasDeclaration":
      case "TSInterfaceDeclaration":
        return [{ name: node.id, end: node.end }]
      case "ClassDeclaration":
      case "FunctionDeclaration":
      case "TSDeclareFunction":
        return node.id === null ? [] : [{ name: node.id, end: node.end }]
      default:
        return []
    }
  })

export const casesOf = (file: string, text: string): Cases => {
  const { comments, program } = parseSync(file, text)
  const lines = text.split("\n")
  const lineAt = (offset: number) => text.slice(0, offset).split("\n").length
  const isComment = (line: number) => lines[line - 1]?.trimStart().startsWith("//") === true
  const isBlank = (line: number) => lines[line - 1]?.trim() === ""
  const declared = declarations(program)
  const types: Array<TypeCase> = []
  const errors: Array<ErrorCase> = []
  const typeCase = (comment: Comment, text: string) => {
    const line = lineAt(comment.start)
    let expected = text
    for (let next = line + 1; /^\s*\/\/ {4,}\S/.test(lines[next - 1] ?? ""); next++) {
      expected += ` ${lines[next - 1]?.replace("//", "")}`
    }
    types.push({ line, name: declared.findLast(({ end }) => end <= comment.start)?.name, expected: oneLine(expected) })
  }
  for (const comment of comments) {
    const [, kind, rest = ""] = /^ (=>|error:) (.*)$/.exec(comment.value) ?? []
    if (comment.type !== "Line" || kind === undefined) continue
    if (kind === "=>") typeCase(comment, rest)
    else {
      const line = lineAt(comment.start)
      let at = line
      while (isComment(at) || isBlank(at)) at++
      errors.push({ line, at, expected: oneLine(rest) })
    }
  }
  return { types, errors, lineAt }
}

const message = (diagnostic: Diagnostic): string =>
  oneLine([diagnostic.text, ...(diagnostic.messageChain ?? []).map(message)].join(" "))

/** The problems of one file, and how many cases it holds. */
const checkFile = (project: Project, file: string): { readonly cases: number; readonly problems: Array<string> } => {
  const { errors, lineAt, types } = casesOf(file, readFileSync(file, "utf8"))
  const source = project.program.getSourceFile(file)
  const name = (line: number) => `${file.slice(root.length + 1)}:${line}`
  if (source === undefined) return { cases: 0, problems: [`${name(1)}  is not part of ${project.configFileName}`] }
  const problems: Array<string> = []
  for (const { expected, line, name: declared } of types) {
    const type = declared && project.checker.getTypeAtPosition(file, declared.start)
    const displayed = type && oneLine(project.checker.typeToString(type, source))
    if (displayed === expected) continue
    problems.push(`${name(line)}  expected  ${expected}\n    displayed  ${displayed ?? "no declaration above"}`)
  }
  const { program } = project
  const said = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
    (diagnostic) => ({
      line: lineAt(diagnostic.pos),
      message: message(diagnostic)
    })
  )
  for (const { at, expected, line } of errors) {
    if (said.some((error) => error.line === at && error.message.includes(expected))) continue
    const there = said.filter((error) => error.line === at).map((error) => error.message)
    problems.push(
      `${name(line)}  expected an error  ${expected}\n    line ${at} says  ${there.join("\n") || "nothing"}`
    )
  }
  for (const error of said) {
    if (!errors.some(({ at }) => at === error.line)) problems.push(`${name(error.line)}  error: ${error.message}`)
  }
  if (types.length + errors.length === 0) problems.push(`${name(1)}  has no case`)
  return { cases: types.length + errors.length, problems }
}

/** The problems of the type tests below a folder. */
export const check = (folder: string): { readonly cases: number; readonly problems: ReadonlyArray<string> } => {
  const files = globSync("**/*.tst.ts", { cwd: folder, exclude: ["**/node_modules"] }).toSorted()
  const projects = [...new Set(files.map((file) => resolve(folder, dirname(file), "tsconfig.json")))]
  const api = new API({ cwd: folder })
  try {
    const snapshot = api.updateSnapshot({ openProjects: projects })
    const results = files.map((file) => {
      const config = resolve(folder, dirname(file), "tsconfig.json")
      const project = snapshot.getProject(config)
      return project === undefined
        ? { cases: 0, problems: [`${file}  has no ${basename(config)} beside it`] }
        : checkFile(project, resolve(folder, file))
    })
    return {
      cases: results.reduce((sum, { cases }) => sum + cases, 0),
      problems: results.flatMap(({ problems }) => problems)
    }
  } finally {
    api.close()
  }
}

if (isMain(import.meta)) {
  const { cases, problems } = check(join(root, "packages"))
  if (problems.length > 0) fail(problems)
  if (cases === 0) fail(["typetest: no case found"])
  console.log(`typetest: ${cases} cases hold`)
}
