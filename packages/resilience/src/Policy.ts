/**
 * What a policy is to the engine, and all that is needed to write one.
 *
 * A `Policy` is a plain value (`make`). Opened for a service, it becomes a `Member`: something that takes part in the one
 * admission (`enter`), or a layer around the call or around each attempt (`around`). The engine knows members by their
 * stage only:
 *
 *     10 timeout                                          around the call
 *     30 shed   40 circuit   45 throttle   50 limit   60 slots     one admission of all tickets
 *     70 retry                                            the retry loop; each attempt asks for the tickets it does not have yet
 *     80 hedge  89 attempt timeout  90 timer  95 chaos    around an attempt
 *
 * At `shed`, `throttle`, `hedge` and `chaos` the library has no policy: these are places for yours.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Sink } from "./Event.ts"
import * as keys from "./internal/key.ts"
import type { ReadKey } from "./internal/key.ts"
import { spaceUnder } from "./internal/spaces.ts"
import type { StoreError } from "./Rejection.ts"
import type { AnySpace, Committed, Guarded, Local, Step } from "./StoreModel.ts"
import type { Ticket } from "./policy/Ticket.ts"
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
  /** The settings. `open` must read them from `this.options`; then `{ ...policy, options }` is an independent policy. */
  readonly options: object
  /** Validates the options. A policy may open into several members. */
  readonly open: (env: Env) => Member | ReadonlyArray<Member>
}

/**
 * Of a policy that takes services from the context in which the service is built: `Policy & Requires<Db>`. The layer of a
 * service that has it requires them, and `open` finds them in `env.context`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Requires<out R> {
  readonly [TypeId]: { readonly requires: R }
}

/** The services that a policy requires. @category utility types @since 0.1.0 */
export type RequiredBy<P> = P extends Requires<infer R> ? R : never

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
 *     const enter = ({ name }: Policy.Call): Policy.Ticket => {
 *       let passes = true // what `check` decided, for `refusal`
 *       return {
 *         steps: [],
 *         check: () => (passes = on),
 *         refusal: () => (passes ? undefined : { error: new SwitchedOff({ service, key: name }) }),
 *         admitted: () => {}
 *       }
 *     }
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

export { emit } from "./internal/policyEvent.ts"

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
 * Names of stages: those of the library's own policies, and `shed`, `throttle`, `hedge` and `chaos` for policies of yours. A
 * stage may be any number; a member of a lower stage stands further out.
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

export type { Refusal, Ticket } from "./policy/Ticket.ts"
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
  /** Where the service is built; `undefined` where the policy is only checked. */
  readonly context?: Context.Context<never> | undefined
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
  spaceUnder(service, label, kind)

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
  /** What the call says for itself, by the names that a service gives to its options: each member reads its own. */
  readonly own: Readonly<Record<string, unknown>>
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
  /**
   * When a wait must have ended: at the deadline of the call or of the calls around it, whichever comes first, less the time
   * that an attempt is expected to take.
   */
  readonly waitsUntil: (now: number) => number
  /** The last timeout that the engine raised for this call. */
  readonly timeout: unknown
  /** How many attempts began. */
  readonly attempts: number
  /** Whether the timeout of the whole call has passed. */
  readonly timedOut: boolean
  /** Whether the admission of the call is no longer valid (the circuit moved on): then no further attempt begins. */
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
  readonly further: (n: number, beside: number, context?: Context.Context<never>) => Attempt
  /** Ends an attempt that failed: what was taken for it alone is released, and where each attempt is admitted, recorded. */
  readonly endAttempt: (attempt: Attempt, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void> | undefined
  /** Notes that `error` is how the call reports `exit`, the exit of an attempt: its outcome is that of the exit. */
  readonly reports: (error: unknown, exit: Exit.Exit<unknown, unknown>) => void
  /** A value that an attempt has succeeded with, and that is worth another attempt: to a circuit that is a failure. */
  rejected: { readonly value: unknown } | undefined
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
  /** The value at `inspect(key)[label]` of the service. */
  readonly inspect?: ((key: ReadKey) => Effect.Effect<unknown, StoreError>) | undefined
  /** The value at `control[label]` of the service: functions and effects, for what one does by hand. */
  readonly control?: object | undefined
  /** Whether a call may wait in its queue. Then the engine keeps an estimate of how long attempts take. */
  readonly waits?: boolean | undefined
  /** Whether the engine calls `attemptBegan` and `attemptEnded` of its tickets. */
  readonly clocksAttempts?: boolean | undefined
  /** Milliseconds that a ticket of it may take at least: no timeout may be longer. */
  readonly lease?: number | undefined
  /** The layer of the service closes, in this fiber. What the member keeps is forgotten. */
  readonly close?: ((fiber: Fiber.Fiber<unknown, unknown>) => void) | undefined
}

/** A service that keeps the state of one policy, as others compose it. @category models @since 0.1.0 */
export interface PolicyService {
  readonly members: ReadonlyArray<Member>
  /** `undefined` where it keeps nothing in a store. */
  readonly store: Local | Guarded | undefined
}
