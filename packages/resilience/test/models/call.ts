/** One call, as its caller and the policies see it. */
import type { Outcome, Permit } from "./circuit.ts"
import type { Taken } from "./limits.ts"

/** How an attempt is told to end. */
export type How = "succeed" | "fail" | "die" | "reject" | "hint" | "throttle"

/** How a call may end. */
export type Ending =
  | { readonly is: "success" }
  | {
      readonly is: "failure"
      readonly error: unknown
      readonly hint: number
      readonly retried: boolean
      readonly throttled: boolean
    }
  | { readonly is: "defect" }
  | { readonly is: "interrupt" }
  | { readonly is: "timeout"; readonly scope: "call" | "attempt" }
  | { readonly is: "rejected"; readonly rejection: unknown }

export const outcomeOf = (ending: Ending): Outcome => {
  if (ending.is === "success") return "success"
  if (ending.is === "interrupt" || ending.is === "rejected") return "ignored"
  if (ending.is === "failure" && ending.throttled) return "throttled"
  // a rejection of ours from inside: the dependency was not asked
  return ending.is === "failure" && !ending.retried ? "ignored" : "failure"
}

/** `"timedOut"`: its time is up, and its effect has still to end. */
export type Phase = "asking" | "queued" | "admitted" | "running" | "timedOut" | "failed" | "backoff" | "over" | "ended"

export class CallModel {
  readonly user: string
  readonly cost: number
  readonly maxWait: number | undefined
  readonly startedAt: number
  readonly deadline: number
  phase: Phase = "asking"
  attempt = 1
  /** Of the admission that it asks for, or has. */
  arrivedAt: number
  /** What it takes: 0 where only a slot of the bulkhead is asked for. */
  whole = true
  /** Its place among all that ever waited. */
  order = Infinity
  queue: "limit" | "shared" | "slots" | undefined
  waitsUntil = Infinity
  permit: Permit | undefined
  /** The circuit still waits for its report. */
  owesReport = false
  taken: { readonly limit?: Taken | undefined; readonly shared?: Taken | undefined } | undefined
  slot = false
  begun = false
  /** Runs of the effect that were begun, or given up at its door. */
  attempts = 0
  attemptAt = 0
  backoffUntil = 0
  /** An attempt had the time that attempts take; where turns are short, perhaps. */
  hadTime: boolean | undefined = false
  /** Whether the time of the attempt under way says how long attempts take. */
  counts = false
  /** How the last attempt ended that failed, and was followed by another, or might have been. */
  failed: Ending | undefined
  /** And the one before that. */
  failedBefore: Ending | undefined
  /** How long its longest attempt took, since it was admitted. */
  longest = 0
  /** The circuit moved with its report. */
  left = false
  told: Ending | undefined
  interrupted = false
  /** How the newest attempt ended; then how the call does. */
  ending: Ending | undefined
  outcome: Outcome | undefined
  /** How the call ends, once it has begun to. */
  final: ReadonlyArray<Ending> | undefined

  constructor(user: string, cost: number, maxWait: number | undefined, now: number, timeout: number) {
    this.user = user
    this.cost = cost
    this.maxWait = maxWait
    this.startedAt = this.arrivedAt = now
    this.deadline = now + timeout
  }

  get live(): boolean {
    return this.phase !== "ended"
  }
}
