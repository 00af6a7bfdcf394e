/** Wait a little instead of being refused: bounded, in order, and a call that leaves takes nothing with it. */
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter } from "effect-resilience"

class Outbox extends RateLimiter.Service<Outbox>()(
  "app/Outbox",
  RateLimiter.tokenBucket({
    limit: 20,
    window: "1 second",
    burst: 1, // even spacing: one every 50 ms
    maxWait: "120 millis",
    maxQueued: 10
  })
) {}

const send = (mail: number) =>
  Effect.gen(function* () {
    const outbox = yield* Outbox
    const result = yield* Effect.result(outbox.acquire("smtp"))
    const now = yield* Clock.currentTimeMillis
    console.log(
      `${now} ms: mail ${mail} is ${result._tag === "Success" ? "sent" : `refused, ${result.failure.reason}`}`
    )
  })

const program = Effect.gen(function* () {
  yield* Effect.forEach([1, 2, 3, 4], (mail) => Effect.forkChild(send(mail)))
  yield* TestClock.adjust("1 second")
})

program.pipe(Effect.provide([Outbox.layer, TestClock.layer()]), Effect.runPromise)
