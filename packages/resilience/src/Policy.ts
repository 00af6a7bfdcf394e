/**
 * What a policy is to the engine, and all that is needed to write one.
 *
 * A `Policy` is a plain value (`make`). Opened for a service, it becomes a `Member`: something that takes part in the one
 * admission (`enter`), or a layer around the call or around each attempt (`around`). The engine knows members by their
 * stage only:
 *
 *     10 timeout                                          around the call
 *     30 shed   40 circuit   45 throttle   50 limit   60 slots     one admission of all tickets
 *     70 retry                                            the loop, which asks the admission for each attempt what it lacks
 *     80 hedge  90 timer  95 chaos                        around an attempt
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Sink } from "./Event.ts"
import * as keys from "./internal/key.ts"
import type { ReadKey } from "./internal/key.ts"
import { spaceIn } from "./internal/spaces.ts"
import type { Outcome } from "./Outcome.ts"
import type { StoreError } from "./Rejection.ts"
import type { AnySpace, Committed, Guarded, Local, Step } from "./StoreModel.ts"
import { refuse } from "./Validate.ts"
import type { Waiter } from "./waiting/WaitQueue.ts"

/** Marks a policy. @category constants @since 0.1.0 */
export const TypeId = "~effect-resilience/Policy"

/** What a policy does to the types of a service that has it. In the type alone: at run time it is empty. @category models @since 0.1.0 */
export interface Phantom<out Raises, in Handles, out Dimension extends string, out Inspects, out Controls, out Wraps> {
  readonly raises: Raises
  readonly handles: (_: Handles) => void
  readonly dimension: Dimension
  readonly inspects: Inspects
  readonly controls: Controls
  readonly wraps: Wraps
}

/**
 * A policy: a value, which a service opens.
 *
 * - `Raises`: the errors that it adds to those of the effect.
 * - `Handles`: the errors that it can judge; an effect that fails with others does not compile. `unknown`: all.
 * - `Dimension`: the field of the key that it looks at; `never` for none.
 * - `Inspects`, `Controls`: what `inspect` and `control` of the service have under its label.
 * - `Wraps`: `true` where it may put the errors of a call into one `RetryExhausted`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy<
  out Raises = never,
  in Handles = unknown,
  out Dimension extends string = never,
  out Inspects = undefined,
  out Controls = {},
  out Wraps = false
> {
  readonly [TypeId]: Phantom<Raises, Handles, Dimension, Inspects, Controls, Wraps>
  /** What it is: for events, errors and inspection. */
  readonly kind: string
  /** What `open` reads, and nothing else. So a copy with other options does what it says, and a print tells the truth. */
  readonly options: object
  /** Validates the options. A policy may open into several members. */
  readonly open: (env: Env) => Member | ReadonlyArray<Member>
}

/** Any policy. @category models @since 0.1.0 */
export type AnyPolicy = Policy<unknown, never, string, unknown, unknown, unknown>

/** A policy's own fields. @category models @since 0.1.0 */
export const fields: ReadonlyArray<string> = [TypeId, "kind", "options", "open"] satisfies ReadonlyArray<
  keyof AnyPolicy
>

/**
 * Makes a policy. `open` reads its options from `this`, so that a copy of the policy reads its own:
 * `{ ...policy, options: { ...policy.options, limit: 5 } }`. A copy that says something beside its options is refused where it
 * is opened.
 *
 * **Example** (A switch that an operator turns)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Policy, Rejection, Resilience } from "effect-resilience"
 *
 * class SwitchedOff extends Rejection.Rejection {
 *   readonly _tag = "SwitchedOff"
 *   readonly policy = "switch"
 *   readonly reason = "off"
 * }
 *
 * interface Control {
 *   readonly set: (on: boolean) => void
 * }
 *
 * interface Switch extends Policy.Policy<SwitchedOff, unknown, never, undefined, Control> {
 *   readonly options: { readonly on: boolean }
 * }
 *
 * const onOff = Policy.make<Switch>({
 *   kind: "switch",
 *   options: { on: true },
 *   open({ service }) {
 *     let { on } = this.options
 *     const enter = ({ name }: Policy.Call): Policy.Ticket => ({
 *       steps: [],
 *       check: () => on,
 *       refusal: () => (on ? undefined : { error: new SwitchedOff({ service, key: name }) }),
 *       admitted: () => {}
 *     })
 *     return { kind: "switch", stage: Policy.Stage.shed, enter, control: { set: (to: boolean) => void (on = to) } }
 *   }
 * })
 *
 * const program = Effect.gen(function* () {
 *   const mail = yield* Resilience.make("app/Mail", { policies: { mail: onOff } })
 *   mail.control.mail.set(false)
 *   const refused = yield* Effect.flip(mail.resilient(Effect.succeed("sent"), "ada"))
 *   console.log(refused.message) // switch refused ada (off)
 * })
 *
 * Effect.runPromise(program)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <P extends AnyPolicy>(
  policy: { readonly [K in Exclude<keyof P, typeof TypeId>]: P[K] } & ThisType<P>
): P => {
  const { kind, open, options } = policy as unknown as P // the fields of P but the mark
  const made: AnyPolicy = {
    [TypeId]: {} as AnyPolicy[typeof TypeId], // a phantom: its fields are in the type alone
    kind,
    options: Object.freeze({ ...options }),
    open(env) {
      for (const name of Object.keys(this)) {
        if (!fields.includes(name)) {
          const value: unknown = this[name as never] // one of its own names
          refuse("Policy", `${env.label}.${name}`, value, "is not read: write it into options")
        }
      }
      return open.call(this, env)
    }
  }
  return made as P // the phantom is in the type alone
}

/** Whether a value is a policy of this kind; without one, of any. @category guards @since 0.1.0 */
export const isPolicy = (u: unknown, kind?: string): u is AnyPolicy =>
  typeof u === "object" &&
  u !== null &&
  TypeId in u &&
  "kind" in u &&
  typeof u.kind === "string" &&
  (kind === undefined || u.kind === kind) &&
  "options" in u &&
  typeof u.options === "object" &&
  u.options !== null &&
  "open" in u &&
  typeof u.open === "function"

/**
 * The stages of the library's own policies: a member of a lower stage stands further out.
 *
 * @category constants
 * @since 0.1.0
 */
export const Stage = {
  timeout: 10,
  shed: 30,
  circuit: 40,
  throttle: 45,
  limit: 50,
  slots: 60,
  retry: 70,
  hedge: 80,
  attemptTimeout: 89,
  timer: 90,
  chaos: 95
} as const

/** What a store answers to a commit. @category models @since 0.1.0 */
export type Reply = Committed<ReadonlyArray<Step>>

export type { Guarded, Local } from "./StoreModel.ts"

/** Where a policy is opened. @category models @since 0.1.0 */
export interface Env {
  /** The id of the service. */
  readonly service: string
  /** The policy's name in it. */
  readonly label: string
  readonly store: Local | Guarded
  /** Milliseconds that one call, and one attempt, may last by the timeouts of the service; `Infinity` without one. */
  readonly longest: Longest
}

/** @category models @since 0.1.0 */
export interface Longest {
  readonly call: number
  readonly attempt: number
}

/**
 * The name of a space for the state of a policy: no policy of another service, and no other policy of this one, has it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const spaceName = ({ label, service }: Pick<Env, "label" | "service">, kind: string): string =>
  spaceIn(service, label, kind, kind)

/**
 * The part of a call's key that a policy looks at: the value of a dimension, or without one a name for the whole key. A key
 * without that dimension is refused with `InvalidPolicyError`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const partOf = (key: ReadKey, dimension: string | undefined): string => keys.partOf(key, dimension)

/** No timeout. @category constants @since 0.1.0 */
export const unbounded: Longest = { call: Infinity, attempt: Infinity }

/** One run of the wrapped effect, and what was admitted for it. A call is its own first attempt. @category models @since 0.1.0 */
export interface Attempt {
  readonly call: Call
  /** Counts from 1. */
  readonly n: number
  /** Counts the attempts that run beside this number's first one, as hedges do; 0 for the first. */
  readonly beside: number
  /** Whether it was let through. It stays true when the attempt ends. */
  readonly admitted: boolean
  /** Whether the effect began. */
  readonly started: boolean
}

/** A call on its way. @category models @since 0.1.0 */
export interface Call extends Attempt {
  readonly service: string
  readonly key: ReadKey
  /** The key in words, for errors and events. */
  readonly name: string
  readonly cost: number
  /** In place of the `maxWait` of a limit, where the call brings its own. */
  readonly maxWait: number | undefined
  readonly sink: Sink | undefined
  /** The call's fiber. Where the reply of a store comes after the call has left: the fiber that carries it. */
  readonly fiber: Fiber.Fiber<unknown, unknown>
  /** When the admission that is asked for was asked for first. */
  readonly arrivedAt: number
  /** The call in a queue; `undefined` where it has not waited. */
  readonly waiter: Waiter | undefined
  /** When the whole call must have ended. A timeout sets it. */
  deadline: number
  /** The last timeout that the engine raised for this call. */
  readonly timeout: unknown
  /** How many attempts began. */
  readonly attempts: number
  /** Whether the timeout of the whole call has passed. */
  readonly timedOut: boolean
  /** Whether what admitted the call is over: then no further attempt begins. */
  readonly left: (now: number) => boolean
  /** Whether what admitted the call lets it make one attempt only. */
  readonly single: boolean
  /** Calls back when what admitted the call may be over; `undefined` where nothing can end it. */
  readonly watch: ((onMove: () => void) => () => void) | undefined
  /** Milliseconds that an exit asks to be left alone for: the first member that reads one from it answers. */
  readonly hintOf: (exit: Exit.Exit<unknown, unknown>) => number
  /** Runs a function of the user. What it throws ends the call, and is not held against the dependency. */
  readonly ask: <A>(f: () => A) => A
  /** The same for an effect of the user. */
  readonly guard: <A>(self: Effect.Effect<A>) => Effect.Effect<A>
  /** Creates the engine's timeout error, and notes that it is the call's own. */
  readonly timeoutOf: (wholeCall: boolean) => unknown
  /** Whether the tickets of the call were asked for this attempt. */
  readonly isMain: (attempt: Attempt) => boolean
  /** A further attempt, which is not admitted yet. */
  readonly further: (n: number, beside: number) => Attempt
  /** Ends an attempt that failed: what was taken for it alone is released, and where each attempt is admitted, recorded. */
  readonly endAttempt: (attempt: Attempt, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void> | undefined
  /** Notes that `error` is how the call reports `exit`, the exit of an attempt: its outcome is that of the exit. */
  readonly reports: (error: unknown, exit: Exit.Exit<unknown, unknown>) => void
}

/** What runs an attempt. @category models @since 0.1.0 */
// oxlint-disable-next-line typescript/no-explicit-any -- the engine runs every effect; a service's types say which
export type Run = (attempt: Attempt, now: number) => Effect.Effect<any, any, any>

/** A policy in use, in one service. @category models @since 0.1.0 */
export interface Member {
  /** What it is called in events and in an inspection. */
  readonly kind: string
  /** Its place in the one order. */
  readonly stage: number
  /**
   * `"attempt"`: admitted anew for each further attempt and hedge, and ended with it. `"call"` (default): admitted once, and
   * ended with the call.
   */
  readonly scope?: "call" | "attempt" | undefined
  /** Takes part in the admission. */
  readonly enter?: ((call: Call, now: number) => Ticket) | undefined
  /** A layer. Composed once for a service, not for each call. */
  readonly around?: ((next: Run) => Run) | undefined
  /** Milliseconds that an error asks to be left alone for; `undefined` where it does not say. */
  readonly hint?: ((error: unknown) => number | undefined) | undefined
  /** Milliseconds that one call (below stage 70) or one attempt (from there on) lasts at most. */
  readonly longest?: number | undefined
  /** Which part of the key it looks at: `""` for none, `"key"` for all of it, `.name` for a dimension, `undefined` for several. */
  readonly by?: string | undefined
  /** Where its state lives. */
  readonly spaces?: ReadonlyArray<AnySpace & { spread?: boolean | undefined }> | undefined
  /** What `inspect` of the service has under the policy's label. */
  readonly inspect?: ((key: ReadKey) => Effect.Effect<unknown, StoreError>) | undefined
  /** What `control` of the service has under the policy's label: what one does by hand. */
  readonly control?: object | undefined
  /** Milliseconds that a ticket of it may take at least: no timeout may be longer. */
  readonly lease?: number | undefined
}

/** A service that keeps the state of one policy, as others compose it. @category models @since 0.1.0 */
export interface PolicyService {
  readonly members: ReadonlyArray<Member>
  /** `undefined` where it keeps nothing in a store. */
  readonly store: Local | Guarded | undefined
}

/**
 * A member's part in one admission. `record` and `release` are called once for each admission, also where the call is
 * interrupted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ticket {
  /** What is asked of the store, in one commit with the steps of all other members. None where the member decides by itself. */
  readonly steps: ReadonlyArray<Step>
  /**
   * Whether nothing in this process stands against it. Takes nothing. Where one member says no, a store in this process is
   * asked all the same, and keeps nothing, so that the refusal knows every name and time; a remote one is not asked.
   */
  check(now: number): boolean
  /** What a remote store has to hear before it is asked. */
  before?(now: number): Effect.Effect<void> | undefined
  /** Takes what is local: before the trip to a remote store, so that no other call takes it meanwhile. */
  reserve?(): void
  /** Undoes `reserve`, where the answer is no, or does not come in time. */
  unreserve?(): void
  /** Why not; `undefined` where it is not this member that refuses. `asked` false: the steps were not put to the store. */
  refusal(now: number, asked: boolean): Refusal | undefined
  admitted(now: number): void
  /** The outcome is known. */
  record?(outcome: Outcome, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined
  /** The body has ended. `started` false: it never began, and what was spent is refunded. */
  release?(started: boolean): Effect.Effect<void> | undefined
  /** Whether this admission is for one attempt only: a probe. */
  readonly single?: boolean
  /** Whether what the ticket was given for is over. */
  left?(now: number): boolean
  /** Calls back when it may be over. */
  watch?(onMove: () => void): () => void
}

/** Why a member refused. @category models @since 0.1.0 */
export interface Refusal {
  readonly error: unknown
  /** When the member may let the call through; absent where that is unknown, and then before every known time. */
  readonly retryAt?: number | undefined
  /** Until when the call may wait. Absent where the refusal is not about time: then no deadline goes before it. */
  readonly until?: number | undefined
  /**
   * Enters the member's queue, as the engine chose this one to wait in. What it returns refuses the call: the queue is full of
   * older ones. Absent where the call may not wait.
   */
  readonly wait?: ((waiter: Waiter) => unknown) | undefined
  /** The queue's name, for `Queued`. */
  readonly queue?: string | undefined
}
