/** Around an HTTP client: what is worth a retry, and how long the server asks to be left alone. */
import { Effect, Fiber, Option, pipe, Result } from "effect"
import { Headers, HttpClient, HttpClientResponse, type HttpClientError } from "effect/http"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker, Resilience, Retry } from "effect-resilience"

const isTransient = ({ reason }: HttpClientError.HttpClientError) =>
  reason._tag === "TransportError" ||
  (reason._tag === "StatusCodeError" && (reason.response.status === 429 || reason.response.status >= 500))

const retryAfter = ({ reason }: HttpClientError.HttpClientError) => {
  if (reason._tag !== "StatusCodeError") return Option.none()
  const header = Headers.parseRetryAfter(reason.response.headers["retry-after"] ?? "")
  return Result.isSuccess(header) && header.success._tag === "Duration"
    ? Option.some(header.success.duration)
    : Option.none()
}

class Inventory extends Resilience.Service<Inventory>()("app/Inventory", {
  timeout: "10 seconds",
  attemptTimeout: "2 seconds",
  circuitBreaker: CircuitBreaker.policy({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "30 seconds" }),
  retry: Retry.policy({
    maxAttempts: 3,
    backoff: Backoff.exponential({ base: "200 millis" }),
    while: isTransient,
    retryAfter
  })
}) {}

const stock = (client: HttpClient.HttpClient, item: string) =>
  pipe(
    HttpClient.filterStatusOk(client).get(`http://inventory.test/${item}`),
    Effect.flatMap((response) => response.text), // reading the body is a part of the attempt
    Inventory.resilient("inventory")
  )

// A server for this example: busy, and two seconds later well again.
const answers = [new Response("busy", { status: 429, headers: { "retry-after": "2" } }), new Response("7 left")]
const server = HttpClient.make((request) => {
  const answer = answers.shift() ?? new Response("no such item", { status: 404 })
  console.log("  the server answers", answer.status)
  return Effect.succeed(HttpClientResponse.fromWeb(request, answer))
})

const program = Effect.gen(function* () {
  const fiber = yield* Effect.forkChild(stock(server, "tea"), { startImmediately: true })
  yield* TestClock.adjust("1 second")
  console.log("1 s later")
  yield* TestClock.adjust("1 second")
  console.log(yield* Fiber.join(fiber))
  console.log((yield* Effect.flip(stock(server, "nothing"))).message)
})

program.pipe(Effect.provide([Inventory.layer, TestClock.layer()]), Effect.runPromise)
