/** A refusal that nothing handles. */
import { Effect } from "effect"
import { RateLimiter, Resilience } from "effect-resilience"

const mail = Effect.runSync(
  Resilience.make("app/Mail", { rateLimiter: RateLimiter.tokenBucket({ limit: 1, window: "1 hour" }) })
)
await Effect.runPromise(mail.resilient(Effect.void, "ada"))
void Effect.runPromise(mail.resilient(Effect.void, "ada"))
