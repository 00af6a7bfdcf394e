/**
 * A copy of the tree to change: nothing in the tree itself is ever left broken.
 */
import { cpSync, mkdirSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import { fail, root, run } from "../lib.ts"

export const home = join(root, ".mutation")

/** The tracked and new files of the tree, with dependencies of its own. */
export const copyTree = (name: string): string => {
  const tree = join(home, name)
  const files = run("git", ["ls-files", "--cached", "--others", "--exclude-standard"])
    .stdout.split("\n")
    .filter(Boolean)
  rmSync(tree, { recursive: true, force: true })
  for (const file of files) {
    mkdirSync(dirname(join(tree, file)), { recursive: true })
    cpSync(join(root, file), join(tree, file))
  }
  const installed = run("npx", ["-y", "pnpm@12", "install", "--frozen-lockfile", "--prefer-offline"], { cwd: tree })
  if (!installed.ok) fail([installed.stdout, installed.stderr])
  return tree
}
