/**
 * Proves that what `npm pack` makes of effect-resilience works for a stranger: `node scripts/pack.ts`.
 *
 * The tarball is installed into an empty project beside effect and TypeScript; there README's first snippet must compile
 * under `strict` with plain NodeNext resolution, run, and print what README says. The package must hold no test and
 * import nothing but effect and its own files.
 */
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, posix } from "node:path"
import { parseSync, Visitor } from "oxc-parser"
import { fail, root, run } from "./lib.ts"
import { regionOf } from "./snippets.ts"

const temporary = mkdtempSync(join(tmpdir(), "effect-resilience-pack-"))
process.on("exit", () => rmSync(temporary, { recursive: true, force: true }))

/** Runs a step and ends the script with its output where it fails. */
const must = (what: string, command: string, args: ReadonlyArray<string>, cwd: string): string => {
  const result = run(command, args, { cwd })
  if (!result.ok) fail([`pack: ${what} ended with ${result.ending}`, result.stdout + result.stderr])
  return result.stdout
}

const json = (file: string) => JSON.parse(readFileSync(file, "utf8"))

// The tarball.
must("npm pack", "npm", ["pack", "--pack-destination", temporary], join(root, "packages/resilience"))
const [tarball = ""] = globSync("*.tgz", { cwd: temporary })

// The empty project.
const { devDependencies } = json(join(root, "package.json"))
const project = {
  name: "stranger",
  private: true,
  type: "module",
  dependencies: { effect: devDependencies.effect, "effect-resilience": `file:${tarball}` },
  devDependencies: { typescript: devDependencies.typescript }
}
const options = { strict: true, module: "NodeNext", target: "ES2022", outDir: "out" }
writeFileSync(join(temporary, "package.json"), JSON.stringify(project))
writeFileSync(join(temporary, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["main.ts"] }))
must("npm install", "npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"], temporary)

// The files of the package.
const installed = join(temporary, "node_modules/effect-resilience")
const files = globSync("**/*", { cwd: installed, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => posix.join(entry.parentPath.slice(installed.length + 1).replaceAll("\\", "/"), entry.name))
  .toSorted()
const problems: Array<string> = []
if (!files.includes("dist/index.js") || !files.includes("dist/index.d.ts")) problems.push("dist/index is missing")
for (const file of files) {
  if (/test|\.tst\./.test(file)) problems.push(`${file} is a test`)
  if (!/\.[jt]s$/.test(file)) continue
  const sources: Array<string> = []
  new Visitor({
    ImportDeclaration: (node) => void sources.push(node.source.value),
    ExportAllDeclaration: (node) => void sources.push(node.source.value),
    ExportNamedDeclaration: (node) => void (node.source && sources.push(node.source.value)),
    ImportExpression: (node) => void sources.push(node.source.type === "Literal" ? String(node.source.value) : "?"),
    TSImportType: (node) => void sources.push(node.source.value)
  }).visit(parseSync(file, readFileSync(join(installed, file), "utf8")).program)
  for (const source of sources) {
    const inside = source.startsWith(".") && !posix.join(dirname(file), source).startsWith("..")
    if (!inside && source !== "effect" && !source.startsWith("effect/")) problems.push(`${file} imports ${source}`)
  }
}
if (problems.length > 0) fail(problems.map((problem) => `pack: ${problem}`))

// README's first snippet.
const readme = readFileSync(join(root, "README.md"), "utf8")
const [, example] = /<!-- snippet: ([^\s#]+)(?:#\S+)? -->/.exec(readme) ?? []
if (example === undefined) fail(["pack: README.md has no snippet"])
writeFileSync(join(temporary, "main.ts"), regionOf(readFileSync(join(root, String(example)), "utf8"), undefined))
must(`compiling ${example}`, join(temporary, "node_modules/.bin/tsc"), ["-p", "."], temporary)
const printed = must(`running ${example}`, process.execPath, ["out/main.js"], temporary).trimEnd()
const [, promised] = new RegExp(`<!-- output: ${example} -->\\s*\`\`\`\\w*\\n([^]*?)\\n\`\`\``).exec(readme) ?? []
if (promised !== undefined && promised !== printed) {
  fail([`pack: ${example} prints something else than README says:`, printed])
}
const said = promised === undefined ? "runs" : "prints what README says"
console.log(`pack: ${tarball} holds ${files.length} files; ${example} compiles beside effect and ${said}`)
