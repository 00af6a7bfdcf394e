/** Outside of Effect: one runtime, made once, used by every handler. And synchronously, where nothing waits. */
import { Effect, ManagedRuntime, pipe } from "effect"
import { RateLimiter, Resilience, resilient } from "effect-resilience"

// #region runtime
const runtime = ManagedRuntime.make(
  Resilience.layer({
    rateLimiter: RateLimiter.tokenBucket({ limit: 2, window: "1 minute" })
  })
)

const handler = (user: string) =>
  runtime.runPromise(
    Effect.match(pipe(Effect.succeed("ok"), resilient(user)), {
      onFailure: (error) => error._tag,
      onSuccess: (answer) => answer
    })
  )
// #endregion

console.log(await handler("ada"), await handler("ada"), await handler("ada"))
console.log(runtime.runSync(pipe(Effect.succeed("ok, and no promise"), resilient("bob"))))

await runtime.dispose()
