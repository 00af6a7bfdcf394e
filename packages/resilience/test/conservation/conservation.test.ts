/**
 * Conservation: after any interleaving of interrupts, timeouts, defects and refusals, nothing is lost and nothing is
 * there twice. Every call runs, waits, backs off or has ended; what was taken was given back, or was used by an attempt
 * that started; every permit of a circuit was reported once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Audit, Tally } from "./audit.ts"
import { program, runs, seed } from "./program.ts"

const kinds = [
  ["one admission for each call", { perAttempt: false, distant: false }, 900],
  ["one admission for each attempt", { perAttempt: true, distant: false }, 600],
  ["one admission for each call, a store elsewhere", { perAttempt: false, distant: true }, 600],
  ["one admission for each attempt, a store elsewhere", { perAttempt: true, distant: true }, 400]
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
