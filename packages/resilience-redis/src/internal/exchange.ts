/**
 * A commit of kernels that only this process knows: the states are read, the kernels asked here, and what they left is
 * written if no key has changed meanwhile.
 *
 * The decision is of the moment when the states were read. Nobody has written them from then until the second script
 * looks, so it is as good as one of that later moment.
 */
import * as Effect from "effect/Effect"
import type * as Redis from "effect/persistence/Redis"
import * as Semaphore from "effect/Semaphore"
import type { StoreError } from "effect-resilience/Rejection"
import type { Committed, Step } from "effect-resilience/Store"
import { decide } from "./decide.ts"
import { type Home, Keys } from "./home.ts"
import { epochIn, look, swap } from "./scripts.ts"

export interface Exchange {
  readonly redis: Redis.Redis["Service"]
  readonly ask: <A>(answer: Effect.Effect<A, Redis.RedisError>) => Effect.Effect<A, StoreError>
  readonly unreadable: (cause: unknown) => StoreError
}

/** So often may others be faster: of those who try at once, one succeeds each time. */
const ATTEMPTS = 100

interface Found {
  readonly epoch: number
  /** `undefined` where there is none. */
  readonly state: unknown
}

const find = (homes: ReadonlyArray<Home>, keys: Keys, held: ReadonlyArray<string | null>): ReadonlyArray<Found> =>
  homes.map((home, i) => {
    const epoch = epochIn(held[keys.cleared[i]!]!, keys.all[i]!.slice(0, keys.spaces[i]))
    return { epoch, state: home.read(held[i]!, epoch) }
  })

/** What a commit writes, where its states have become these. */
const written = (
  homes: ReadonlyArray<Home>,
  found: ReadonlyArray<Found>,
  before: ReadonlyArray<unknown>,
  after: ReadonlyArray<unknown>,
  now: number
): ReadonlyArray<string> =>
  homes.flatMap((home, i) => {
    const { epoch, state: known } = found[i]!
    const { kernel, policy, space } = home
    const state = after[i]
    const end = kernel.expiresAt(policy, state)
    const idle = space.keys.idleTimeToLive
    const expires = end ?? (idle === Infinity ? undefined : now + Math.floor(idle * 1.25))
    const isUsed = known !== undefined && end === undefined && idle !== Infinity
    if (state === before[i] && !isUsed) return ["", ""]
    if (expires === undefined) return [`=${home.write(epoch, state)}`, ""]
    return expires > now ? [`=${home.write(epoch, state)}`, String(expires)] : ["-", ""]
  })

export const exchange = ({ ask, redis, unreadable }: Exchange) => {
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
      const found = yield* Effect.try({ try: () => find(homes, keys, held), catch: unreadable })
      const now = Number(time)
      const before = found.map(({ state }, i) => (state === undefined ? homes[i]!.initial : state))
      const { after, committed } = decide(steps, homes, before, now)
      const next = written(homes, found, before, after, now)
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
