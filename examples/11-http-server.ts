/** One layer for the whole server. A layer that is provided for each request would limit nothing. */
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer, pipe } from "effect"
import { HttpClient, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { RateLimiter, Resilience } from "effect-resilience"

class PerClient extends Resilience.Service<PerClient>()("app/PerClient", {
  rateLimiter: RateLimiter.tokenBucket({ limit: 2, window: "1 minute" })
}) {}

const hello = Effect.gen(function* () {
  const { headers } = yield* HttpServerRequest.HttpServerRequest
  return yield* pipe(
    Effect.succeed(HttpServerResponse.text("hello")),
    PerClient.resilient(headers["x-client"] ?? "anonymous"),
    Effect.catchTag("RateLimitExceeded", ({ retryAfterMillis = 0 }) =>
      Effect.succeed(
        HttpServerResponse.text("slow down", {
          status: 429,
          headers: { "retry-after": String(Math.ceil(retryAfterMillis / 1000)) }
        })
      )
    )
  )
})

const Server = HttpRouter.serve(HttpRouter.add("GET", "/", hello), {
  disableLogger: true,
  disableListenLog: true
}).pipe(Layer.provide(PerClient.layer), Layer.provideMerge(NodeHttpServer.layerTest))

const program = Effect.gen(function* () {
  for (let i = 0; i < 3; i++) {
    const response = yield* HttpClient.get("/", { headers: { "x-client": "ada" } })
    const wait = response.headers["retry-after"]
    console.log(response.status, yield* response.text, ...(wait === undefined ? [] : [`for ${wait} s`]))
  }
})

program.pipe(Effect.provide(Server), Effect.runPromise)
