/**
 * What a store that may fail looks like to a pipeline: bounded in time, and with an answer for an outage.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { StoreError } from "../Rejection.ts"
import {
  type AnySpace,
  type Committed,
  copyStep,
  type Guarded,
  type Shared,
  type Step,
  type Store,
  type StorePolicy
} from "../StoreModel.ts"
import { takes, undoing } from "./abandoned.ts"
import { builtSink, emit, sinkOf } from "../internal/events.ts"
import { isolated } from "../internal/isolated.ts"
import * as memoryStore from "../internal/memoryStore.ts"
import { transactions } from "../internal/memoryTransactions.ts"
import type { Reply } from "../Policy.ts"
import { startTimer } from "../internal/timers.ts"
import { admit } from "./admit.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** How many questions of calls that have left may be on their way. */
const MOST_ABANDONED = 1_000

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

const copiesFor = (asked: Asked, steps: ReadonlyArray<Step>): ReadonlyArray<Step> =>
  steps.map((step) => {
    const { input, place, space } = step
    const copy = copyStep(step, asked.spaceOf(space), input)
    copy.place = place instanceof Note ? place.place : undefined
    return copy
  })

const note = (asked: Asked, steps: ReadonlyArray<Step>, copies: ReadonlyArray<Step>, allowed: boolean): void => {
  if (!allowed) return
  let note: Note | undefined // most stores elsewhere note nothing themselves: then one is enough
  for (let i = 0; i < steps.length; i++) {
    const { place } = copies[i]!
    if (note?.place !== place || note === undefined) note = new Note(asked, place)
    steps[i]!.place = note
  }
}

/** In a fiber of its own, which can be left behind. */
const forked =
  <A>(effect: Effect.Effect<A, StoreError>): Ask<A> =>
  (fiber, tell) => {
    const asked = Effect.runForkWith(fiber.context)(effect)
    asked.addObserver(tell)
    return () => asked.interruptUnsafe()
  }

const committing = (store: Store["Service"], steps: ReadonlyArray<Step>): Ask<Reply> =>
  store.begin === undefined ? forked(store.commit(steps)) : (fiber, tell) => store.begin!(steps, fiber, tell)

const commitIn = (asked: Asked, steps: ReadonlyArray<Step>): Effect.Effect<Reply, StoreError> => {
  const copies = copiesFor(asked, steps)
  return Effect.map(asked.store.commit(copies), (committed) => {
    note(asked, steps, copies, committed.allowed)
    return committed
  })
}

/** Begins in this very step. `tell` hears the answer, unless it is taken back first: what that takes is returned. */
type Ask<A> = (fiber: AnyFiber, tell: (exit: Exit.Exit<A, StoreError>) => void) => () => void

/** What is asked of the store elsewhere, and what becomes of the answer beside being told to whoever asked. */
interface Question<A> {
  /** The keys that it is about. */
  readonly keyed: ReadonlyArray<{ readonly key: string }>
  readonly remote: Ask<A>
  /** It came in time. */
  readonly heard?: (answer: A) => void
  /** It came, and nobody waits for it. Absent where it leaves nothing behind: then the question is interrupted. */
  readonly late?: ((answer: A) => Effect.Effect<void>) | undefined
  /** Who answers while the store is away. */
  readonly local: (other: Asked, error: StoreError) => Effect.Effect<A, StoreError>
}

/** What must not be said to be done: a report to the store that admitted the call, and an operator's step. */
const notDone = (_: Asked, error: StoreError): Effect.Effect<never, StoreError> => Effect.fail(error)

/** The one key of all that have one: what a whole service shares has an empty key. */
const keyIn = (keyed: Question<unknown>["keyed"]): string | undefined => {
  const keys = new Set(keyed.map(({ key }) => key).filter((key) => key !== ""))
  const [key] = keys
  return keys.size === 1 ? key : undefined
}

const isCommand = (steps: ReadonlyArray<Step>): boolean => steps[0]?.isCommand === true // all of them are, or none

/** One store elsewhere, and what decides in this process while it is away. */
class Guard implements Shared {
  private readonly remote: Asked
  private readonly policy: StorePolicy
  private readonly fallback: Asked
  private available = true
  private abandoned = 0
  /** How many resets this process sent: what was taken before one is not given back after it. */
  private resets = 0
  private readonly sink = builtSink()

  constructor(store: Store["Service"], policy: StorePolicy) {
    this.remote = { store, spaceOf: whole }
    this.policy = policy
    this.fallback = { store: memoryStore.make(transactions), spaceOf: shares(policy.localShare) }
  }

  /** The store as a service sees it. Several may share one guard: then they are in one outage, with one memory. */
  for(service: string): Guarded {
    const { store } = this.remote
    return {
      sync: undefined,
      guard: this,
      admit,
      commit: <const Steps extends ReadonlyArray<Step>>(steps: Steps) =>
        this.commit(service, steps) as Effect.Effect<Committed<Steps>, StoreError>, // the answers are those of the steps
      begin: (steps, fiber, resume) => {
        // a store answers several calls in a row
        const tell = (exit: Exit.Exit<Reply, StoreError>) => isolated(() => resume(exit))
        const other = this.otherOf(steps)
        if (other !== undefined) return forked(commitIn(other, steps))(fiber, tell)
        const { context } = fiber // which may have ended when the answer comes
        const question = this.question(steps)
        return this.begin(question, fiber, (exit) => {
          if (exit._tag === "Success" && this.available) tell(exit)
          else Effect.runForkWith(context)(this.answer(service, exit, question)).addObserver(tell)
        })
      },
      read: (space, key) =>
        this.ask(service, () => ({
          keyed: [{ key }],
          remote: forked(store.read(space, key)),
          local: (other) => {
            const { policy } = other.spaceOf(space)
            return Effect.map(other.store.read(other.spaceOf(space), key), (read) => ({ ...read, policy }))
          }
        })),
      clear: (space) =>
        this.ask(service, () => {
          this.resets++
          return { keyed: [], remote: forked(store.clear(space)), local: notDone }
        })
    }
  }

  private commit(service: string, steps: ReadonlyArray<Step>): Effect.Effect<Reply, StoreError> {
    const other = this.otherOf(steps)
    return other === undefined ? this.ask(service, () => this.question(steps)) : commitIn(other, steps)
  }

  /** Who let the call through, where it was not the store elsewhere. */
  private otherOf(steps: ReadonlyArray<Step>): Asked | undefined {
    const before = steps[0]?.place
    return before instanceof Note && before.asked !== this.remote ? before.asked : undefined
  }

  private question(steps: ReadonlyArray<Step>): Question<Reply> {
    const { remote } = this
    if (steps.some(({ isReset }) => isReset)) this.resets++
    const copies = copiesFor(remote, steps)
    const asked = this.resets
    // an effect from the first: what a kernel throws is nothing to the store that answers
    const giveBack = (reply: Reply) =>
      Effect.suspend(() => {
        const back = this.resets === asked ? undoing(copies, reply) : []
        return back.length === 0 ? Effect.void : Effect.ignore(remote.store.commit(back))
      })
    return {
      keyed: steps,
      remote: committing(remote.store, copies),
      heard: ({ allowed }) => note(remote, steps, copies, allowed),
      late: takes(steps) ? giveBack : undefined,
      local: steps[0]?.place instanceof Note || isCommand(steps) ? notDone : (other) => commitIn(other, steps)
    }
  }

  private ask<A>(service: string, ask: () => Question<A>): Effect.Effect<A, StoreError> {
    return Effect.withFiber((fiber) =>
      Effect.callback<A, StoreError>((resume) => {
        const question = ask()
        return Effect.sync(
          this.begin(question, fiber, (exit) => isolated(() => resume(this.answer(service, exit, question))))
        )
      })
    )
  }

  /**
   * A question is left behind when its time is over, or whoever asked it leaves. One that may take something goes on, for
   * its answer says what is to be given back.
   */
  private begin<A>(
    { heard, late, remote }: Question<A>,
    fiber: AnyFiber,
    tell: (exit: Exit.Exit<A, StoreError>) => void
  ): () => void {
    const { context } = fiber
    let fate: "awaited" | "abandoned" | undefined = "awaited"
    let cancel = () => {}
    const end = (exit: Exit.Exit<A, StoreError>) => {
      if (exit._tag === "Success") heard?.(exit.value)
      tell(exit)
    }
    const leave = () => {
      cancel()
      if (late !== undefined && this.abandoned < MOST_ABANDONED) {
        fate = "abandoned"
        this.abandoned++
      } else {
        fate = undefined
        takeBack()
      }
    }
    const takeBack = remote(fiber, (exit) => {
      if (fate === "awaited") {
        fate = undefined
        cancel()
        end(exit)
      } else if (fate === "abandoned") {
        this.abandoned--
        if (exit._tag === "Success") Effect.runForkWith(context)(late!(exit.value)) // nothing else is abandoned
      }
    })
    if (fate === "awaited") {
      cancel = startTimer(fiber, this.policy.deadline, () => {
        leave()
        end(Exit.fail(new StoreError({ reason: "deadline" })))
      })
    }
    return leave
  }

  private answer<A>(
    service: string,
    exit: Exit.Exit<A, StoreError>,
    { keyed, local }: Question<A>
  ): Effect.Effect<A, StoreError> {
    if (exit._tag === "Success") return this.available ? exit : Effect.andThen(this.flip(service, true), exit)
    const { onError } = this.policy
    return Effect.catch(exit, ({ cause, reason }: StoreError) => {
      // the store knows no service
      const error = new StoreError({ service, key: keyIn(keyed) ?? service, reason, cause })
      const instead =
        onError === "fail"
          ? Effect.fail(error)
          : local(
              onError === "local" ? this.fallback : { store: memoryStore.make(transactions), spaceOf: whole },
              error
            )
      // the store is there; what it holds of this one key cannot be read
      return error.reason === "damaged" ? instead : Effect.andThen(this.flip(service, false), instead)
    })
  }

  /** Told once, by whoever notices. */
  private flip(service: string, available: boolean): Effect.Effect<void> {
    return Effect.withFiber((fiber) => {
      if (this.available !== available) {
        this.available = available
        const sink = sinkOf(fiber) ?? this.sink
        if (sink !== undefined) emit(sink, { _tag: "StoreFlipped", service, key: service, available }, fiber)
      }
      return Effect.void
    })
  }
}

const usual = new WeakMap<Asked["store"], Guard>()
const defaults: StorePolicy = { onError: "local", deadline: 1_000, localShare: 1 }

/**
 * A remote store gets a deadline, and while it fails: the same kernels in this process, at a share of the limits (`local`),
 * kernels that remember nothing (`allow`), or a typed error (`fail`). Services without a policy of their own share one guard
 * for each store, so that they can be composed.
 */
export const guarded = (store: Asked["store"], service: string, policy?: StorePolicy): Guarded => {
  if (policy !== undefined) return new Guard(store, policy).for(service)
  let guard = usual.get(store)
  if (guard === undefined) usual.set(store, (guard = new Guard(store, defaults)))
  return guard.for(service)
}
