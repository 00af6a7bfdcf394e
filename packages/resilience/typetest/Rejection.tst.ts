import { Effect } from "effect"
import { RateLimitExceeded, type Rejection } from "../src/Rejection.ts"

declare const call: Effect.Effect<string, Rejection>

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
