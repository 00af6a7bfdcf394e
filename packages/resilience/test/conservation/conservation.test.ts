/**
 * Conservation: after any interleaving of interrupts, timeouts, defects and refusals, nothing is lost and nothing is
 * there twice. Every call runs, waits, backs off or has ended; what was taken was given back, or was used by an attempt
 * that started; every permit of a circuit was reported once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Audit, Tally } from "./audit.ts"
import { program, runs, seed } from "./program.ts"

const here = { distant: false, fallsBack: false }
const elsewhere = { distant: true, fallsBack: false }
const outage = { distant: true, fallsBack: true }
const kinds = [
  ["one admission for each call", { ...here, perAttempt: false }, 900],
  ["one admission for each attempt", { ...here, perAttempt: true }, 600],
  ["one admission for each call, a store elsewhere", { ...elsewhere, perAttempt: false }, 600],
  ["one admission for each attempt, a store elsewhere", { ...elsewhere, perAttempt: true }, 400],
  ["one admission for each call, others decide while the store fails", { ...outage, perAttempt: false }, 300],
  ["one admission for each attempt, others decide while the store fails", { ...outage, perAttempt: true }, 200]
] as const

describe(`conservation (CONSERVATION_SEED=${seed})`, () => {
  for (const [name, kind, times] of kinds) {
    const tally = new Tally()
    it.effect.prop(
      `nothing is lost: ${name}`,
      { program },
      ({ program }) => Effect.sync(() => new Audit(program, kind, tally).play()),
      { timeout: 120_000, arbitrary: { runs: runs(times), size: 400, seed } }
    )
    it(`and the programs came to all of it: ${name}`, () => {
      for (const [what, times] of Object.entries(tally)) {
        if (kind.distant || what !== "lostReplies") assert.isAbove(times, 10, what)
      }
    })
  }
})
