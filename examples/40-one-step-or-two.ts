/** Two limits on one call, taken in one step or one after the other: what the second refuses, the first has spent. */
import { Effect, pipe } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter, Resilience } from "effect-resilience"
import { type Study, table } from "./choosing/study.ts"

// #region limits
const user = RateLimiter.tokenBucket({ limit: 100, window: "1 hour" })
const everybody = RateLimiter.shared(RateLimiter.tokenBucket({ limit: 4, window: "1 second" }))

class Both extends Resilience.Service<Both>()("app/Both", { rateLimiter: RateLimiter.every({ user, everybody }) }) {}
class First extends Resilience.Service<First>()("app/First", { rateLimiter: user }) {}
class Second extends Resilience.Service<Second>()("app/Second", { rateLimiter: everybody }) {}

const inOneStep = pipe(Effect.void, Both.resilient({ user: "ada" }))
const oneAfterTheOther = pipe(Effect.void, Second.resilient("ada"), First.resilient("ada"))
// #endregion

const simulate = Effect.gen(function* () {
  const passed = { together: 0, apart: 0 }
  const rows: Array<{ second: number; passed: typeof passed; left: typeof passed }> = []
  for (let second = 0; second <= 30; second++) {
    const together = (yield* Both.inspect({ user: "ada" })).rateLimiter?.limits["user"]?.remaining ?? NaN
    const apart = (yield* First.inspect("ada")).rateLimiter?.remaining ?? NaN
    rows.push({ second, passed: { ...passed }, left: { together, apart } })
    for (let i = 0; i < 10; i++) {
      if ((yield* Effect.result(inOneStep))._tag === "Success") passed.together++
      if ((yield* Effect.result(oneAfterTheOther))._tag === "Success") passed.apart++
      yield* TestClock.adjust("100 millis")
    }
  }
  return rows
}).pipe(Effect.provide([Both.layer, First.layer, Second.layer, TestClock.layer()]))

const makeStudy = <Row extends Effect.Success<typeof simulate>[number]>(rows: ReadonlyArray<Row>): Study<Row> => ({
  question: "One step, or one limit after the other?",
  scene: "Ada asks 10 times a second. She has 100 calls an hour, and all users together have 4 a second.",
  varied: { name: "second", of: ({ second }) => String(second) },
  rows,
  panels: [
    {
      title: "Her calls that passed so far",
      lines: [
        { name: "one step", of: ({ passed }) => passed.together, unit: "" },
        { name: "one after the other", of: ({ passed }) => passed.apart, unit: "" }
      ]
    },
    {
      title: "What is left of her 100",
      lines: [
        { name: "one step", of: ({ left }) => left.together, unit: "" },
        { name: "one after the other", of: ({ left }) => left.apart, unit: "" }
      ]
    }
  ]
})

export const study = Effect.map(simulate, makeStudy)

if (import.meta.main) console.log(table(await Effect.runPromise(study)))
