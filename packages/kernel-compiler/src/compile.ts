/**
 * A kernel in TypeScript, as Lua 5.1 and as the shapes of its data.
 */
import ts from "typescript"
import tstl from "typescript-to-lua"
import { link } from "./link.ts"
import { type Shape, shapeOf } from "./shapes.ts"

export interface Source {
  readonly file: string
  /** Under which name the file exports the kernel. */
  readonly name: string
}

/** As `Compiled` of effect-resilience-redis, which runs it. */
export interface Compiled {
  readonly id: string
  readonly policy: Shape
  readonly state: Shape
  readonly input: Shape
  readonly lua: string
}

const strict: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ["lib.es2023.d.ts"],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
  noEmit: true,
  allowImportingTsExtensions: true,
  skipLibCheck: true,
  customConditions: ["effect-resilience-source"],
  types: []
}

const must = (diagnostics: ReadonlyArray<ts.Diagnostic>, where: string): void => {
  const errors = diagnostics.filter(({ category }) => category === ts.DiagnosticCategory.Error)
  if (errors.length === 0) return
  const host = { getCurrentDirectory: () => "", getCanonicalFileName: (name: string) => name, getNewLine: () => "\n" }
  throw new Error(`${where}\n${ts.formatDiagnostics(errors, host)}`)
}

/** A call on one line, and a condition or a function with one statement a branch: a script is sent and hashed as a whole. */
const compact = (lua: string): string =>
  lua
    .replaceAll(/([({,])\n\s+/g, (_, open) => (open === "," ? ", " : open))
    .replaceAll(/\n\s*([)}])/g, "$1")
    .replaceAll(/ then\n +(.*)\n +else\n +(.*)\n +end$/gm, " then $1 else $2 end")
    .replaceAll(/ then\n +(.*)\n +end$/gm, " then $1 end")
    .replaceAll(/^( *(?:local )?function .*\))\n +(return .*)\n *end$/gm, "$1 $2 end")
    .replaceAll(/^ +/gm, (indent) => " ".repeat(indent.length / 4))

/**
 * A comparison costs less than a call, and tells the same: of two that are equal, the first. What is left of `math` is
 * looked up once, where the kernel has no such name of its own.
 */
const quickMath = (lua: string): string => {
  const compared = lua.replaceAll(
    /\bmath\.(max|min)\(([\w.]+), ([\w.]+)\)/g,
    (_, which, a, b) => `(${b} ${which === "max" ? ">" : "<"} ${a} and ${b} or ${a})`
  )
  const used = [...new Set([...compared.matchAll(/\bmath\.(\w+)\(/g)].map(([, name]) => name!))].sort()
  return used
    .filter((name) => !new RegExp(`(?<!\\.)\\b${name}\\b`).test(compared))
    .reduce((out, name) => `local ${name} = math.${name}\n${out.replaceAll(`math.${name}(`, `${name}(`)}`, compared)
}

const toLua = (text: string, { file, name }: Source): string => {
  const { diagnostics, transpiledFiles } = tstl.transpileVirtualProject(
    { "kernel.ts": `/** @noSelfInFile */\n${text}` }, // the option `noImplicitSelf` does not reach a virtual file
    {
      target: ts.ScriptTarget.ES2022,
      lib: ["lib.es2023.d.ts"],
      strict: true,
      types: [],
      removeComments: true,
      luaTarget: tstl.LuaTarget.Lua51,
      luaLibImport: tstl.LuaLibImportKind.Inline,
      noHeader: true,
      sourceMapTraceback: false
    }
  )
  must(diagnostics as unknown as ReadonlyArray<ts.Diagnostic>, file) // of the same TypeScript
  const lua = transpiledFiles.find(({ lua }) => lua !== undefined)?.lua ?? ""
  // the module's table becomes the kernel's
  const [body, kernel, ...more] = lua
    .replace("local ____exports = {}\n", "")
    .replace(/\nreturn ____exports\s*$/, "")
    .split(`____exports.${name} = `)
  if (body === undefined || kernel === undefined || more.length > 0 || /____exports|require\(/.test(body + kernel)) {
    throw new Error(`${file}: the kernel is not one constant\n${lua}`)
  }
  return quickMath(compact(`${body}return ${kernel.trim()}`))
}

export const compile = (sources: ReadonlyArray<Source>): ReadonlyArray<Compiled> => {
  const program = ts.createProgram(
    sources.map(({ file }) => file),
    strict
  )
  must(ts.getPreEmitDiagnostics(program), "the kernels")
  const checker = program.getTypeChecker()
  return sources.map((source) => {
    const file = program.getSourceFile(source.file)!
    const symbol = checker
      .getExportsOfModule(checker.getSymbolAtLocation(file)!)
      .find((one) => one.name === source.name)
    if (symbol === undefined) throw new Error(`${source.file} exports no ${source.name}`)
    const kernel = checker.getTypeOfSymbol(symbol)
    const step = checker.getTypeOfSymbol(checker.getPropertyOfType(kernel, "step")!).getCallSignatures()[0]!
    const [policy, state, input] = step.parameters.map((parameter) => checker.getTypeOfSymbol(parameter))
    const lua = toLua(link(program, file, source.name), source)
    const id = [...lua.matchAll(/\bid = "([^"]+)"/g)].at(-1)?.[1] // before it may stand a kernel that it uses
    if (id === undefined) throw new Error(`${source.file}: ${source.name} has no id that is written out`)
    return {
      id,
      policy: shapeOf(checker, policy!, `${id} policy`),
      state: shapeOf(checker, state!, `${id} state`),
      input: shapeOf(checker, input!, `${id} input`),
      lua
    }
  })
}
