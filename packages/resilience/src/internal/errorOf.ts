/**
 * What an effect failed with, of all that a cause tells.
 */
import * as Cause from "effect/Cause"

/** `undefined` for a defect or an interruption. */
export const errorOf = (cause: Cause.Cause<unknown>): unknown => cause.reasons.find(Cause.isFailReason)?.error
