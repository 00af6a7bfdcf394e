/**
 * A test cannot ask for a rejection that production cannot raise.
 */
import type { Layer } from "effect"
import { Bulkhead, CircuitBreaker, RateLimiter, Rejection, Resilience, Retry } from "effect-resilience"
import { TestResilience } from "effect-resilience-testing"

export type Used = Layer.Layer<never>

const tokenBucket = RateLimiter.tokenBucket({ limit: 10, window: "1 second" })
const limited = new Rejection.RateLimitExceeded({ key: "k", reason: "limit", retryAfterMillis: 1, limits: [] })
const open = new Rejection.CircuitOpen({ key: "k", state: "Open", retryAfterMillis: 1 })
const full = new Rejection.BulkheadFull({ key: "k", reason: "full" })
const down = new Rejection.StoreError({ reason: "unavailable" })
const late = new Rejection.TimeoutExceeded({ key: "k", scope: "call", timeoutMillis: 1 })
const exhausted = new Rejection.RetryExhausted({ key: "k", attempts: 3, errors: [] })

class Payments extends Resilience.Service<Payments>()("app/Payments", {
  rateLimiter: tokenBucket,
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" })
}) {}

const passthrough = TestResilience.layerPassthrough(Payments)
// => Layer.Layer<Payments, never, never>

const reject = TestResilience.layerReject(Payments, limited)
// => Layer.Layer<Payments, never, never>

export const refusals = [
  TestResilience.layerReject(Payments, open),
  TestResilience.layerReject(Payments, (key) => new Rejection.CircuitOpen({ key, state: "Open", retryAfterMillis: 1 }))
]

// error: Argument of type 'BulkheadFull' is not assignable to parameter of type 'CircuitOpen | RateLimitExceeded |
TestResilience.layerReject(Payments, full)

// error: Argument of type 'StoreError' is not assignable to parameter of type 'CircuitOpen | RateLimitExceeded |
TestResilience.layerReject(Payments, down)

// error: Argument of type 'TimeoutExceeded' is not assignable to parameter of type 'CircuitOpen | RateLimitExceeded |
TestResilience.layerReject(Payments, late)

// error: Argument of type 'RetryExhausted<never>' is not assignable to parameter of type 'CircuitOpen | RateLimitExceeded |
TestResilience.layerReject(Payments, exhausted)

// error: Type 'BulkheadFull' is not assignable to type 'CircuitOpen | RateLimitExceeded'
TestResilience.layerReject(Payments, () => full)

declare const either: Rejection.CircuitOpen | Rejection.BulkheadFull
// error: Type 'BulkheadFull' is not assignable to type 'CircuitOpen | RateLimitExceeded |
TestResilience.layerReject(Payments, either)

// error: is not assignable to
TestResilience.layerReject(Payments, new Error("no"))

class Mails extends Resilience.Service<Mails>()("app/Mails", {
  bulkhead: Bulkhead.policy({ maxConcurrent: 2 }),
  rateLimiter: RateLimiter.every({ user: tokenBucket, tenant: tokenBucket }),
  attemptTimeout: "1 second",
  retry: Retry.policy({ onExhausted: "wrap" }),
  store: { onError: "fail" }
}) {}
export const mails = [full, limited, late, exhausted, down].map((error) => TestResilience.layerReject(Mails, error))
export const named = TestResilience.layerReject(
  Mails,
  ({ tenant, user }) => new Rejection.BulkheadFull({ key: `${tenant}/${user}`, reason: "full" })
)

// error: Argument of type 'CircuitOpen' is not assignable to parameter of type 'BulkheadFull | RateLimitExceeded | RetryExhausted<never> | StoreError | TimeoutExceeded |
TestResilience.layerReject(Mails, open)

const ofACall = new Rejection.RetryExhausted({ key: "k", attempts: 1, errors: [new Error("of some other call")] })
// error: Argument of type 'RetryExhausted<Error>' is not assignable to parameter of type
TestResilience.layerReject(Mails, ofACall)

class Free extends Resilience.Service<Free>()("app/Free", { rateLimiter: RateLimiter.unlimited }) {}
// error: Argument of type 'RateLimitExceeded' is not assignable to parameter of type '"app/Free has no policy that could refuse" |
TestResilience.layerReject(Free, limited)

// The policies of the default tag are not known to the compiler.
const byDefault = TestResilience.layerReject(Resilience.Resilience, full)
// => Layer.Layer<Resilience.Resilience, never, never>
export const others = [limited, open, down, late, exhausted].map((error) =>
  TestResilience.layerReject(Resilience.Resilience, error)
)

// error: is not assignable to parameter of type
TestResilience.layerPassthrough(RateLimiter.RateLimiter)

export { byDefault, passthrough, reject }
