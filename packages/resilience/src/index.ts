/**
 * The resilience layer for Effect.
 *
 * @since 0.1.0
 */
export * as Backoff from "./Backoff.ts"
export * as Bulkhead from "./Bulkhead.ts"
export * as CircuitBreaker from "./CircuitBreaker.ts"
export * as Event from "./Event.ts"
export * as EventStream from "./EventStream.ts"
export * as MemoryStore from "./MemoryStore.ts"
export * as Outcome from "./Outcome.ts"
export type * as Policies from "./Policies.ts"
export * as Policy from "./Policy.ts"
export * as RateLimiter from "./RateLimiter.ts"
export * as Rejection from "./Rejection.ts"
export * as RemoteStore from "./RemoteStore.ts"
export * as Resilience from "./Resilience.ts"
export { resilient } from "./Resilience.ts"
export * as Retry from "./Retry.ts"
export * as RetryBudget from "./RetryBudget.ts"
export * as Store from "./Store.ts"
export * as Telemetry from "./Telemetry.ts"
export * as Validate from "./Validate.ts"
