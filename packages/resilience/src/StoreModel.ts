/**
 * A store and what it is asked, without any store. `Store` exports it, but for the last part: what a service makes of a store
 * when it opens one.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Decision, Kernel } from "./kernel/Kernel.ts"
import type { StoreError } from "./Rejection.ts"

/**
 * The keys of one policy: which algorithm decides for them, with which numbers, and how many may be remembered.
 *
 * Two spaces never share a key, also where their names are equal: in the memory store the space itself is the identity;
 * a store on another machine keeps them apart by `name` and `kernel.id`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Space<in out Policy, in out State, in out Input, out Answer extends Decision> {
  readonly name: string
  readonly kernel: Kernel<Policy, State, Input, Answer>
  readonly policy: Policy
  readonly keys: KeyBounds
  /** The note of a store in this process, of where it keeps the space; nobody else reads it. */
  home?: unknown
  /**
   * Whether all that is ever committed together with a key of this space has the same key. Then a store of several
   * machines may choose the machine by the key; else what a name has before its last slash, the service, is on one.
   * What has a `lease` does not count: it is taken by itself.
   */
  readonly spread?: boolean | undefined
  /** Absent where every unit is asked for. A store in this process has no use for it. */
  readonly lease?: Lease | undefined
  /**
   * Whether the kernel is a limit's: it takes `{ op: "take", cost }`, and its answers say what is `remaining`. Then a shared
   * store can tell what a policy owes, and hand it over to the next one (`kernel/Adoption`). What a late answer took goes
   * back as `{ op: "refund", receipt }`, where the kernel has no `undo`.
   */
  readonly isLimit?: boolean | undefined
  /** Hears of a key that a store in this process forgets, and of the state that it had. It must not ask the store. */
  readonly forgotten?: ((key: string, state: State) => void) | undefined
  /** The policy for a share of what this one lets through. Absent where there is no such thing, as for a circuit. */
  readonly scale?: ((policy: Policy, share: number) => Policy) | undefined
}

/**
 * That a process may take tokens of a bucket ahead, and spend them late by less than `duration`. The space's policy allows
 * for it already: its burst is lowered by what can be late.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lease {
  /** Milliseconds. */
  readonly duration: number
  /** So many tokens at most may be taken ahead. */
  readonly share: number
}

/**
 * How many keys a space may remember. A key whose state equals a fresh one is forgotten anyway.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeyBounds {
  /** `undefined`: as many as are not yet lawful to forget. */
  readonly maxKeys: number | undefined
  /**
   * What a new key above `maxKeys` meets. A key that is fresh goes for it in any case. Else `evict` forgets the key of the
   * lowest rank (see `rank` of a kernel), which forgives least, and `reject` refuses the new one. A key in use never goes.
   */
  readonly overflow: "evict" | "reject"
  /**
   * Milliseconds after its last use when a key may be forgotten whose state has no end of its own (an open circuit
   * that nobody asks any more). States that end are forgotten then, and never before. `Infinity`: never.
   */
  readonly idleTimeToLive: number
}

/**
 * A space of whatever kernel: a store holds all kinds. `AnswerOf` tells the type again.
 *
 * @category models
 * @since 0.1.0
 */
// oxlint-disable-next-line typescript/no-explicit-any -- Space is invariant, so nothing narrower takes every space
export type AnySpace = Space<any, any, any, Decision>

/**
 * One question to one key.
 *
 * A step may be committed again with another input: `place` is for the store, to remember where the key lives.
 *
 * @category models
 * @since 0.1.0
 */
export class Step<S extends AnySpace = AnySpace> {
  declare readonly space: S
  declare readonly key: string
  declare input: InputOf<S>
  /** The store's own note; nobody else reads it. */
  declare place: unknown
  /** What was answered last; `undefined` where there was no room for the key. A store in this process leaves it here. */
  declare result: readonly [answer: AnswerOf<S>, state: unknown] | undefined
  constructor(space: S, key: string, input: InputOf<S>) {
    this.space = space
    this.key = key
    this.input = input
    this.place = undefined
    this.result = undefined
  }
  /** Whether this is a `Command`. */
  get isCommand(): boolean {
    return false
  }
  /** Whether this is a `Command` that resets its key. */
  get isReset(): boolean {
    return false
  }
}

/**
 * An operator's step: a limit's `reset`, a circuit's `isolate`, `close` and `reset`.
 *
 * It is the only step that a store runs on a value that it cannot read (which it replaces), and where several policies
 * share a key, it drops the states of the others.
 *
 * It is a reset unless `resets` is false: what calls took before a reset is forgotten, so what an answer took that comes
 * after it, and is not waited for any more, is not given back.
 *
 * @category models
 * @since 0.1.0
 */
export class Command<S extends AnySpace = AnySpace> extends Step<S> {
  declare private readonly resets: boolean
  constructor(space: S, key: string, input: InputOf<S>, resets = true) {
    super(space, key, input)
    this.resets = resets
  }
  override get isCommand(): boolean {
    return true
  }
  override get isReset(): boolean {
    return this.resets
  }
}

/**
 * The same question to the same key, in another space. What a store noted of the step is not copied.
 *
 * @category combinators
 * @since 0.1.0
 */
export const copyStep = <S extends AnySpace>(step: Step, space: S, input: InputOf<S>): Step<S> =>
  step.isCommand ? new Command(space, step.key, input, step.isReset) : new Step(space, step.key, input)

/** @since 0.1.0 */
export type InputOf<S> = S extends Space<infer _P, infer _S, infer Input, infer _A> ? Input : never
/** @since 0.1.0 */
export type AnswerOf<S> = S extends Space<infer _P, infer _S, infer _I, infer Answer> ? Answer : never
/** @since 0.1.0 */
export type StateOf<S> = S extends Space<infer _P, infer State, infer _I, infer _A> ? State : never

/**
 * The answers to a commit, in the order of its steps. An answer is `undefined` where the store has no room for a new key
 * (`overflow: "reject"`); such a commit is not `allowed`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Committed<Steps extends ReadonlyArray<Step>> {
  readonly now: number
  readonly allowed: boolean
  readonly answers: { readonly [I in keyof Steps]: Steps[I] extends Step<infer S> ? AnswerOf<S> | undefined : never }
}

/** @category models @since 0.1.0 */
export type Commit = <const Steps extends ReadonlyArray<Step>>(
  steps: Steps
) => Effect.Effect<Committed<Steps>, StoreError>

/** @category models @since 0.1.0 */
export type Begin = (
  steps: ReadonlyArray<Step>,
  fiber: Fiber.Fiber<unknown, unknown>,
  tell: (exit: Exit.Exit<Committed<ReadonlyArray<Step>>, StoreError>) => void
) => () => void

/** The key of a store's `[opening]`. Not exported from `Store`. */
export const opening = "~effect-resilience/Store/opening" as const

/**
 * What a store does. Not to be implemented by hand: `RemoteStore.make` makes one of its first functions.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoreService {
  /**
   * Ask all steps at one `now`. Inside `Effect.tx`, a store that can joins the transaction.
   *
   * `now` is whole milliseconds. It may not go back for a key; where a clock is set back all the same, no kernel grants
   * more than before. No two steps ask the same key of the same space: what a store
   * makes of that is not defined. A commit without steps is allowed.
   */
  readonly commit: Commit
  /** The state of a key, `undefined` when absent, and the store's time. */
  readonly read: <S extends AnySpace>(
    space: S,
    key: string
  ) => Effect.Effect<{ readonly now: number; readonly state: StateOf<S> | undefined }, StoreError>
  /** Forget every key of a space. */
  readonly clear: (space: AnySpace) => Effect.Effect<void, StoreError>
  /**
   * For a remote store that can ask without a fiber: a `commit` that begins in this very step, for `fiber`, and lets
   * `tell` hear what comes of it, once. What it returns cancels the question: steps that are not yet sent are not sent,
   * and `tell` is not called. Where `begin` is absent, each `commit` runs in a fiber of its own, which costs more.
   */
  readonly begin?: Begin | undefined
  /** How a service opens it: written by `MemoryStore` and `RemoteStore.make`. A copy of a store opens as the copy. */
  [opening](service: string, policy: StorePolicy | undefined): StoreView
}

/**
 * A store of keyed state: `MemoryStore`, or a remote one, which `RemoteStore.make` makes.
 *
 * A key is any string, and a state any plain data that survives JSON. What else a store has to keep is in the laws of
 * effect-resilience-testing (`StoreLaws`), to run on one of your own.
 *
 * @category services
 * @since 0.1.0
 */
export class Store extends Context.Service<Store, StoreService>()("effect-resilience/Store") {}

/** What a service does while its store cannot be reached: `policies.store`, read. */
export interface StorePolicy {
  readonly onError: "local" | "allow" | "fail"
  /** Milliseconds. */
  readonly deadline: number
  /** Of each limit, what this process lets through by itself: above 0, at most 1. */
  readonly localShare: number
}

/** A store as the services that have opened it, and their calls, see it. */
interface View {
  readonly commit: Commit
  readonly read: <S extends AnySpace>(
    space: S,
    key: string
  ) => Effect.Effect<
    {
      readonly now: number
      readonly state: StateOf<S> | undefined
      /** Under which the state is to be seen, where it is not the space's: of its share, read in this process. */
      readonly policy?: unknown
    },
    StoreError
  >
  readonly clear: (space: AnySpace) => Effect.Effect<void, StoreError>
}

/** A store in this process: it cannot fail. */
export interface Local extends View {
  readonly sync: SyncStore
}

/** A remote store behind its guard, which brings what an admission on it needs. */
export interface Guarded extends View {
  readonly sync: undefined
  readonly begin: Begin
  /** Asks for an attempt of the engine. `free`: nothing in this process stands against it. */
  // oxlint-disable-next-line typescript/no-explicit-any -- as the engine's `Run`, which is declared further up
  readonly admit: (attempt: object, free: boolean, now: number) => Effect.Effect<any, any, any>
  readonly guard: Shared
}

/** What the views of several services have in common: one outage, one memory. */
export interface Shared {
  /** The store as another service sees it. */
  readonly for: (service: string) => Guarded
}

export type StoreView = Local | Guarded

/** The one store behind those of some services, as another one sees it; `undefined` if there is more than one. */
export const common = (views: ReadonlyArray<StoreView>, service: string): StoreView | undefined => {
  const behind = new Set(views.map((view) => (view.sync === undefined ? view.guard : view)))
  const [one] = behind
  if (one === undefined || behind.size > 1) return undefined
  return "for" in one ? one.for(service) : one
}

/**
 * The synchronous half of the store in this process: the hot path.
 *
 * JavaScript runs one fiber at a time, so a synchronous step over several keys is atomic without a transaction.
 */
export interface SyncStore {
  /**
   * Whether all steps are allowed. The answers are left on the steps, in `result`: a commit of the hot path builds
   * nothing else. With `write` false the kernels are asked, and nothing is kept.
   */
  readonly commit: (steps: ReadonlyArray<Step>, now: number, write?: boolean) => boolean
  readonly read: <S extends AnySpace>(space: S, key: string) => StateOf<S> | undefined
  /**
   * The state of a step's key, `undefined` when absent. It counts as a use of the key: what is left of a commit where
   * the answer is known and leaves the state as it is.
   */
  readonly look: <S extends AnySpace>(step: Step<S>, now: number) => StateOf<S> | undefined
  /** While a step is held, its key is not dropped. Every hold is released once. */
  readonly hold: (step: Step, now: number) => void
  readonly release: (step: Step) => void
  /** The state of a key, by a step that is held. */
  readonly held: <S extends AnySpace>(step: Step<S>) => StateOf<S>
  /** Whether the key is still the one that the step was last committed on: `false` if it was forgotten meanwhile. */
  readonly isKept: (step: Step) => boolean
  /** Calls back when a transaction changed the key. The step is held. Returns the unsubscription. */
  readonly watch: (step: Step, onChange: () => void) => () => void
  /** Runs when the transaction around it has committed; at once where there is none. It must not fail. */
  readonly afterCommit: (effect: Effect.Effect<void>) => Effect.Effect<void>
  /** How many keys of the space are remembered. */
  readonly size: (space: AnySpace) => number
  /** The keys of the space that are remembered, with their states. */
  readonly entries: <S extends AnySpace>(space: S) => Iterable<readonly [key: string, state: StateOf<S>]>
}
