/**
 * Runs a case of `../shared/cases/sql` on the layout of today.
 */
import { type Cases, type Edit, runCase } from "../../../../scripts/editedCase.ts"

/** A damaged state is made of the row which the layout of today wrote: cut off, or with another value in its first entry. */
const damaged = (from: string, to: string): Edit => ({ why: "made of the row of today", from, to })
const inFirstEntry = (value: string) => `jsonb_set(state::jsonb, '{0,3}', ${value}::jsonb)::text`
const cut = "left(state, -3)"

const cases: Cases = {
  "claimed-rows": [
    "claimed-rows",
    [
      damaged(
        "SET state='${b}' WHERE space LIKE '%bad${pn}/%'",
        `SET state=\${b==="garbage"?"${cut}":b===""?"''":\`${inFirstEntry("'${b}'")}\`} WHERE space LIKE '%bad\${pn}/%'`
      ),
      damaged(
        "SET state='${b}' WHERE space LIKE '%badcb/%'",
        `SET state=\${b==="garbage"?"${cut}":\`${inFirstEntry("'${b}'")}\`} WHERE space LIKE '%badcb/%'`
      ),
      damaged(
        `SET state='garbage' WHERE key='"p"' AND space LIKE '%def/u%'`,
        `SET state=${cut} WHERE key='"p"' AND space LIKE '%def/u%'`
      )
    ]
  ],
  "damaged-rows": [
    "damaged-rows",
    [
      { why: "a row that is cut off, too", from: `nul: "'null'" })`, to: `nul: "'null'", cut: "cut" })` },
      damaged(
        "set state = ${sql} where space like '%${id}/%'",
        `set state = \${sql === "cut" ? "${cut}" : \`${inFirstEntry("${sql}")}\`} where space like '%\${id}/%'`
      ),
      damaged(
        "set state = ${sql} where space like '%circ%'",
        `set state = ${inFirstEntry("${sql}")} where space like '%circ%'`
      )
    ]
  ],
  "line-of-one-key": [
    "line-of-one-key",
    [
      { why: "a third size takes minutes, and says nothing more", from: "[2000,8000,20000]", to: "[2000,8000]" },
      {
        why: "a count is a bigint, which JSON has not",
        from: "JSON.stringify(dead)",
        to: "String(Object.entries(dead))"
      },
      {
        why: "so is this one",
        from: `b.n_tup_upd-a.n_tup_upd, "of them HOT", b.n_tup_hot_upd-a.n_tup_hot_upd`,
        to: `String(b.n_tup_upd-a.n_tup_upd), "of them HOT", String(b.n_tup_hot_upd-a.n_tup_hot_upd)`
      },
      damaged("SET state='garbage'`); const g=", `SET state=${cut}\`); const g=`),
      damaged(
        `SET state='garbage' WHERE key='"p"' AND space LIKE '%drop/u%'`,
        `SET state=${cut} WHERE key='"p"' AND space LIKE '%drop/u%'`
      )
    ]
  ]
}

runCase("sql", cases)
