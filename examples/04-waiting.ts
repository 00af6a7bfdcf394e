/** Wait a little instead of being refused: bounded, in order, and a call that leaves takes nothing with it. */
import { Clock, Effect } from "effect"
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

const program = Effect.gen(function* () {
  const outbox = yield* Outbox
  const start = yield* Clock.currentTimeMillis
  const send = (mail: number) =>
    Effect.flatMap(outbox.acquire("smtp"), () =>
      Effect.map(Clock.currentTimeMillis, (now) => `mail ${mail} sent in turn ${Math.round((now - start) / 50)}`)
    ).pipe(Effect.catch((error) => Effect.succeed(`mail ${mail} refused at once: ${error.reason}`)))
  const lines = yield* Effect.all([1, 2, 3, 4].map(send), { concurrency: "unbounded" })
  for (const line of lines) console.log(line)
})

program.pipe(Effect.provide(Outbox.layer), Effect.runPromise)
