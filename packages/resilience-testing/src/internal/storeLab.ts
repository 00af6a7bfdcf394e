/**
 * Where the laws of stores look at one: spaces that nobody else has, questions whose failures are told, time.
 */
import type * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { Decision, Kernel } from "effect-resilience/kernel/Kernel"
import type { StoreError } from "effect-resilience/Rejection"
import {
  type AnySpace,
  type Committed,
  type KeyBounds,
  type Space,
  type StateOf,
  Step,
  Store
} from "effect-resilience/Store"
import * as Law from "../Law.ts"

/** What the options of `StoreLaws.laws` come to. */
export interface Settings<R> {
  readonly layer: Layer.Layer<Store, never, R>
  readonly prefix: string
  readonly advance: (millis: number) => Effect.Effect<void>
  /** Milliseconds of the real clock. */
  readonly patience: number
  readonly search: Law.SearchOptions
}

/** A law that waits for a store. */
export type Draft = <R>(settings: Settings<R>) => Law.Law<R>

const endless: KeyBounds = { maxKeys: undefined, overflow: "evict", idleTimeToLive: Infinity }

/** Whatever the store does but answer is told as a violation: it fails, dies, or interrupts who asks. */
const asked = <A>(question: string, answer: Effect.Effect<A, StoreError>): Effect.Effect<A> =>
  Effect.catchCause(answer, (cause) =>
    Effect.die(new Error(`${question}: the store failed with ${Cause.pretty(cause)}`))
  )

export class Lab {
  readonly store: Store["Service"]
  readonly advance: (millis: number) => Effect.Effect<void>
  private readonly id: string
  private readonly spaces = new Set<AnySpace>()

  constructor(store: Store["Service"], id: string, advance: (millis: number) => Effect.Effect<void>) {
    this.store = store
    this.id = id
    this.advance = advance
  }

  /** Spaces of one lab are like the limits of one service: told apart by what follows the last slash. */
  space<P, S, I, A extends Decision>(
    kernel: Kernel<P, S, I, A>,
    policy: P,
    name: string,
    keys: KeyBounds = endless
  ): Space<P, S, I, A> {
    const space = { name: `${this.id}/${name}`, kernel, policy, keys }
    this.spaces.add(space)
    return space
  }

  /** The space of a limit: a store may hand over what a policy of it owes. */
  limit<P, S, I, A extends Decision>(kernel: Kernel<P, S, I, A>, policy: P, name: string): Space<P, S, I, A> {
    const space = { ...this.space(kernel, policy, name), isLimit: true }
    this.spaces.add(space)
    return space
  }

  asked(question: string): <A>(answer: Effect.Effect<A, StoreError>) => Effect.Effect<A> {
    return (answer) => asked(question, answer)
  }

  commit<const Steps extends ReadonlyArray<Step>>(steps: Steps): Effect.Effect<Committed<Steps>> {
    return asked("commit", this.store.commit(steps))
  }

  /** The answer to one step. */
  ask<P, S, I, A extends Decision>(space: Space<P, S, I, A>, key: string, input: I): Effect.Effect<A> {
    // the step's own types are lost on a generic space
    const step = new Step(space as AnySpace, key, input as never)
    return Effect.map(this.commit([step]), ({ answers: [answer] }) => answer as A)
  }

  read<S extends AnySpace>(
    space: S,
    key: string
  ): Effect.Effect<{ readonly now: number; readonly state: StateOf<S> | undefined }> {
    return asked("read", this.store.read(space, key))
  }

  clear(space: AnySpace): Effect.Effect<void> {
    return asked("clear", this.store.clear(space))
  }

  /** Leaves nothing behind on a server that others use. How `clear` ends is for its own law to say. */
  get leave(): Effect.Effect<void> {
    return Effect.forEach(this.spaces, (space) => Effect.exit(this.store.clear(space)), { discard: true })
  }
}

/** The clock of this machine, also where a test clock stands in for it: only to notice that nothing happens. */
const machineClock = Clock.Clock.defaultValue()

/** In a fiber of its own, which is left behind when it hangs, be it uninterruptible. */
const within = (millis: number, effect: Effect.Effect<void>, onHang: () => void): Effect.Effect<void> =>
  Effect.withFiber((fiber) =>
    Effect.callback<void>((resume) => {
      const fork = Effect.runForkWith(fiber.context)
      const running = fork(effect)
      const timer = fork(
        Effect.map(machineClock.sleep(Duration.millis(millis)), () => {
          onHang()
          resume(Effect.die(new Error(`nothing happened for ${millis} ms: the store does not answer`)))
          running.interruptUnsafe()
        })
      )
      running.addObserver((exit) => {
        timer.interruptUnsafe()
        resume(exit)
      })
      return Effect.sync(() => {
        timer.interruptUnsafe()
        running.interruptUnsafe()
      })
    })
  )

export const draft =
  <A>(
    name: string,
    cases: Arbitrary.Arbitrary<A>,
    runs: number,
    property: (lab: Lab, value: A) => Effect.Effect<void>
  ): Draft =>
  (settings) => {
    const check = Effect.gen(function* () {
      const store = yield* Store
      const id = `${settings.prefix}${(yield* Random.nextIntBetween(0, 2 ** 50)).toString(36)}`
      let labs = 0
      let hung = false
      const law = Law.make(
        name,
        cases,
        (value) => {
          if (hung) return // a store that hangs is not asked for a smaller counter-example
          const lab = new Lab(store, `${id}.${labs++}`, settings.advance)
          return within(settings.patience, Effect.ensuring(property(lab, value), lab.leave), () => {
            hung = true
          })
        },
        { ...settings.search, runs }
      )
      return yield* law.check
    })
    return { name, check: Effect.provide(check, settings.layer) }
  }
