/** Several limits, all or nothing: what the tenant's limit refuses takes nothing from the user's. */
import { Effect, pipe } from "effect"
import { RateLimiter, Resilience } from "effect-resilience"

class Api extends Resilience.Service<Api>()("app/Api", {
  rateLimiter: RateLimiter.every({
    user: RateLimiter.tokenBucket({ limit: 5, window: "1 second" }),
    tenant: RateLimiter.slidingWindow({ limit: 3, window: "1 minute" }),
    global: RateLimiter.shared(RateLimiter.tokenBucket({ limit: 100, window: "1 second" }))
  })
}) {}

const call = (user: string) => pipe(Effect.succeed("ok"), Api.resilient({ user, tenant: "acme" }))

const program = Effect.gen(function* () {
  for (const user of ["ada", "bob", "cy"]) console.log(user, yield* call(user))

  const refused = yield* Effect.flip(call("dan"))
  console.log("dan refused by", refused.limits.map(({ key, limit }) => `${limit} ${key}`).join(", "))

  const dan = yield* Api.inspect({ user: "dan", tenant: "acme" })
  console.log("dan's own tokens:", dan.rateLimiter?.limits["user"]?.remaining)
})

program.pipe(Effect.provide(Api.layer), Effect.runPromise)
