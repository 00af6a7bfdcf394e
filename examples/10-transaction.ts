/** A decision inside your own transaction commits and rolls back with it. */
import { Effect, TxRef } from "effect"
import { RateLimiter } from "effect-resilience"

class Invites extends RateLimiter.Service<Invites>()(
  "app/Invites",
  RateLimiter.tokenBucket({ limit: 3, window: "1 day" })
) {}

const program = Effect.gen(function* () {
  const invites = yield* Invites
  const seats = yield* TxRef.make(1)

  // takes a token and a seat, or neither
  const invite = Effect.tx(
    Effect.gen(function* () {
      if (!(yield* invites.allow("team:1"))) return "no invites left today"
      const free = yield* TxRef.get(seats)
      if (free === 0) return yield* Effect.fail("no seat")
      yield* TxRef.set(seats, free - 1)
      return "invited"
    })
  )

  console.log(yield* invite)
  console.log(yield* Effect.flip(invite))
  console.log((yield* invites.peek("team:1")).remaining, "invites left")
})

program.pipe(Effect.provide(Invites.layer), Effect.runPromise)
