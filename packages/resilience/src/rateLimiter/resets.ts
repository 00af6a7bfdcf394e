/**
 * Resets of a limiter, and what it remembers of them.
 */
import * as Effect from "effect/Effect"
import { type Key, type ReadKey, readKey } from "../internal/key.ts"
import type { StoreError } from "../Rejection.ts"
import { type AnySpace, Command, type StoreView } from "../StoreModel.ts"

/**
 * Which keys were reset lately: what a call took before that is not its to give back any more. Where there were too
 * many, whoever came before is taken to be one of them, which errs on the side of the limit.
 */
export class Resets {
  count = 0
  private floor = 0
  private readonly of = new Map<string, number>()

  note(keys: ReadonlyArray<string>): void {
    if (this.of.size >= 1_024) this.noteAll()
    this.count++
    keys.forEach((key, i) => this.of.set(`${i}/${key}`, this.count))
  }

  noteAll(): void {
    this.of.clear()
    this.floor = ++this.count
  }

  /** Whether the key of the `i`-th limit was reset after `count`. */
  since(count: number, key: string, i: number): boolean {
    return this.floor > count || (this.of.get(`${i}/${key}`) ?? 0) > count
  }
}

/** What a reset needs of a gate. */
interface Limits {
  readonly store: StoreView
  readonly resets: Resets
  readonly members: ReadonlyArray<{
    readonly space: AnySpace
    readonly keyOf: (key: ReadKey) => string
    readonly improved: (key: string) => void
    readonly improvedAll: () => void
  }>
}

/** Forgets one key, or all of them. */
export const reset = ({ members, resets, store }: Limits, key: Key | undefined): Effect.Effect<void, StoreError> =>
  Effect.suspend(() => {
    if (key === undefined) {
      return Effect.forEach(
        members,
        (member) =>
          Effect.map(store.clear(member.space), () => {
            resets.noteAll()
            member.improvedAll()
          }),
        { discard: true }
      )
    }
    const read = readKey(key)
    const names = members.map((member) => member.keyOf(read))
    const steps = members.map((member, i) => new Command(member.space, names[i]!, { op: "reset" }))
    return Effect.map(store.commit(steps), () => {
      resets.note(names)
      members.forEach((member, i) => member.improved(names[i]!))
    })
  })
