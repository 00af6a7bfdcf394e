/**
 * What a store that may fail looks like to a pipeline: bounded in time, and with an answer for an outage.
 */
import * as Effect from "effect/Effect"
import { StoreError } from "../Rejection.ts"
import { type AnySpace, type Committed, Step, type Store } from "../Store.ts"
import { emit, sinkOf } from "./events.ts"
import * as memoryStore from "./memoryStore.ts"
import { startTimer } from "./timers.ts"

export interface StorePolicy {
  readonly onError: "local" | "allow" | "fail"
  /** Milliseconds. */
  readonly deadline: number
  /** Of each limit, what this process lets through by itself: above 0, at most 1. */
  readonly localShare: number
}

/** In a fiber of its own: a question that cannot be interrupted is left behind when its time is over. */
const within = <A>(deadline: number, remote: Effect.Effect<A, StoreError>): Effect.Effect<A, StoreError> =>
  Effect.withFiber((fiber) =>
    Effect.callback<A, StoreError>((resume) => {
      const asked = Effect.runForkWith(fiber.context)(remote)
      const done = asked.pollUnsafe()
      if (done !== undefined) return resume(done)
      const cancel = startTimer(fiber, deadline, () => {
        resume(Effect.fail(new StoreError({ reason: "deadline" })))
        asked.interruptUnsafe()
      })
      asked.addObserver((exit) => {
        cancel()
        resume(exit)
      })
      return Effect.sync(() => {
        cancel()
        asked.interruptUnsafe()
      })
    })
  )

/** On a step that was allowed: who answered. What is told of it later is told there, and to nobody else. */
class Note {
  readonly asked: Asked
  /** What that store noted itself. */
  readonly place: unknown
  constructor(asked: Asked, place: unknown) {
    this.asked = asked
    this.place = place
  }
}

/** A store, and what it is asked about: the spaces of the services, or their shares. */
interface Asked {
  readonly store: Store["Service"]
  readonly spaceOf: <S extends AnySpace>(space: S) => S
}

const whole = <S extends AnySpace>(space: S): S => space

/** For as long as somebody holds the space: in the memory store, a space is known by itself. */
const shares = (share: number): Asked["spaceOf"] => {
  const known = new WeakMap<AnySpace, AnySpace>()
  return <S extends AnySpace>(space: S): S => {
    const { scale } = space
    if (share === 1 || scale === undefined) return space
    let part = known.get(space)
    if (part === undefined) known.set(space, (part = { ...space, home: undefined, policy: scale(space.policy, share) }))
    return part as S // but for the numbers it is the same
  }
}

/** The policy that a state is to be seen under: of its share, where it was read in this process. */
export const policyIn = (read: object, space: AnySpace): unknown => ("policy" in read ? read.policy : space.policy)

const commitIn = <const Steps extends ReadonlyArray<Step>>(asked: Asked, steps: Steps) => {
  const copies = steps.map(({ input, key, place, space }) => {
    const copy = new Step(asked.spaceOf(space), key, input)
    copy.place = place instanceof Note ? place.place : undefined
    return copy
  })
  return Effect.map(asked.store.commit(copies), (committed) => {
    if (committed.allowed) steps.forEach((step, i) => (step.place = new Note(asked, copies[i]!.place)))
    return committed as Committed<Steps> // the same steps, the same answers
  })
}

/** One store elsewhere, and what decides in this process while it is away. */
class Guard {
  private readonly remote: Asked
  private readonly policy: StorePolicy
  private readonly fallback: Asked
  private available = true

  constructor(store: Store["Service"], policy: StorePolicy) {
    this.remote = { store, spaceOf: whole }
    this.policy = policy
    this.fallback = { store: memoryStore.make(), spaceOf: shares(policy.localShare) }
  }

  /** The store as a service sees it. Several may share one guard: then they are in one outage, with one memory. */
  for(service: string): Store["Service"] {
    const { remote } = this
    const { store } = remote
    const guarded: Store["Service"] = {
      sync: undefined,
      commit: (steps) => {
        const note = steps[0]?.place
        if (!(note instanceof Note)) {
          return this.ask(service, commitIn(remote, steps), (other) => commitIn(other, steps))
        }
        return note.asked === remote
          ? this.ask(service, commitIn(remote, steps), (_, error) => Effect.fail(error))
          : commitIn(note.asked, steps)
      },
      read: (space, key) =>
        this.ask(service, store.read(space, key), (other) => {
          const { policy } = other.spaceOf(space)
          return Effect.map(other.store.read(other.spaceOf(space), key), (read) => ({ ...read, policy }))
        }),
      clear: (space) => this.ask(service, store.clear(space), (other) => other.store.clear(other.spaceOf(space)))
    }
    guards.set(guarded, this)
    return guarded
  }

  private ask<A>(
    service: string,
    remote: Effect.Effect<A, StoreError>,
    local: (other: Asked, error: StoreError) => Effect.Effect<A, StoreError>
  ): Effect.Effect<A, StoreError> {
    const { deadline, onError } = this.policy
    return within(deadline, remote).pipe(
      Effect.tap(() => this.flip(service, true)),
      Effect.catch((error: StoreError) => {
        const instead =
          onError === "fail"
            ? Effect.fail(error)
            : local(onError === "local" ? this.fallback : { store: memoryStore.make(), spaceOf: whole }, error)
        return Effect.andThen(this.flip(service, false), instead)
      })
    )
  }

  /** Told once, by whoever notices. */
  private flip(service: string, available: boolean): Effect.Effect<void> {
    return Effect.withFiber((fiber) => {
      if (this.available !== available) {
        this.available = available
        const sink = sinkOf(fiber)
        if (sink !== undefined) emit(sink, { _tag: "StoreFlipped", service, key: service, available }, fiber)
      }
      return Effect.void
    })
  }
}

const guards = new WeakMap<Store["Service"], Guard>()
const usual = new WeakMap<Store["Service"], Guard>()
const defaults: StorePolicy = { onError: "local", deadline: 1_000, localShare: 1 }

/**
 * A store in this process cannot fail and is left alone. Another one gets a deadline, and while it fails: the same
 * kernels in this process, at a share of the limits (`local`), kernels that remember nothing (`allow`), or a typed error (`fail`). Services
 * without a policy of their own share one guard for each store, so that they can be composed.
 */
export const guarded = (store: Store["Service"], service: string, policy?: StorePolicy): Store["Service"] => {
  if (store.sync !== undefined) return store
  if (policy !== undefined) return new Guard(store, policy).for(service)
  let guard = usual.get(store)
  if (guard === undefined) usual.set(store, (guard = new Guard(store, defaults)))
  return guard.for(service)
}

/** The one store behind those of several services; `undefined` if there is more than one. */
export const common = (stores: ReadonlyArray<Store["Service"]>, service: string): Store["Service"] | undefined => {
  const behind = new Set(stores.map((store) => guards.get(store) ?? store))
  if (behind.size > 1) return undefined
  const [one] = behind
  return one instanceof Guard ? one.for(service) : one
}
