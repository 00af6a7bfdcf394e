/**
 * A service's types say exactly what its policies can do.
 */
import { Data, Effect, type Layer, Option, pipe } from "effect"
import { Bulkhead, CircuitBreaker, RateLimiter, Resilience, resilient, Retry } from "effect-resilience"
import type {
  BulkheadFull,
  CircuitOpen,
  RateLimitExceeded,
  RetryExhausted,
  StoreError,
  TimeoutExceeded
} from "../src/Rejection.ts"
import type { Store } from "../src/Store.ts"

export type Used =
  | BulkheadFull
  | CircuitOpen
  | RateLimitExceeded
  | RetryExhausted<never>
  | StoreError
  | TimeoutExceeded
  | Store
  | Layer.Layer<never>

interface Receipt {
  readonly id: string
}
class ChargeError extends Data.TaggedError("ChargeError")<{ readonly status: number }> {}
declare const charge: Effect.Effect<Receipt, ChargeError>

const tokenBucket = RateLimiter.tokenBucket({ limit: 10, window: "1 second" })
const circuitBreaker = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" })
const bulkhead = Bulkhead.policy({ maxConcurrent: 5 })

// The README's service: its error is a plain union of exactly what is configured.
class Payments extends Resilience.Service<Payments>()("app/Payments", { rateLimiter: tokenBucket, circuitBreaker }) {}

const paid = pipe(charge, Payments.resilient("user:1"))
// => Effect.Effect<Receipt, ChargeError | CircuitOpen | RateLimitExceeded, Payments>

const paidFirst = Payments.resilient(charge, "user:1", { cost: 3 })
// => Effect.Effect<Receipt, ChargeError | CircuitOpen | RateLimitExceeded, Payments>

type Errors = Effect.Error<typeof paid>
// => ChargeError | CircuitOpen | RateLimitExceeded

const layer = Payments.layer
// => Layer.Layer<Payments, never, never>

const fromStore = Payments.layerFromStore
// => Layer.Layer<Payments, never, Store>

// Each policy adds its own error, and nothing else.
class Timed extends Resilience.Service<Timed>()("app/Timed", { timeout: "1 second" }) {}
const timed = Timed.resilient(charge, "k")
// => Effect.Effect<Receipt, ChargeError | TimeoutExceeded, Timed>

class Held extends Resilience.Service<Held>()("app/Held", { bulkhead }) {}
const held = Held.resilient(charge, "k")
// => Effect.Effect<Receipt, BulkheadFull | ChargeError, Held>

class Tried extends Resilience.Service<Tried>()("app/Tried", { retry: Retry.policy({ maxAttempts: 3 }) }) {}
const tried = Tried.resilient(charge, "k")
// => Effect.Effect<Receipt, ChargeError, Tried>

class Wrapped extends Resilience.Service<Wrapped>()("app/Wrapped", { retry: Retry.policy({ onExhausted: "wrap" }) }) {}
const wrapped = Wrapped.resilient(charge, "k")
// => Effect.Effect<Receipt, ChargeError | RetryExhausted<ChargeError>, Wrapped>

class Free extends Resilience.Service<Free>()("app/Free", { rateLimiter: RateLimiter.unlimited }) {}
const free = Free.resilient(charge, "k")
// => Effect.Effect<Receipt, ChargeError, Free>

class Remote extends Resilience.Service<Remote>()("app/Remote", {
  rateLimiter: tokenBucket,
  store: { onError: "fail" }
}) {}
const remote = Remote.resilient(charge, "k")
// => Effect.Effect<Receipt, ChargeError | RateLimitExceeded | StoreError, Remote>

class Local extends Resilience.Service<Local>()("app/Local", {
  rateLimiter: tokenBucket,
  store: { onError: "local" }
}) {}
const local = Local.resilient(charge, "k")
// => Effect.Effect<Receipt, ChargeError | RateLimitExceeded, Local>

class Shared extends Resilience.Service<Shared>()("app/Shared", {
  rateLimiter: tokenBucket,
  store: { localShare: 0.25 }
}) {}
const ofShared = Shared.resilient(charge, "k")
// => Effect.Effect<Receipt, ChargeError | RateLimitExceeded, Shared>

// The default pipeline is not known to the compiler: its error is the union of all.
const byDefault = pipe(charge, resilient("user:1"))
// => Effect.Effect<Receipt, BulkheadFull | ChargeError | CircuitOpen | RateLimitExceeded | RetryExhausted<ChargeError | TimeoutExceeded> | StoreError | TimeoutExceeded, Resilience.Resilience>

// Catching a tag that cannot be raised does not compile.
export const caught = Effect.catchTags(paid, {
  RateLimitExceeded: () => Effect.void,
  // error: is not assignable to type 'never'
  BulkheadFull: () => Effect.void
})

// The key of several limits has a field for each dimension.
class Api extends Resilience.Service<Api>()("app/Api", {
  rateLimiter: RateLimiter.every({
    user: tokenBucket,
    perDay: RateLimiter.by("user", RateLimiter.fixedWindow({ limit: 1_000, window: "1 day" })),
    tenant: tokenBucket,
    global: RateLimiter.shared(tokenBucket)
  }),
  circuitBreaker: CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.consecutive(5),
    openDuration: "30 seconds",
    by: "region"
  })
}) {}

type ApiKey = Parameters<typeof Api.inspect>[0]
// => { readonly region: string; readonly tenant: string; readonly user: string; }

export const complete = pipe(charge, Api.resilient({ user: "u", tenant: "t", region: "eu" }))

// error: Property 'tenant' is missing
export const missing = pipe(charge, Api.resilient({ user: "u", region: "eu" }))

// error: is not assignable to
export const flat = pipe(charge, Api.resilient("u"))

// error: Did you mean to write 'circuitBreaker'?
export const misspelt = Resilience.make("app/Misspelt", { circutBreaker: circuitBreaker })

const policies = { rateLimiter: tokenBucket, circutBreaker: circuitBreaker }
// error: 'circutBreaker' is not a policy
export const misspeltLayer = Resilience.layer(policies)

export const nested = CircuitBreaker.policy({
  tripPolicy: CircuitBreaker.consecutive(5),
  openDuration: 1,
  // error: 'resetAfter' does not exist
  resetAfter: 1
})

// error: Type 'Policy<never>' is not assignable to type 'Policy | undefined'
export const wrongPolicy = Resilience.make("app/Wrong", { rateLimiter: circuitBreaker })

// error: name the class: Resilience.Service<Payments>()
export class Unnamed extends Resilience.Service()("app/Unnamed", { rateLimiter: tokenBucket }) {}

// `classify` sees the types of the effect that it is piped with.
export const classified = pipe(
  charge,
  Payments.resilient("user:1", {
    cost: 2,
    classify: (exit) => (exit._tag === "Success" ? (exit.value.id === "" ? "failure" : "success") : "failure")
  })
)
// A retry policy that knows some errors takes only effects that fail with those.
class Picky extends Resilience.Service<Picky>()("app/Picky", {
  retry: Retry.policy({ while: (error: ChargeError) => error.status === 503, retryAfter: () => Option.none() })
}) {}
export const knows = Picky.resilient(charge, "k")
// error: is not assignable to
export const unknownError = pipe(Effect.fail("other"), Picky.resilient("k"))

// Layers of their own, composed.
const composed = Resilience.layerFrom([RateLimiter.RateLimiter, CircuitBreaker.CircuitBreaker, Retry.Retry])
// => Layer.Layer<Resilience.Resilience, never, CircuitBreaker.CircuitBreaker | RateLimiter.RateLimiter | Retry.Retry>

// error: not a policy service
export const notPolicies = Resilience.layerFrom([Payments])

// A forgotten store does not compile.
declare const program: Effect.Effect<void, never, Payments>
// error: Store
export const forgotten: Effect.Effect<void> = Effect.provide(program, Payments.layerFromStore)

export type { ApiKey, Errors }
export { byDefault, composed, free, fromStore, held, layer, local, paidFirst, remote, timed, tried, wrapped }
