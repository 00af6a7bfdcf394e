/**
 * A store in Redis: one script for all steps of a commit.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Redis from "effect/persistence/Redis"
import { lease as leaseKernel } from "effect-resilience/kernel/Lease"
import { StoreError } from "effect-resilience/Rejection"
import * as RemoteStore from "effect-resilience/RemoteStore"
import type { AnySpace, Committed, Step, Store } from "effect-resilience/Store"
import { Batches } from "./batches.ts"
import { Cell } from "./cell.ts"
import type { Compiled } from "./compiled.ts"
import { type Exchange, exchange } from "./exchange.ts"
import { Home } from "./home.ts"
import { Kernels } from "./kernels.ts"
import type { Head } from "./keys.ts"
import { elapsed, Leases } from "./leases.ts"
import { Machines } from "./machines.ts"
import type { Errors } from "./message.ts"
import { clear, epochIn, look } from "./scripts.ts"

export interface Settings {
  readonly prefix: string
  readonly kernels: ReadonlyArray<Compiled>
  readonly sharded: boolean | undefined
  readonly clock: Clock.Clock
  readonly fork: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown>
}

export interface RedisStore {
  readonly store: Store["Service"]
  readonly close: Effect.Effect<void>
}

type Service = Redis.Redis["Service"]

/** So many tags of a space are cleared in one trip. */
const MOST_CLEARED = 128

const liesApart = ({ cause }: Redis.RedisError): boolean => String(cause).includes("CROSSSLOT")

/** Keys that lie on several machines are a mistake in a program, and no outage. */
const failed = (error: Redis.RedisError): Effect.Effect<never, StoreError> =>
  liesApart(error)
    ? Effect.die(
        new Error(
          "effect-resilience-redis: one call took keys of several slots of the cluster. Compose its policies as one service: " +
            "Resilience.layer({ rateLimiter, circuitBreaker }) places them together, layerFrom cannot",
          { cause: error }
        )
      )
    : Effect.fail(new StoreError({ reason: "unavailable", cause: error }))

const isForgotten = ({ cause }: Redis.RedisError): boolean => String(cause).includes("NOSCRIPT")

/** A proxy may send a script to one server, and its use to another: what is not known there is sent once more. */
const known = <A>(answer: Effect.Effect<A, Redis.RedisError>): Effect.Effect<A, Redis.RedisError> =>
  Effect.catchIf(answer, isForgotten, () => answer)

const asked = <A>(answer: Effect.Effect<A, Redis.RedisError>): Effect.Effect<A, StoreError> =>
  Effect.catch(known(answer), failed)

const errors: Errors = {
  damaged: (cause) => new StoreError({ reason: "damaged", cause }),
  unreadable: (cause) => new StoreError({ reason: "unavailable", cause })
}

const isCoded = ({ coded }: Home): boolean => coded !== undefined
const isLeased = ({ space }: Step): boolean => space.lease !== undefined

export const make = (redis: Service, { clock, fork, kernels: more, prefix, sharded }: Settings): RedisStore => {
  const kernels = new Kernels(more)
  const homes = new WeakMap<AnySpace, Home>()
  const homeOf = (space: AnySpace): Home => {
    let home = homes.get(space)
    if (home === undefined) homes.set(space, (home = new Home(space, prefix, kernels.find(space.kernel.id))))
    return home
  }
  const homesOf = (steps: ReadonlyArray<Step>) => steps.map(({ space }) => homeOf(space))
  const leasing = new WeakMap<AnySpace, Home>()
  /** Where the bucket is, for the kernel that takes its tokens ahead. */
  const leasingIn = (space: AnySpace): Home => {
    let home = leasing.get(space)
    if (home === undefined)
      leasing.set(space, (home = new Home(space, prefix, kernels.find(leaseKernel.id), leaseKernel)))
    return home
  }

  const ask: Exchange["ask"] = (effect) => asked(effect)
  const machines = new Machines(sharded)
  const batches = new Batches({ redis, ask, errors, kernels, machines, fork })

  const inTwo = exchange({ redis, ask, errors })
  const nothing = Effect.map(asked(redis.send<readonly [string, string]>("TIME")), ([seconds, micros]) => ({
    now: Number(seconds) * 1000 + Math.floor(Number(micros) / 1000),
    allowed: true,
    answers: []
  }))

  const commit = (steps: ReadonlyArray<Step>) => {
    const homes = homesOf(steps)
    return homes.every(isCoded) ? batches.commit(steps, homes) : inTwo(steps, homes)
  }
  const leases = new Leases({
    lease: (step) => batches.commit([step], [leasingIn(step.space)]),
    commit,
    clock,
    now: elapsed(clock),
    fork
  })

  const any = (steps: ReadonlyArray<Step>): Effect.Effect<Committed<ReadonlyArray<Step>>, StoreError> => {
    if (steps.length === 0) return nothing
    return steps.some(isLeased) ? leases.commit(steps) : commit(steps)
  }

  /** Keys of several machines go one by one, and one server hears of many in a trip. */
  const clearing = (heads: ReadonlyArray<Head>, size: number): Effect.Effect<void, StoreError> => {
    const trips = Array.from({ length: Math.ceil(heads.length / size) }, (_, i) =>
      heads.slice(i * size, (i + 1) * size)
    )
    const trip = (heads: ReadonlyArray<Head>): Effect.Effect<void, StoreError> =>
      Effect.catch(known(redis.eval(clear)(heads)), (error) => {
        if (heads.length === 1 || !liesApart(error)) return failed(error)
        machines.found()
        return clearing(heads, 1)
      })
    return Effect.forEach(trips, trip, { concurrency: 128, discard: true })
  }

  const store = RemoteStore.make({
    commit: <const Steps extends ReadonlyArray<Step>>(steps: Steps) =>
      Effect.suspend(() => any(steps)) as Effect.Effect<Committed<Steps>, StoreError>, // the answers are those of the steps, in their order
    begin: (steps, fiber, tell) => {
      const homes = homesOf(steps)
      if (steps.length > 0 && homes.every(isCoded) && !steps.some(isLeased))
        return batches.begin(steps, homes, fiber, tell)
      const asked = Effect.runForkWith(fiber.context)(any(steps))
      asked.addObserver(tell)
      return () => asked.interruptUnsafe()
    },
    read: (space, key) =>
      Effect.suspend(() => {
        const home = homeOf(space)
        const { cleared, space: length, state } = home.places.of(key)
        return Effect.flatMap(asked(redis.eval(look)([state, cleared])), ([now, held, clearedHolds]) => {
          const epoch = epochIn(clearedHolds ?? null, state.slice(0, length))
          const cell = new Cell(home, held ?? null, epoch, Number(now))
          if (cell.damage !== undefined) return Effect.fail(errors.damaged(cell.damage))
          return Effect.succeed({ now: Number(now), state: cell.known as never }) // of this space's kernel
        })
      }),
    clear: (space) =>
      Effect.suspend(() => {
        leases.clear(space)
        const heads = homeOf(space).places.all()
        return clearing(heads, machines.areSeveral ? 1 : MOST_CLEARED)
      })
  })
  return { store, close: leases.close }
}
