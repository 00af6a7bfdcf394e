/**
 * A policy that judges some errors takes only the calls that fail with those.
 */
import { Data, Effect, type Layer, Schedule } from "effect"
import { type Policy, Resilience, Retry, RetryBudget } from "effect-resilience"

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

// A budget that is a service is required by the layer of the service; one that is a value is not.
class Shared extends RetryBudget.Service<Shared>()("app/Shared", { capacity: 100 }) {}
const budgeted = Retry.policy({ budget: Shared, while: (error: Busy) => error.n < 3 })
// => Retry.Policy<Busy, "last", unknown> & Policy.Requires<Shared>

class Orders extends Resilience.Service<Orders>()("app/Orders", { retry: budgeted }) {}
type OrdersLayer = typeof Orders.layer
// => Layer.Layer<Orders, never, Shared>

const made = Resilience.make("app/Orders", { retry: budgeted, timeout: "1 second" })
type Needs = Effect.Services<typeof made>
// => Shared

class Alone extends Retry.Service<Alone>()("app/Alone", budgeted) {}
type AloneLayer = typeof Alone.layer
// => Layer.Layer<Alone, never, Shared>

const run = Retry.execute(busy, budgeted)
// => Effect.Effect<never, Busy, Shared>

class Own extends Resilience.Service<Own>()("app/Own", {
  retry: Retry.policy({ budget: RetryBudget.policy({ retryCost: 10 }) })
}) {}
type OwnLayer = typeof Own.layer
// => Layer.Layer<Own, never, never>

const byResult = Retry.policy({ budget: Shared, retryIf: (status: number) => status >= 500 })
// => Retry.Policy<unknown, "last", number> & Policy.Requires<Shared>

// error: 'capacty' does not exist
RetryBudget.policy({ capacty: 100 })

// error: is not assignable to
Retry.policy({ budget: 500 })

export { byResult, free, run, type AloneLayer, type Needs, type OrdersLayer, type OwnLayer }
