/**
 * Compiles the kernels for Redis: `node scripts/kernels.ts [--check]`.
 *
 * What it writes is committed. With `--check` it writes nothing, and fails where a file is not what its kernel compiles to.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fail, root } from "./lib.ts"
import { type Compiled, compile } from "../packages/kernel-compiler/src/compile.ts"

interface Target {
  readonly file: string
  readonly name: string
  readonly to: string
  readonly model: string
}

const redis = "packages/resilience-redis"
const targets: ReadonlyArray<Target> = [
  ...["TokenBucket", "Lease", "FixedWindow", "SlidingWindow", "SlidingLog", "Breaker"].map((module) => {
    const name = module[0]!.toLowerCase() + module.slice(1)
    return {
      file: `packages/resilience/src/kernel/${module}.ts`,
      name,
      to: `${redis}/src/internal/generated/${name}.ts`,
      model: "../compiled.ts"
    }
  }),
  {
    file: `${redis}/test/kernels/guests.ts`,
    name: "guests",
    to: `${redis}/test/generated/guests.ts`,
    model: "../../src/internal/compiled.ts"
  }
]

const moduleOf = ({ file, model, name }: Target, { lua, ...data }: Compiled): string => {
  const shapes = Object.entries(data).map(([key, value]) => `  ${key}: ${JSON.stringify(value)},\n`)
  const text = lua.replaceAll("\\", "\\\\").replaceAll("`", "\\`").replaceAll("${", "\\${")
  return (
    `/** Compiled from ${file} by scripts/kernels.ts: not to be edited. */\n` +
    `import type { Compiled } from "${model}"\n\n` +
    `export const ${name}: Compiled = {\n${shapes.join("")}  lua: \`${text}\`\n}\n`
  )
}

const isCurrent = (path: string, text: string): boolean => {
  try {
    return readFileSync(path, "utf8") === text
  } catch {
    return false
  }
}

const compiled = compile(targets.map(({ file, name }) => ({ file: join(root, file), name })))
const stale = targets.flatMap((target, i) => {
  const text = moduleOf(target, compiled[i]!)
  const path = join(root, target.to)
  if (isCurrent(path, text)) return []
  if (process.argv.includes("--check")) return [`${target.to} is not what ${target.file} compiles to: pnpm kernels`]
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  console.log(`wrote ${target.to}`)
  return []
})
if (stale.length > 0) fail(stale)
