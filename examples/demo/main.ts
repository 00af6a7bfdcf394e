/**
 * The demo: `npx pnpm@12 demo`. The same users call the same misbehaving upstream twice, first bare, then through
 * effect-resilience; at the end both are put side by side.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Data, Effect, Layer, Runtime } from "effect"
import { Api } from "./api.ts"
import * as Bare from "./bare.ts"
import { gauges } from "./gauges.ts"
import * as Protected from "./protected.ts"
import { complaints, report } from "./report.ts"
import { drive } from "./run.ts"
import { LIMIT, makeStopwatch, users } from "./scenario.ts"
import { Screen, wrap } from "./terminal.ts"
import { Upstream } from "./upstream.ts"
import { watch } from "./view.ts"

const intro = [
  `Our backend has ${users.length} users who need data from another service, the upstream, which takes at most ${LIMIT} requests a second.`,
  "In the next 16 seconds it has a bad day: it turns calls away, becomes slow, fails, goes silent, and is repaired; you see what plain code with a timeout and retries makes of it.",
  "Then the same calls meet the same day again, this time through effect-resilience, and a table compares the two."
]

/** A real server on a free port and a real client with its own connections, both made anew for each run. */
const World = Layer.fresh(Layer.provideMerge(Api.layer, Upstream.layer))

const bare = drive(
  {
    number: 1,
    name: "bare",
    fetchProfile: Bare.fetchProfile,
    gauges: Effect.undefined
  },
  watch
).pipe(Effect.provide(World))

const resilient = drive(
  {
    number: 2,
    name: "with Resilience",
    fetchProfile: Protected.fetchProfile,
    gauges
  },
  watch
).pipe(Effect.provide([World, Protected.Profiles.layer]))

class DemoFailed extends Data.TaggedError("DemoFailed")<{ readonly complaints: ReadonlyArray<string> }> {
  // Said already, in the last lines of the report.
  override readonly [Runtime.errorReported] = false
}

const program = Effect.gen(function* () {
  const { columns, paint, print } = yield* Screen
  const elapsed = yield* makeStopwatch
  yield* print(...intro.flatMap((sentence) => wrap(sentence, columns())), "")
  const first = yield* bare
  yield* print("")
  const second = yield* resilient
  yield* print("", ...report(first, second, columns(), paint))

  const wrong = complaints(first, second)
  const took = `(${(elapsed() / 1_000).toFixed(1)} s)`
  if (wrong.length > 0) {
    yield* print(
      ...wrong.flatMap((complaint) => wrap(`FAILED: ${complaint}.`, columns())).map((line) => paint("red", line)),
      took
    )
    return yield* new DemoFailed({ complaints: wrong })
  }
  yield* print(
    paint("green", `The limit was kept, and each of the ${first.calls.length} calls is accounted for.`) + ` ${took}`
  )
})

program.pipe(Effect.provide(Screen.layer), NodeRuntime.runMain)
