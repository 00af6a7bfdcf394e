/**
 * A commit of kernels that only this process knows: the states are read, the kernels asked here, and what they left is
 * written if no key has changed meanwhile.
 *
 * The decision is of the moment when the states were read. Nobody has written them from then until the second script
 * looks, so it is also one of that later moment.
 */
import * as Effect from "effect/Effect"
import type * as Redis from "effect/persistence/Redis"
import * as Semaphore from "effect/Semaphore"
import type { StoreError } from "effect-resilience/Rejection"
import type { Committed, Step } from "effect-resilience/Store"
import { Cell } from "./cell.ts"
import { decide } from "./decide.ts"
import { type Home, Keys } from "./home.ts"
import type { Errors } from "./message.ts"
import { epochIn, look, swap } from "./scripts.ts"

export interface Exchange {
  readonly redis: Redis.Redis["Service"]
  readonly ask: <A>(answer: Effect.Effect<A, Redis.RedisError>) => Effect.Effect<A, StoreError>
  readonly errors: Errors
}

/** So often may others be faster: of those who try at once, one succeeds each time. */
const ATTEMPTS = 100

const cellsIn = (
  homes: ReadonlyArray<Home>,
  keys: Keys,
  held: ReadonlyArray<string | null>,
  now: number
): ReadonlyArray<Cell> =>
  homes.map((home, i) => {
    const epoch = epochIn(held[keys.cleared[i]!]!, keys.all[i]!.slice(0, keys.spaces[i]))
    return new Cell(home, held[i]!, epoch, now)
  })

/** Words for `swap`. */
const wordsOf = (cell: Cell, now: number): readonly [value: string, expires: string] => {
  const written = cell.written(now)
  if (written === undefined) return ["", ""]
  return written === "unlink" ? ["-", ""] : [`=${written.value}`, String(written.expires ?? "")]
}

export const exchange = ({ ask, errors: { damaged, unreadable }, redis }: Exchange) => {
  /** Calls of this process wait for each other, rather than try in vain. */
  const lines = new Map<string, { readonly semaphore: Semaphore.Semaphore; waiting: number }>()
  const inLine = <A>(name: string, effect: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> =>
    Effect.suspend(() => {
      let line = lines.get(name)
      if (line === undefined) lines.set(name, (line = { semaphore: Semaphore.makeUnsafe(1), waiting: 0 }))
      const mine = line
      mine.waiting++
      return Effect.ensuring(
        mine.semaphore.withPermit(effect),
        Effect.sync(() => --mine.waiting === 0 && lines.delete(name))
      )
    })

  const attempt = (
    steps: ReadonlyArray<Step>,
    homes: ReadonlyArray<Home>,
    keys: Keys,
    left: number
  ): ReturnType<typeof commit> =>
    Effect.gen(function* () {
      if (left === 0) return yield* Effect.fail(unreadable(new Error(`${keys.all[0]} changes all the time`)))
      const [time, ...held] = yield* ask(redis.eval(look)(keys.all))
      const now = Number(time)
      const cells = cellsIn(homes, keys, held, now)
      const { committed, damage } = decide(steps, homes, cells, now)
      if (damage !== undefined) return yield* Effect.fail(damaged(damage))
      const next = cells.flatMap((cell) => wordsOf(cell, now))
      if (next.every((word) => word === "")) return committed
      const seen = held.map((value) => (value === null ? "" : `=${value}`))
      const swapped = yield* ask(redis.eval(swap)(keys.all, seen, next))
      return swapped === 1 ? committed : yield* attempt(steps, homes, keys, left - 1)
    })

  const commit = (
    steps: ReadonlyArray<Step>,
    homes: ReadonlyArray<Home>
  ): Effect.Effect<Committed<ReadonlyArray<Step>>, StoreError> => {
    const keys = new Keys(homes, steps)
    return inLine(keys.all[0]!, attempt(steps, homes, keys, ATTEMPTS))
  }
  return commit
}
