/** A bucket without a pipeline: ask it, wait for it, look into it, forget it. */
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter } from "effect-resilience"

const program = Effect.gen(function* () {
  const tokens = yield* RateLimiter.make(RateLimiter.tokenBucket({ limit: 2, window: "1 second", burst: 4 }))
  const yes = (yield* Effect.all([1, 2, 3, 4, 5].map(() => tokens.allow("ada")))).filter(Boolean).length
  console.log(`token bucket: ${yes} of 5 pass at once, ${(yield* tokens.peek("ada")).remaining} tokens are left`)
  const waiter = yield* Effect.forkChild(tokens.acquire("ada", { cost: 2, maxWait: "5 seconds" }), {
    startImmediately: true
  })
  while (waiter.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
  yield* Fiber.join(waiter)
  console.log(`two more take ${yield* Clock.currentTimeMillis} ms to come`)
  yield* tokens.reset("ada") // without a key: all of them
  console.log(`after a reset there are ${(yield* tokens.peek("ada")).remaining}`)

  const queue = yield* RateLimiter.make(RateLimiter.leakyBucket({ limit: 2, window: "1 second", capacity: 5 }))
  yield* queue.acquire("ada", { cost: 5 })
  const backlog = Effect.map(queue.peek("ada"), ({ limits, waitFor }) => [limits["limit"]?.used, waitFor(1)] as const)
  console.log("leaky bucket: backlog %d, room for one in %d ms", ...(yield* backlog))
  yield* TestClock.adjust("1 second")
  console.log("a second later: backlog %d, room for one in %d ms", ...(yield* backlog))
})

program.pipe(Effect.provide(TestClock.layer()), Effect.runPromise)
