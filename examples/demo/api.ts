/**
 * The client of the upstream: one request over a real socket, and what may come of it. Both runs call this very
 * function; they differ in what they wrap around it.
 */
import { NodeHttpClient } from "@effect/platform-node"
import { Context, Data, type Duration, Effect, Layer, Option, Result } from "effect"
import { Headers, HttpClient, type HttpClientError, HttpClientRequest } from "effect/http"
import { Upstream } from "./upstream.ts"

/** What the upstream did to us. */
export class ApiError extends Data.TaggedError("ApiError")<{
  readonly reason: "too many requests" | "unavailable" | "no connection"
  readonly retryAfter: Option.Option<Duration.Duration>
}> {}

export class Api extends Context.Service<
  Api,
  {
    readonly fetchProfile: (user: string) => Effect.Effect<string, ApiError>
  }
>()("demo/Api") {
  static readonly layer = Layer.effect(
    Api,
    Effect.gen(function* () {
      const { url } = yield* Upstream
      const client = (yield* HttpClient.HttpClient).pipe(
        HttpClient.mapRequest(HttpClientRequest.prependUrl(url)),
        HttpClient.filterStatusOk
      )
      const fetchProfile = (user: string) =>
        client.get(`/profile/${user}`).pipe(
          Effect.flatMap((response) => response.text),
          Effect.mapError(toApiError)
        )
      return { fetchProfile }
    })
  ).pipe(Layer.provide(NodeHttpClient.layerUndici))
}

const toApiError = ({ reason }: HttpClientError.HttpClientError): ApiError => {
  if (reason._tag !== "StatusCodeError") return new ApiError({ reason: "no connection", retryAfter: Option.none() })
  const header = Headers.parseRetryAfter(reason.response.headers["retry-after"] ?? "")
  return new ApiError({
    reason: reason.response.status === 429 ? "too many requests" : "unavailable",
    retryAfter:
      Result.isSuccess(header) && header.success._tag === "Duration"
        ? Option.some(header.success.duration)
        : Option.none()
  })
}
