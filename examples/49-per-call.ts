/** What one call says for itself: a payment is sent once, and a query gives up sooner than the service would. */
import { Data, Effect, pipe } from "effect"
import { Backoff, Resilience, Retry } from "effect-resilience"

class HttpError extends Data.TaggedError("HttpError")<{ readonly status: number }> {}

class Shop extends Resilience.Service<Shop>()("app/Shop", {
  timeout: "10 seconds",
  retry: Retry.policy({ maxAttempts: 3, backoff: Backoff.constant("1 millis") })
}) {}

const sent = { POST: 0, GET: 0 }
const send = (method: "POST" | "GET", status: number) =>
  Effect.suspend(() => {
    sent[method]++
    return Effect.fail(new HttpError({ status }))
  })

const pay = pipe(send("POST", 503), Shop.resilient("ada", { retry: false }))
const search = (status: number) =>
  pipe(
    send("GET", status),
    Shop.resilient("ada", { timeout: "2 seconds", retry: { while: (error: HttpError) => error.status >= 500 } })
  )

const program = Effect.gen(function* () {
  for (const call of [pay, search(503), search(404)]) yield* Effect.ignore(call)
  console.log(`POST: ${sent.POST} request; GET: ${sent.GET}, 3 for the 503 and 1 for the 404`)
})

program.pipe(Effect.provide(Shop.layer), Effect.runPromise)
