/**
 * What the scripts share.
 */
import { spawnSync } from "node:child_process"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

export const root = join(import.meta.dirname, "..")

/** Workspace code imports `effect-resilience` from its sources under this condition. */
export const condition = "effect-resilience-source"

/** Whether a script is the program, and not a module that a test imports. */
export const isMain = (meta: ImportMeta): boolean => process.argv[1] === fileURLToPath(meta.url)

/** Prints the problems and ends with exit code 1. */
export const fail = (problems: ReadonlyArray<string>): never => {
  for (const problem of problems) console.error(problem)
  process.exit(1)
}

export interface Result {
  readonly ok: boolean
  readonly stdout: string
  readonly stderr: string
  /** Why it ended, in words. */
  readonly ending: string
}

/** Runs a program to its end. The workspace's own tools come first on the path, its Node too. */
export const run = (
  command: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd?: string; readonly timeoutSeconds?: number } = {}
): Result => {
  const path = `${join(root, "node_modules/.bin")}${delimiter}${process.env["PATH"] ?? ""}`
  const result = spawnSync(command, args, {
    cwd: options.cwd ?? root,
    encoding: "utf8",
    env: { ...process.env, PATH: path, NO_COLOR: "1" },
    killSignal: "SIGKILL",
    maxBuffer: 64 * 1024 * 1024,
    timeout: (options.timeoutSeconds ?? 300) * 1000
  })
  const ending = result.error !== undefined ? result.error.message : `exit code ${result.status ?? result.signal}`
  return { ok: result.status === 0, stdout: result.stdout, stderr: result.stderr, ending }
}
