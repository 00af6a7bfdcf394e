/**
 * A report as a page that needs nothing from elsewhere.
 */
import type { Report } from "./findings.ts"
import { draw, type Size } from "./chart.ts"
import { totalsOf } from "./table.ts"
import { digits } from "./words.ts"

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" }

const escape = (text: string): string => text.replace(/[&<>"]/g, (character) => escapes[character]!)

const table = (caption: string, [head = [], ...rows]: ReadonlyArray<ReadonlyArray<string>>): string =>
  [
    `<table><caption>${escape(caption)}</caption>`,
    `<thead><tr>${head.map((cell) => `<th>${escape(cell)}</th>`).join("")}</tr></thead>`,
    `<tbody>${rows.map(([name = "", ...cells]) => `<tr><th>${escape(name)}</th>${cells.map((cell) => `<td>${escape(cell)}</td>`).join("")}</tr>`).join("\n")}</tbody>`,
    "</table>"
  ].join("\n")

const style = [
  "body{font:14px/1.5 Verdana,Arial,sans-serif;color:#222;max-width:1160px;margin:24px auto;padding:0 16px}",
  "svg{max-width:100%;height:auto}",
  "table{border-collapse:collapse;margin:24px 0;font-size:12px}",
  "caption{text-align:left;font-weight:bold;padding-bottom:4px}",
  "th,td{padding:3px 8px;text-align:right;border-bottom:1px solid #ddd}",
  "th:first-child{text-align:left}"
].join("")

export const page = (report: Report, size: Size): string => {
  const keys = report.with.keys.map(({ key, offered, refused, succeeded }) => [
    key,
    digits(offered),
    digits(succeeded),
    digits(refused)
  ])
  const reasons = Object.entries(report.with.totals.rejections).map(([reason, count]) => [reason, digits(count)])
  return [
    "<!doctype html>",
    '<html lang="en">',
    `<head><meta charset="utf-8"><title>${escape(report.title)}</title><style>${style}</style></head>`,
    "<body>",
    draw(report, size),
    table("Totals", totalsOf(report)),
    ...(reasons.length === 0 ? [] : [table("Refused", [["reason", "admissions"], ...reasons])]),
    ...(keys.length < 2
      ? []
      : [table("The keys that called most", [["key", "offered", "succeeded", "refused"], ...keys])]),
    "</body>",
    "</html>",
    ""
  ].join("\n")
}
