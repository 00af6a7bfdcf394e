/** What is done to the service, as plain data, and how the effects of its calls end. */
import { Cause, Effect, type Exit } from "effect"
import type { Outcome } from "../../src/index.ts"
import { BulkheadFull, Rejection, TimeoutExceeded } from "../../src/Rejection.ts"
import type { Ending, How } from "./call.ts"
import type { Numbers } from "./numbers.ts"
import { same } from "./policies.ts"

export const USERS = ["ada", "bob", "eve", "joe"] as const

/** Plain data, so that a counter-example can be kept. */
export type Command =
  | {
      readonly do: "call"
      readonly user: number
      readonly cost?: number
      readonly ends?: How
      readonly maxWait?: number
    }
  /** Many at once, as long as there are no more than 50. */
  | { readonly do: "rush"; readonly user: number; readonly calls: number }
  | { readonly do: "allow"; readonly user: number; readonly cost?: number }
  | { readonly do: "end"; readonly pick: number; readonly how: How; readonly hint?: number }
  | { readonly do: "interrupt"; readonly pick: number }
  | { readonly do: "advance"; readonly millis: number }
  /** To the `pick`-th time at which something is due by the model, or so much off it. */
  | { readonly do: "due"; readonly pick: number; readonly off: number }
  | { readonly do: "skew"; readonly millis: number }
  | { readonly do: "reset"; readonly user?: number | undefined }
  | { readonly do: "isolate" | "close" | "resetCircuit"; readonly user: number }
  /** Only so many turns of what is under way; elsewhere everything comes to rest after each command. */
  | { readonly do: "turns"; readonly turns: number }

export interface Sequence {
  readonly numbers: Numbers
  /** How many operations a fiber may take in one turn; without it, all that it can. */
  readonly maxOps?: number | undefined
  readonly commands: ReadonlyArray<Command>
}

const DEFECT = "boom"

class Failed {
  readonly _tag = "Failed"
  readonly hint: number | undefined
  readonly throttled: boolean
  constructor(hint: number | undefined, throttled: boolean) {
    this.hint = hint
    this.throttled = throttled
  }
}

/** What the service is told to make of an exit. */
export const classify = (exit: Exit.Exit<unknown, unknown>): Outcome.Outcome | undefined => {
  const error = exit._tag === "Failure" ? exit.cause.reasons.find(Cause.isFailReason)?.error : undefined
  return error instanceof Failed && error.throttled ? "throttled" : undefined
}

/** `isJudged`: by `classify`. */
export const endingOf = (
  how: How,
  hint: number | undefined,
  isJudged: boolean
): readonly [ending: Ending, exit: Effect.Effect<string, unknown>] => {
  if (how === "succeed") return [{ is: "success" }, Effect.succeed("done")]
  if (how === "die") return [{ is: "defect" }, Effect.die(DEFECT)]
  const error =
    how === "reject"
      ? new BulkheadFull({ key: "inside", reason: "full" })
      : new Failed(how === "fail" ? undefined : (hint ?? 0), how === "throttle")
  const asked = error instanceof Failed ? (error.hint ?? 0) : 0
  const ending = {
    is: "failure",
    error,
    hint: asked,
    retried: how !== "reject",
    throttled: isJudged && how === "throttle"
  } as const
  return [ending, Effect.fail(error)]
}

export const ended = (exit: Exit.Exit<unknown, unknown>, ending: Ending): boolean => {
  if (exit._tag === "Success") return ending.is === "success" && exit.value === "done"
  if (Cause.hasInterruptsOnly(exit.cause)) return ending.is === "interrupt"
  // who is interrupted while it ends tells both
  const reasons = exit.cause.reasons.filter((reason) => !Cause.isInterruptReason(reason))
  const [reason, ...others] = reasons
  if (reason === undefined || others.length > 0) return false
  if (Cause.isDieReason(reason)) return ending.is === "defect" && reason.defect === DEFECT
  const error = Cause.isFailReason(reason) ? reason.error : undefined
  if (ending.is === "timeout") return error instanceof TimeoutExceeded && error.scope === ending.scope
  return ending.is === "rejected"
    ? same(plain(error), ending.rejection)
    : ending.is === "failure" && error === ending.error
}

/** A rejection without its message and its service, in the order in which the model says it. */
export const plain = (error: unknown): unknown => {
  if (!(error instanceof Rejection)) return typeof error === "object" ? { ...error } : error
  const fields: Readonly<Record<string, unknown>> = { limits: undefined, ...error }
  const { _tag, key, limits, message: _, reason, retryAfterMillis, service: __, ...more } = fields
  return { _tag, key, ...more, reason, retryAfterMillis, limits }
}
