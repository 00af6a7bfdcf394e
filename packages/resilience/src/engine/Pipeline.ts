/**
 * What a call goes through.
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Sink } from "../Event.ts"
import type { Guarded, Local } from "../Policy.ts"
import type { Outcome } from "../Outcome.ts"
import type { Expected } from "./Expected.ts"
import type { Attempt, Longest, Member, Run } from "../Policy.ts"

export type Classify = (exit: Exit.Exit<unknown, unknown>) => Outcome | undefined

/** Asks for the tickets of an attempt, and goes on with it once they are admitted. */
// oxlint-disable-next-line typescript/no-explicit-any -- as `Run`
export type Admit = (attempt: Attempt, now: number) => Effect.Effect<any, any, any>

/** The members of a service, put in order. `assemble` makes it. */
export interface Pipeline {
  readonly id: string
  readonly store: Local | Guarded
  readonly members: ReadonlyArray<Member>
  /** Those that take part in the admission, and those of them that are asked again for each further attempt. */
  readonly gates: ReadonlyArray<Member>
  readonly again: ReadonlyArray<Member>
  /** Whether each attempt is admitted and recorded, and not the call. */
  readonly perAttempt: boolean
  readonly classify: Classify | undefined
  /** The sink in force where the service was built. */
  readonly sink: Sink | undefined
  /** Those that read from an error how long it asks to be left alone for. */
  readonly hints: ReadonlyArray<NonNullable<Member["hint"]>>
  /** What its timeouts say. */
  readonly longest: Longest
  /** The whole call. */
  readonly run: Run
  /** An attempt that is admitted. */
  readonly inside: Run
  /** How long its attempts take; `undefined` where no call waits, or none has a timeout. */
  readonly expected: Expected | undefined
  /** Whether a member wants to know when attempts begin and end. */
  readonly clocked: boolean
  /** Whether a layer stands around the call that needs the start time. */
  readonly timed: boolean
}

export interface CallOptions {
  readonly cost: number
  readonly maxWait: number | undefined
  readonly classify: Classify | undefined
  /** What the call says to the members, each of which reads its own. */
  readonly own?: Readonly<Record<string, unknown>> | undefined
}
