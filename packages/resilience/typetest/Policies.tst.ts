/**
 * Types come from the policies: a user's own, under a label of `policies`, are as exact as the library's.
 */
import { Data, Effect, pipe } from "effect"
import { Bulkhead, CircuitBreaker, type Policy, RateLimiter, Resilience, Retry } from "effect-resilience"
import type { RateLimitExceeded, RetryExhausted, StoreError, TimeoutExceeded } from "../src/Rejection.ts"

export type Used = RateLimitExceeded | RetryExhausted<never> | StoreError | TimeoutExceeded

class ChargeError extends Data.TaggedError("ChargeError")<{ readonly status: number }> {}
declare const charge: Effect.Effect<string, ChargeError>

const bucket = RateLimiter.tokenBucket({ limit: 10, window: "1 second" })
const circuitBreaker = CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: 1 })
const bulkhead = Bulkhead.policy({ maxConcurrent: 1 })

class OverBudget extends Data.TaggedError("OverBudget")<{ readonly cents: number }> {}
interface Budget extends Policy.Policy<
  OverBudget,
  unknown,
  "region",
  { readonly spent: number },
  { readonly refill: (region: string) => void }
> {
  readonly options: { readonly cents: number }
}
declare const budget: Budget

// Its error is in the channel, its dimension in the key, its inspection and control stand under its label.
class Own extends Resilience.Service<Own>()("app/Own", {
  rateLimiter: RateLimiter.every({ user: bucket, tenant: bucket }),
  policies: { dailyBudget: budget },
  timeout: "1 second"
}) {}

const key = { user: "u", tenant: "t", region: "eu" }
const paid = pipe(charge, Own.resilient(key))
// => Effect.Effect<string, ChargeError | OverBudget | RateLimitExceeded | TimeoutExceeded, Own>

type OwnKey = Parameters<typeof Own.inspect>[0]
// => { readonly region: string; readonly tenant: string; readonly user: string; }

const seen = Effect.map(Own.inspect(key), ({ dailyBudget }) => dailyBudget)
// => Effect.Effect<{ readonly spent: number; } | undefined, never, Own>

const looked = Effect.map(Own.inspect(key), ({ rateLimiter }) => rateLimiter)
// => Effect.Effect<RateLimiter.Peek | undefined, never, Own>

const refilled = Effect.map(Own, ({ control }) => control.dailyBudget.refill)
// => Effect.Effect<(region: string) => void, never, Own>

const reset = Effect.flatMap(Own, ({ control }) => control.rateLimiter.reset(key))
// => Effect.Effect<void, StoreError, Own>

export const noControl = Effect.map(
  Own,
  ({ control }) =>
    // error: Property 'circuitBreaker' does not exist
    control.circuitBreaker
)

const labels = Effect.map(Own, ({ control }) => Object.keys(control) as Array<keyof typeof control>)
// => Effect.Effect<("dailyBudget" | "rateLimiter")[], never, Own>

// A policy that has nothing to do by hand has no field.
class Held extends Resilience.Service<Held>()("app/Held", { bulkhead, circuitBreaker, retry: Retry.policy() }) {}
const commands = Effect.map(Held, ({ control }) => Object.keys(control) as Array<keyof typeof control>)
// => Effect.Effect<"circuitBreaker"[], never, Held>

// error: Property 'region' is missing
export const missing = pipe(charge, Own.resilient({ user: "u", tenant: "t" }))

// error: is not assignable to
export const flat = pipe(charge, Own.resilient("u"))

// Catching the error of a policy that is not there does not compile.
export const caught = Effect.catchTags(pipe(charge, Held.resilient("k")), {
  CircuitOpen: () => Effect.void,
  // error: is not assignable to type 'never'
  OverBudget: () => Effect.void
})

// A policy of the library may stand under a label as well.
class Wrapped extends Resilience.Service<Wrapped>()("app/Wrapped", {
  policies: { again: Retry.policy({ onExhausted: "wrap" }) },
  attemptTimeout: 1,
  store: { onError: "fail" }
}) {}
const wrapped = Wrapped.resilient(charge, "k")
// => Effect.Effect<string, ChargeError | RetryExhausted<ChargeError | TimeoutExceeded> | StoreError | TimeoutExceeded, Wrapped>

// An effect must fail with what every policy can judge.
class Picky extends Resilience.Service<Picky>()("app/Picky", {
  policies: { again: Retry.policy({ while: (error: ChargeError) => error.status === 503 }) }
}) {}
export const known = pipe(charge, Picky.resilient("k"))
// error: is not assignable to
export const unknownError = pipe(Effect.fail("other"), Picky.resilient("k"))

declare const judge: Policy.Policy<never, { readonly status: number }>
class Judged extends Resilience.Service<Judged>()("app/Judged", {
  retry: Retry.policy({ while: (error: ChargeError | "busy") => error === "busy" }),
  policies: { judge }
}) {}
export const both = pipe(charge, Judged.resilient("k"))
// error: is not assignable to
export const oneOnly = pipe(Effect.fail("busy" as const), Judged.resilient("k"))

// An own policy alone compiles, and a misspelt name beside it does not.
export const alone = Resilience.make("app/Alone", { policies: { dailyBudget: budget } })

// error: Did you mean to write 'policies'?
export const misspelt = Resilience.make("app/Misspelt", { polices: { dailyBudget: budget } })

// error: 'circutBreaker' is not a policy
export const beside = Resilience.make("app/Beside", { circutBreaker: circuitBreaker, policies: { budget } })

const others = { policies: { budget }, dailyBudget: budget }
// error: 'dailyBudget' is not a policy
export const outside = Resilience.make("app/Outside", others)

// error: 'rateLimiter' has a field of its own
export const taken = Resilience.make("app/Taken", { policies: { rateLimiter: bucket } })

const shed = { kind: "shed", options: {}, open: () => [] }
// error: Property '[TypeId]' is missing
export const literal = Resilience.make("app/Literal", { policies: { shed } })

// error: is not assignable to type
export const swapped = Resilience.make("app/Swapped", { rateLimiter: budget })

// A copy with other options is a policy. One that says something beside its options would not do it, and does not compile.
export const copied = Resilience.make("app/Copied", {
  bulkhead: { ...bulkhead, options: { maxConcurrent: 5 } },
  rateLimiter: { ...bucket, options: { ...bucket.options, limit: 5 } }
})

// error: is not assignable to type '"'maxConcurrent' is not read here: write it into options"'
export const beyond = Resilience.make("app/Beyond", { bulkhead: { ...bulkhead, maxConcurrent: 5 } })

// error: is not read here: write it into options
export const faster = Resilience.make("app/Faster", { rateLimiter: { ...bucket, limit: 10, capacity: 10 } })

// error: Property 'capacity' does not exist
export const lost = { ...bucket }.capacity

export type { OwnKey }
export { commands, labels, looked, paid, refilled, reset, seen, wrapped }
