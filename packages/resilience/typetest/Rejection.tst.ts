import { Effect } from "effect"
import { type BulkheadFull, type CircuitOpen, RateLimitExceeded, type StoreError } from "../src/Rejection.ts"

declare const call: Effect.Effect<string, RateLimitExceeded | CircuitOpen | BulkheadFull | StoreError>

const caught = Effect.catchTag(call, "RateLimitExceeded", (error) => Effect.succeed(error.retryAfterMillis))
// => Effect.Effect<string | number | undefined, BulkheadFull | CircuitOpen | StoreError, never>

type Reason = RateLimitExceeded["reason"]
// => RateLimitReason

// error: not assignable to parameter of type
Effect.catchTag(call, "RetryExhausted", () => Effect.void)

new RateLimitExceeded({
  key: "user:1",
  // error: Type '"limits"' is not assignable to type
  reason: "limits",
  retryAfterMillis: undefined,
  limits: []
})
