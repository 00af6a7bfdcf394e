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
import type { Step } from "effect-resilience/Store"
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
  readonly state: unknown
}

const find = (homes: ReadonlyArray<Home>, keys: Keys, held: ReadonlyArray<string | null>): ReadonlyArray<Found> =>
  homes.map((home, i) => {
    const epoch = epochIn(held[keys.cleared[i]!]!, keys.all[i]!.slice(0, keys.spaces[i]))
    return { epoch, state: home.read(held[i]!, epoch) }
  })

/** What a commit would write, and what it answers. */
const decide = (steps: ReadonlyArray<Step>, homes: ReadonlyArray<Home>, found: ReadonlyArray<Found>, now: number) => {
  const asked = steps.map(({ input }, i) => {
    const { kernel, policy } = homes[i]!.space
    const { state } = found[i]!
    const before: unknown = state === undefined ? kernel.initial(policy) : state
    const [answer, after] = kernel.step(policy, before, input, now)
    return { answer, before, after: after as unknown }
  })
  const allowed = asked.every(({ answer }) => answer.allowed)
  const next: Array<string> = []
  asked.forEach(({ after, before }, i) => {
    const home = homes[i]!
    const { epoch, state: known } = found[i]!
    const { kernel, keys: bounds, policy } = home.space
    const state = allowed ? after : before
    const end = kernel.expiresAt(policy, state)
    const idle = bounds.idleTimeToLive
    const expires = end ?? (idle === Infinity ? undefined : now + Math.floor(idle * 1.25))
    const isUsed = known !== undefined && end === undefined && idle !== Infinity
    if (state === before && !isUsed) next.push("", "")
    else if (expires === undefined) next.push(`=${home.write(epoch, state)}`, "")
    else if (expires > now) next.push(`=${home.write(epoch, state)}`, String(expires))
    else next.push("-", "")
  })
  return { committed: { now, allowed, answers: asked.map(({ answer }) => answer) }, next }
}

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
      const { committed, next } = decide(steps, homes, found, Number(time))
      if (next.every((word) => word === "")) return committed
      const seen = held.map((value) => (value === null ? "" : `=${value}`))
      const swapped = yield* ask(redis.eval(swap)(keys.all, seen, next))
      return swapped === 1 ? committed : yield* attempt(steps, homes, keys, left - 1)
    })

  const commit = (
    steps: ReadonlyArray<Step>,
    homes: ReadonlyArray<Home>
  ): Effect.Effect<ReturnType<typeof decide>["committed"], StoreError> => {
    const keys = new Keys(homes, steps)
    return inLine(keys.all[0]!, attempt(steps, homes, keys, ATTEMPTS))
  }
  return commit
}
