/**
 * Proves that the packages work for a stranger: `node scripts/pack.ts`.
 *
 * Their tarballs are installed into an empty project beside effect and TypeScript; there README's first snippet must
 * compile under `strict` with plain NodeNext resolution, run, and print what README says, and so must a program that
 * runs the laws of a store. A package must hold no test, and import nothing but its own files and what its
 * `package.json` names. Each module that `exports` names must load, and no other file of `dist`. pnpm packs, since it writes versions for `workspace:`.
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

/** In the order in which they need each other: packing builds. */
const packages = [
  { folder: "resilience", node: false },
  { folder: "resilience-testing", node: true },
  { folder: "resilience-redis", node: true },
  { folder: "resilience-sql", node: true }
].map(({ folder, node }) => {
  const {
    dependencies = {},
    name,
    peerDependencies = {},
    version
  } = json(join(root, "packages", folder, "package.json"))
  const args = ["-y", "pnpm@12", "pack", "--pack-destination", temporary]
  must(`packing ${name}`, "npx", args, join(root, "packages", folder))
  return {
    name: String(name),
    node,
    tarball: `${name}-${version}.tgz`,
    imports: Object.keys({ ...dependencies, ...peerDependencies })
  }
})

// The empty project.
const { devDependencies } = json(join(root, "package.json"))
const project = {
  name: "stranger",
  private: true,
  type: "module",
  dependencies: {
    effect: devDependencies.effect,
    ...Object.fromEntries(packages.map(({ name, tarball }) => [name, `file:${tarball}`]))
  },
  devDependencies: { typescript: devDependencies.typescript }
}
const options = { strict: true, module: "NodeNext", target: "ES2022", outDir: "out" }
writeFileSync(join(temporary, "package.json"), JSON.stringify(project))
writeFileSync(
  join(temporary, "tsconfig.json"),
  JSON.stringify({ compilerOptions: options, files: ["main.ts", "laws.ts"] })
)
must("npm install", "npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"], temporary)

// The files of the packages.
const problems: Array<string> = []
const counts = packages.map(({ imports, name, node }) => {
  const installed = join(temporary, "node_modules", name)
  const files = globSync("**/*", { cwd: installed, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.join(entry.parentPath.slice(installed.length + 1).replaceAll("\\", "/"), entry.name))
    .toSorted()
  if (!files.includes("dist/index.js") || !files.includes("dist/index.d.ts")) problems.push(`${name}: no dist/index`)
  for (const file of files) {
    if (/(^|\/)test\/|\.(test|tst)\./.test(file)) problems.push(`${name}/${file} is a test`)
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
      const named = imports.some((dependency) => source === dependency || source.startsWith(`${dependency}/`))
      if (!inside && !named && !(node && source.startsWith("node:"))) problems.push(`${name}/${file} imports ${source}`)
    }
  }
  return files.length
})
if (problems.length > 0) fail(problems.map((problem) => `pack: ${problem}`))

// What can be imported: each module that `exports` names, and no other.
const imported = packages.flatMap(({ name }) => {
  const installed = join(temporary, "node_modules", name)
  const named = Object.keys(json(join(installed, "package.json")).exports).filter((path) => !path.endsWith(".json"))
  const all = globSync("**/*.js", { cwd: join(installed, "dist") }).map((file) => `./${file.slice(0, -".js".length)}`)
  return [...new Set([...named, ...all])].map((path) => ({ path: posix.join(name, path), open: named.includes(path) }))
})
writeFileSync(
  join(temporary, "imports.mjs"),
  `for (const { open, path } of ${JSON.stringify(imported)}) {
  const ending = await import(path).then(() => "loads", ({ code, message }) => code ?? message)
  if (ending !== (open ? "loads" : "ERR_PACKAGE_PATH_NOT_EXPORTED")) console.log(path, ending)
}
`
)
const wrong = must("importing", process.execPath, ["imports.mjs"], temporary).trimEnd()
if (wrong !== "") fail(["pack: what exports names must load, and nothing else:", wrong])

// A program that runs laws.
writeFileSync(
  join(temporary, "laws.ts"),
  `import { Effect } from "effect"
import { Store } from "effect-resilience"
import { StoreLaws } from "effect-resilience-testing"

const laws = StoreLaws.laws({ layer: Store.layerMemory, effort: 0.05 })
Effect.runPromise(Effect.forEach(laws, ({ check }) => check)).then((all) => console.log(all.length === laws.length))
`
)

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
const kept = must("running the laws", process.execPath, ["out/laws.js"], temporary).trim()
if (kept !== "true") fail([`pack: the laws of a store end with ${kept}`])
const said = promised === undefined ? "runs" : "prints what README says"
console.log(
  `pack: ${packages.map(({ tarball }, i) => `${tarball} holds ${counts[i]} files`).join(", ")}; ${example} compiles beside effect and ${said}; laws run`
)
