/** A table without a database: what is looked at, decided and written, by the code of the store, at times that a test sets. */
import { assert } from "@effect/vitest"
import { Exit } from "effect"
import { type AnySpace, Command, Step } from "effect-resilience/Store"
import type { Decision } from "effect-resilience/kernel/Kernel"
import { Draft, stateIn } from "../src/internal/decide.ts"
import type { Change, Found } from "../src/internal/dialect.ts"
import { nameOfKey, nameOfSpace } from "../src/internal/names.ts"

export const keys = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity } as const

/** What a test may read of any answer. */
export interface Answer extends Decision {
  readonly remaining: number
  readonly retryAfter: number
  readonly receipt: unknown
  readonly phase: string
  readonly generation: number
}

export interface Asked {
  readonly allowed: boolean
  readonly answers: ReadonlyArray<Answer>
  /** What was written. */
  readonly changes: ReadonlyArray<Change>
}

export const step = (space: AnySpace, input: unknown, key = "a"): Step => new Step(space, key, input as never) // its kernel's
export const command = (space: AnySpace, op: string, key = "a"): Step => new Command(space, key, { op } as never) // as above
export const take = (space: AnySpace, cost = 1, key = "a"): Step => step(space, { op: "take", cost }, key)

type Row = Omit<Found, "i">

export class Table {
  now = 1_000_000
  readonly rows = new Map<string, Row>()

  static rowOf({ key, space }: Step): { readonly name: string; readonly space: string; readonly key: string } {
    const place = { space: nameOfSpace(space), key: nameOfKey(key) }
    return { ...place, name: `${place.space} ${place.key}` }
  }

  /** Some commits of one batch. */
  batch(...commits: ReadonlyArray<ReadonlyArray<Step>>) {
    const places = new Map(commits.flat().map((step) => [Table.rowOf(step).name, Table.rowOf(step)]))
    const found = Array.from(places.keys()).flatMap((name, i) => {
      const row = this.rows.get(name)
      return row === undefined ? [] : [{ ...row, i }]
    })
    const draft = new Draft(places, { now: this.now, found })
    const exits = commits.map((steps) => draft.commit({ steps, rows: steps.map((step) => Table.rowOf(step).name) }))
    for (const { expires_at, key, new: next, old, space } of draft.changes) {
      const name = `${space} ${key}`
      assert.strictEqual(this.rows.get(name)?.state ?? null, old, "what a change is based on")
      if (next !== null) this.rows.set(name, { state: next, expires_at })
    }
    return { exits, changes: draft.changes }
  }

  /** One commit, of which all rows can be read. */
  ask(...steps: ReadonlyArray<Step>): Asked {
    const { changes, exits } = this.batch(steps)
    const exit = exits[0]!
    if (Exit.isFailure(exit)) throw new Error(String(exit.cause))
    const { allowed, answers } = exit.value
    return { allowed, answers: answers as ReadonlyArray<Answer>, changes } // of ours
  }

  read(space: AnySpace, key = "a"): Exit.Exit<unknown, unknown> {
    const row = this.rows.get(Table.rowOf(take(space, 0, key)).name)
    return stateIn(space, row === undefined ? undefined : { ...row, i: 0 }, this.now)
  }

  row(space: AnySpace, key = "a"): Row {
    return this.rows.get(Table.rowOf(take(space, 0, key)).name)!
  }

  /** [policy, at, ends, state] of each entry. */
  entries(
    space: AnySpace,
    key = "a"
  ): ReadonlyArray<readonly [policy: unknown, at: number, ends: number | null, state: unknown]> {
    return JSON.parse(this.row(space, key).state)
  }

  put(space: AnySpace, state: string, expires_at: number | null = null, key = "a"): void {
    this.rows.set(Table.rowOf(take(space, 0, key)).name, { state, expires_at })
  }
}
