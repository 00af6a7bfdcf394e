/**
 * The dimension of a bulkhead's slots stands in the key of a service.
 */
import { type Effect, pipe } from "effect"
import { Bulkhead, CircuitBreaker, RateLimiter, Resilience } from "effect-resilience"
import type { BulkheadFull } from "../src/Rejection.ts"

export type Used = BulkheadFull

declare const charge: Effect.Effect<"paid", "declined">

const ofService = Bulkhead.policy({ maxConcurrent: 5 })
// => Bulkhead.Policy<never>

const ofTenants = Bulkhead.policy({ maxConcurrent: 5, maxWait: "1 second", by: "tenant" })
// => Bulkhead.Policy<"tenant">

class Tenants extends Resilience.Service<Tenants>()("app/Tenants", { bulkhead: ofTenants }) {}

type TenantKey = Parameters<typeof Tenants.inspect>[0]
// => { readonly tenant: string; }

const paid = pipe(charge, Tenants.resilient({ tenant: "acme" }))
// => Effect.Effect<"paid", "declined" | BulkheadFull, Tenants>

// error: is not assignable to
export const flat = pipe(charge, Tenants.resilient("acme"))

// error: 'user' does not exist in type
export const other = pipe(charge, Tenants.resilient({ user: "ada" }))

// Beside other dimensions, it is one more field.
class Api extends Resilience.Service<Api>()("app/Api", {
  rateLimiter: RateLimiter.every({ user: RateLimiter.tokenBucket({ limit: 10, window: "1 second" }) }),
  circuitBreaker: CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.consecutive(5),
    openDuration: "30 seconds",
    by: "region"
  }),
  bulkhead: ofTenants
}) {}

type ApiKey = Parameters<typeof Api.inspect>[0]
// => { readonly region: string; readonly tenant: string; readonly user: string; }

// error: Property 'tenant' is missing
export const missing = pipe(charge, Api.resilient({ user: "ada", region: "eu" }))

// Slots of the whole key, or of the service, ask for no dimension.
class Keys extends Resilience.Service<Keys>()("app/Keys", {
  bulkhead: Bulkhead.policy({ maxConcurrent: 5, by: "key" })
}) {}
type WholeKey = Parameters<typeof Keys.inspect>[0]
// => string

// error: is not assignable to
export const pair = pipe(charge, Keys.resilient({ tenant: "acme", region: "eu" }))

// A service of the bulkhead alone takes any key.
declare const alone: Bulkhead.BulkheadService
export const anyKey = [alone.execute(charge, "acme"), alone.execute(charge, { tenant: "acme", region: "eu" })]

class One extends Resilience.Service<One>()("app/One", { bulkhead: ofService }) {}
type AnyKey = Parameters<typeof One.inspect>[0]
// => string

// A policy with a dimension is not taken for one without.
// error: Type 'Policy<"tenant">' is not assignable to type 'Policy<never>'
export const annotated: Bulkhead.Policy = ofTenants

export type { AnyKey, ApiKey, TenantKey, WholeKey }
export { paid }
