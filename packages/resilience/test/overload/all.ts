/**
 * `pnpm overload`: every set-up with 20 fixed seeds, in about a quarter of an hour on an idle machine. Prints the worst of
 * each group, and fails where a set-up breaks a bound. `pnpm overload --seeds 3` for less, `pnpm overload batches slots` for
 * the set-ups that have both words in their group or name, `--all` for a line for each set-up.
 */
import { parseArgs } from "node:util"
import type { Figures, Setup } from "./play.ts"
import { broken, groups, percent, playAll } from "./setups.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: "string", default: "20" }, all: { type: "boolean", default: false } }
})
const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => i + 1)

const line = ({ name }: Setup, { cut, cutAtAll, goodput, ofRoom, openedAfter, refusedByCircuit }: Figures): string =>
  [
    name.padEnd(62),
    `goodput ${percent(goodput)}`.padEnd(17),
    `of the room ${percent(ofRoom)}`.padEnd(21),
    `cut ${percent(cut)}`.padEnd(12),
    `with the too slow ${percent(cutAtAll)}`.padEnd(26),
    refusedByCircuit === 0 ? "" : `circuit opens, at the latest after ${openedAfter} ms`
  ]
    .join("  ")
    .trimEnd()

const failures: Array<string> = []
let played = 0
for (const [group, setups] of Object.entries(groups)) {
  const asked = setups.filter(({ name }) => positionals.every((word) => `${group}: ${name}`.includes(word)))
  if (asked.length === 0) continue
  const rows = asked.map((setup) => {
    const { all, worst } = playAll(setup, seeds)
    all.forEach((figures, i) => {
      for (const what of broken(setup, figures)) failures.push(`${setup.name}, seed ${seeds[i]}: ${what}`)
    })
    if (values.all) console.log(line(setup, worst))
    return { setup, worst }
  })
  played += rows.length
  const worstBy = (of: (figures: Figures) => number) => rows.toSorted((a, b) => of(b.worst) - of(a.worst))[0]!
  const shown = [
    ["least goodput", worstBy(({ goodput }) => -goodput)],
    ["least of the room", worstBy(({ ofRoom }) => -ofRoom)],
    ["most cut", worstBy(({ cut }) => cut)],
    [
      "opens last",
      worstBy(({ openedAfter = Infinity, refusedByCircuit }) => (refusedByCircuit === 0 ? -1 : openedAfter))
    ]
  ] as const
  console.log(`\n${group}: ${rows.length} set-ups, ${seeds.length} seeds`)
  for (const [title, { setup, worst }] of shown) {
    if (title === "opens last" && worst.refusedByCircuit === 0) continue
    console.log(`  ${title.padEnd(18)} ${line(setup, worst)}`)
  }
}
console.log(`\noverload: ${played} set-ups with ${seeds.length} seeds each, ${failures.length} bounds broken`)
for (const failure of failures) console.log(`  ${failure}`)
if (played === 0 || failures.length > 0) process.exitCode = 1
