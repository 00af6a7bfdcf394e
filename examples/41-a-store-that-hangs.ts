/** A shared store does not answer for ten seconds. What four processes let through meanwhile is for a policy to say. */
import { Clock, Effect, pipe } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter, Resilience, Store } from "effect-resilience"
import { type Study, table } from "./choosing/study.ts"
import * as RemoteStore from "./how-it-works/remoteStore.ts"

const rateLimiter = RateLimiter.tokenBucket({ limit: 20, window: "1 second", burst: 4 })

// #region choices
const choices = {
  local: { onError: "local" },
  share: { onError: "local", localShare: 0.25 },
  allow: { onError: "allow" },
  fail: { onError: "fail" }
} as const
// #endregion

type Choice = keyof typeof choices
interface Row {
  readonly second: number
  readonly passed: { [choice in Choice]: number }
  readonly slowest: { [choice in Choice]: number }
}

const simulate = Effect.fnUntraced(
  function* (choice: Choice, rows: ReadonlyArray<Row>) {
    const store = yield* RemoteStore.make((question) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        now >= 10_000 && now < 20_000 ? Effect.never : Effect.delay(question, "2 millis")
      )
    )
    const policies = { rateLimiter, store: { ...choices[choice], deadline: "100 millis" } } as const
    const process = Effect.provideService(Resilience.makeFromStore("app/Api", policies), Store.Store, store)
    const processes = yield* Effect.all([process, process, process, process])

    const call = ({ passed, slowest }: Row, { resilient }: (typeof processes)[number]) =>
      Effect.gen(function* () {
        const began = yield* Clock.currentTimeMillis
        const result = yield* pipe(Effect.void, resilient("everybody"), Effect.result)
        slowest[choice] = Math.max(slowest[choice], (yield* Clock.currentTimeMillis) - began)
        if (result._tag === "Success") passed[choice]++
      })

    for (const row of rows) {
      for (let i = 0; i < 100; i++) {
        yield* Effect.forkScoped(call(row, processes[i % 4]!))
        yield* TestClock.adjust("10 millis")
      }
    }
    yield* TestClock.adjust("1 second") // the last calls end
  },
  Effect.scoped,
  Effect.provide(TestClock.layer())
)

const choice = (name: string, key: Choice) => ({ name, of: ({ passed }: Row) => passed[key], unit: "calls" })

const makeStudy = (rows: ReadonlyArray<Row>): Study<Row> => ({
  question: "What if the store hangs?",
  scene:
    "4 processes share 20 calls a second and ask 100 times a second. From second 10 to 20 their store does not answer.",
  varied: { name: "second", of: ({ second }) => String(second) },
  rows,
  panels: [
    {
      title: "Let through, in each second",
      lines: [
        choice("allow", "allow"),
        choice("local", "local"),
        choice("local, share 0.25", "share"),
        choice("fail", "fail")
      ]
    },
    {
      title: "The slowest decision, in each second",
      lines: [{ name: "all four", of: ({ slowest }) => Math.max(...Object.values(slowest)), unit: "ms" }]
    }
  ]
})

export const study = Effect.gen(function* () {
  const rows = Array.from({ length: 30 }, (_, second): Row => {
    const none = { local: 0, share: 0, allow: 0, fail: 0 }
    return { second, passed: { ...none }, slowest: { ...none } }
  })
  for (const choice of Object.keys(choices) as Array<Choice>) yield* simulate(choice, rows) // its keys are closed
  return makeStudy(rows)
})

if (import.meta.main) console.log(table(await Effect.runPromise(study)))
