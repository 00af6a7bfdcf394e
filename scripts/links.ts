/**
 * Fails when a link of README.md, CONTRIBUTING.md or docs/ leads nowhere: `node scripts/links.ts`.
 *
 * A relative link must name a file or folder of the repository, and its anchor a heading of that page. Links to other
 * sites are left alone: a check that needs the network fails for reasons of its own.
 */
import { existsSync, globSync, readFileSync, statSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { fail, isMain, root } from "./lib.ts"

/** The lines of a page that are not inside a fence, and with no link in inline code. */
const prose = (markdown: string): ReadonlyArray<string> => {
  let fence: string | undefined
  return markdown.split("\n").map((line) => {
    const ticks = /^\s*(`{3,}|~{3,})/.exec(line)?.[1]
    if (fence === undefined && ticks === undefined)
      return line.replace(/`[^`]*`/g, (code) => code.replaceAll("](", "] ("))
    if (fence === undefined) fence = ticks
    else if (line.trim() === fence) fence = undefined
    return ""
  })
}

/** The anchors of a page's headings, as GitHub makes them. */
export const anchorsOf = (markdown: string): ReadonlySet<string> => {
  const anchors = new Set<string>()
  for (const line of prose(markdown)) {
    const [, heading] = /^#{1,6} +(.+?) *$/.exec(line) ?? []
    if (heading === undefined) continue
    const slug = heading
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-")
    let anchor = slug
    for (let n = 1; anchors.has(anchor); n++) anchor = `${slug}-${n}`
    anchors.add(anchor)
  }
  return anchors
}

/** The targets of a page's links, with the number of their line. */
export const linksOf = (markdown: string): ReadonlyArray<readonly [line: number, target: string]> =>
  prose(markdown).flatMap((line, index) =>
    Array.from(
      line.matchAll(/\]\(<?([^()\s>]+)>?(?:\s+"[^"]*")?\)/g),
      ([, target = ""]) => [index + 1, target] as const
    )
  )

if (isMain(import.meta)) {
  const pages = globSync(["README.md", "CONTRIBUTING.md", "docs/**/*.md"], { cwd: root }).toSorted()
  const problems: Array<string> = []
  let count = 0
  for (const page of pages) {
    for (const [line, target] of linksOf(readFileSync(join(root, page), "utf8"))) {
      if (/^[a-z]+:/.test(target)) continue
      count++
      const [path = "", anchor] = target.split("#")
      const file = path === "" ? page : normalize(join(dirname(page), path))
      const where = `${page}:${line}  ${target}`
      if (file.startsWith("..") || !existsSync(join(root, file))) problems.push(`${where} does not exist`)
      else if (anchor !== undefined && statSync(join(root, file)).isFile()) {
        if (!anchorsOf(readFileSync(join(root, file), "utf8")).has(anchor))
          problems.push(`${where} has no such heading`)
      }
    }
  }
  if (problems.length > 0) fail(problems)
  console.log(`links: ${count} links of ${pages.length} pages lead somewhere`)
}
