/**
 * The upstream: a real HTTP server on a free port of this machine, which goes through the phases of the scenario and
 * keeps its own log of every request that reached it. All figures about the upstream are read from this log.
 */
import { NodeHttpServer, NodeHttpServerRequest } from "@effect/platform-node"
import { Context, Effect, Layer, Random } from "effect"
import { Headers, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { LIMIT, makeStopwatch, phaseAt, type Stopwatch } from "./scenario.ts"

/** What a request got. `silence` is a connection accepted and never answered, `hang-up` one that was cut. */
export type Answer = "ok" | "429" | "503" | "silence" | "hang-up"

export interface Hit {
  readonly at: number
  readonly answer: Answer
}

/** How many of the hits fall into the second that ends at `at`. Hits are in order, so the search starts at the end. */
export const hitsInSecond = (
  hits: ReadonlyArray<Hit>,
  at: number,
  counts: (hit: Hit) => boolean = () => true
): number => {
  let n = 0
  for (let i = hits.length - 1; i >= 0; i--) {
    const hit = hits[i]!
    if (hit.at <= at - 1_000) break
    if (hit.at <= at && counts(hit)) n++
  }
  return n
}

/** The busiest second of all: the most hits in any window of one second, wherever it begins. */
export const worstSecond = (hits: ReadonlyArray<Hit>): number => {
  let worst = 0
  let oldest = 0
  hits.forEach((hit, i) => {
    while (hits[oldest]!.at <= hit.at - 1_000) oldest++
    worst = Math.max(worst, i - oldest + 1)
  })
  return worst
}

/**
 * How the upstream decides.
 *
 * It accepts at most `LIMIT` requests in any second, half of it while it is rate limiting, and answers 429 to the rest;
 * what it refused does not count. That is all, until the outage.
 *
 * After the outage it has lost its caches, and is up again only once a second brings no more requests than its limit.
 * Clients that keep the limit find it up at the moment of the repair. Clients that retry without a pause keep it down
 * long after the fault is gone: a metastable failure, as in Bronson et al., "Metastable Failures in Distributed
 * Systems", HotOS 2021.
 */
const makeJudge = (hits: ReadonlyArray<Hit>) => {
  let warm = true
  return (at: number): Answer => {
    const phase = phaseAt(at).id
    if (phase === "storm") return "503"
    if (phase === "dead") {
      warm = false
      return hits.length % 3 === 0 ? "silence" : "hang-up"
    }
    // The request at hand is not in the log yet.
    if (!warm) warm = hitsInSecond(hits, at) < LIMIT
    if (!warm) return "503"
    const room = phase === "limiting" ? LIMIT / 2 : LIMIT
    return hitsInSecond(hits, at, (hit) => hit.answer === "ok") < room ? "ok" : "429"
  }
}

/** How long an answer takes, without the jitter. */
const delayOf = (at: number, answer: Answer): number => {
  if (answer === "ok") return phaseAt(at).id === "slow" ? 2_000 : 30
  return answer === "429" ? 10 : 30
}

const retryAfter = { "retry-after": Headers.formatRetryAfter(Headers.retryAfterDuration("1 second")) }

const profileRoute = (elapsed: Stopwatch, hits: Array<Hit>) => {
  const judge = makeJudge(hits)
  return HttpRouter.add(
    "GET",
    "/profile/:user",
    Effect.gen(function* () {
      const at = elapsed()
      const answer = judge(at)
      hits.push({ at, answer })
      if (answer === "silence") return yield* Effect.never
      const request = yield* HttpServerRequest.HttpServerRequest
      if (answer === "hang-up") {
        NodeHttpServerRequest.toIncomingMessage(request).socket.destroy()
        return yield* Effect.never
      }
      yield* Effect.sleep(delayOf(at, answer) * (0.75 + 0.5 * (yield* Random.next)))
      switch (answer) {
        case "ok":
          return HttpServerResponse.jsonUnsafe({ user: (yield* HttpRouter.params)["user"], plan: "free" })
        case "429":
          return HttpServerResponse.jsonUnsafe({ error: "too many requests" }, { status: 429, headers: retryAfter })
        case "503":
          return HttpServerResponse.jsonUnsafe({ error: "unavailable" }, { status: 503 })
      }
    })
  )
}

export class Upstream extends Context.Service<
  Upstream,
  {
    readonly url: string
    /** The time of the run, which begins when the upstream is up. */
    readonly elapsed: Stopwatch
    /** Every request that reached it, in order. */
    readonly hits: ReadonlyArray<Hit>
  }
>()("demo/Upstream") {
  /** A new upstream on every build: nothing is left over from the run before. */
  static readonly layer = Layer.unwrap(
    Effect.gen(function* () {
      const elapsed = yield* makeStopwatch
      const hits: Array<Hit> = []
      const server = createServer()
      const service = Layer.effect(
        Upstream,
        HttpServer.addressFormattedWith((url) =>
          // Connections that nobody answers must not keep the server from closing.
          Effect.acquireRelease(Effect.succeed({ url, elapsed, hits }), () =>
            Effect.sync(() => server.closeAllConnections())
          )
        )
      )
      return HttpRouter.serve(profileRoute(elapsed, hits), { disableLogger: true, disableListenLog: true }).pipe(
        Layer.merge(service),
        Layer.provide(
          NodeHttpServer.layer(() => server, { host: "127.0.0.1", port: 0, disablePreemptiveShutdown: true })
        )
      )
    })
  )
}
