/**
 * A policy that judges some errors takes only the calls that fail with those.
 */
import { Data, Effect, Schedule } from "effect"
import { Retry } from "effect-resilience"

class Busy extends Data.TaggedError("Busy")<{ readonly n: number }> {}
const busy = Effect.fail(new Busy({ n: 1 }))

const policy = Retry.policy({ while: (error: Busy) => error.n < 3 })
// => Retry.Policy<Busy, "last", unknown>

export const judged = Retry.execute(busy, policy)

// error: 'string' is not assignable to
export const dataFirst = Retry.execute(Effect.fail("other"), policy)

// error: is not assignable to
export const dataLast = Effect.fail("other").pipe(Retry.execute(policy))

const schedule = Schedule.spaced(100).pipe(Schedule.setInputType<Busy>())
// error: 'string' is not assignable to
export const scheduled = Retry.execute(Effect.fail("other"), Retry.fromSchedule(schedule))

class Patient extends Retry.Service<Patient>()("app/Patient", policy) {}
export const served = Patient.execute(busy)

// error: is not assignable to
export const other = Patient.execute(Effect.fail("other"))

// The default service takes every call, so its policy has to judge every error.
// error: is not assignable to
export const layer = Retry.layer(policy)

const free = Effect.succeed(1).pipe(Retry.execute(Retry.policy({ onExhausted: "wrap" })))
// => Effect.Effect<number, never, never>

export { free }
