/** One circuit through all of its states, under the test clock. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CircuitBreaker } from "effect-resilience"

class Upstream extends CircuitBreaker.Service<Upstream>()(
  "app/Upstream",
  CircuitBreaker.policy({
    tripPolicy: CircuitBreaker.consecutive(2),
    openDuration: Backoff.exponential({ base: "10 seconds", cap: "1 minute", jitter: "none" }),
    probes: { required: 2 } // successes that close it again
  })
) {}

const ok = Effect.succeed("succeeds")
const down = Effect.fail("fails")

const program = Effect.gen(function* () {
  const breaker = yield* Upstream

  const tell = (what: string) =>
    Effect.map(breaker.state(), ({ state }) => console.log(`${what.padEnd(36)} -> ${state}`))
  const wait = (seconds: number) =>
    Effect.andThen(TestClock.adjust(`${seconds} seconds`), tell(`${seconds} seconds later`))
  const call = (upstream: Effect.Effect<string, string>) =>
    breaker.execute(upstream).pipe(
      Effect.match({
        onFailure: (error) =>
          typeof error === "string" ? error : `is refused, again in ${Number(error.retryAfterMillis) / 1000} s`,
        onSuccess: (answer) => answer
      }),
      Effect.flatMap((result) => tell(`  a call ${result}`))
    )

  yield* call(down)
  yield* call(down)
  yield* call(ok)
  yield* wait(10)
  yield* call(down)
  yield* wait(20)
  yield* call(ok)
  yield* call(ok)

  yield* Effect.andThen(breaker.isolate(), tell("isolated by hand"))
  yield* wait(3_600)
  yield* Effect.andThen(breaker.reset(), tell("reset by hand"))
})

program.pipe(Effect.provide([Upstream.layer, TestClock.layer()]), Effect.runPromise)
