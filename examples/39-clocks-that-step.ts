/** A clock is set back, and set forward. A limit in the process does not notice; one in a shared store goes by its server. */
import { Clock, Effect, pipe } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter, Resilience, Store } from "effect-resilience"
import { type Study, table } from "./choosing/study.ts"
import * as RemoteStore from "./how-it-works/remoteStore.ts"

const policies = { rateLimiter: RateLimiter.tokenBucket({ limit: 50, window: "5 seconds" }) }

/** By how many seconds the clock is ahead: set back by 3, set back by 15 more, and set right. */
const aheadAt = (second: number): number => (second < 10 ? 0 : second < 20 ? -3 : second < 30 ? -18 : 0)

/** The test's clock, its wall clock and its monotonic side ahead by so many seconds. */
const shifted = (clock: Clock.Clock, wall: () => number, monotonic: () => number): Clock.Clock => {
  const nanos = (time: bigint, ahead: () => number) => time + BigInt(ahead() * 1e9)
  return {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + wall() * 1_000,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (time) => time + wall() * 1_000),
    currentTimeNanosUnsafe: () => nanos(clock.currentTimeNanosUnsafe(), wall),
    currentTimeNanos: Effect.map(clock.currentTimeNanos, (time) => nanos(time, wall)),
    monotonicTimeNanosUnsafe: () => nanos(clock.monotonicTimeNanosUnsafe(), monotonic),
    monotonicTimeNanos: Effect.map(clock.monotonicTimeNanos, (time) => nanos(time, monotonic)),
    sleep: (duration) => clock.sleep(duration)
  }
}

const simulate = Effect.gen(function* () {
  let second = 0
  const ahead = () => aheadAt(second)
  const clock = yield* Clock.Clock
  const ofProcess = Effect.provideService(
    Clock.Clock,
    shifted(clock, ahead, () => 0)
  ) // what an operating system promises
  const ofServer = Effect.provideService(Clock.Clock, shifted(clock, ahead, ahead))

  const local = yield* Resilience.make("app/Local", policies)
  const store = yield* RemoteStore.make(ofServer)
  const shared = yield* Effect.provideService(Resilience.makeFromStore("app/Shared", policies), Store.Store, store)

  const rows: Array<{ second: number; shows: number; local: number; shared: number }> = []
  for (; second < 40; second++) {
    const row = { second, shows: second + ahead(), local: 0, shared: 0 }
    for (let i = 0; i < 100; i++) {
      const count = (into: "local" | "shared") => Effect.sync(() => row[into]++)
      yield* pipe(count("local"), local.resilient("ada"), ofProcess, Effect.ignore)
      yield* pipe(count("shared"), shared.resilient("ada"), ofProcess, Effect.ignore)
      yield* TestClock.adjust("10 millis")
    }
    rows.push(row)
  }
  return rows
}).pipe(Effect.scoped, Effect.provide(TestClock.layer()))

const makeStudy = <Row extends Effect.Success<typeof simulate>[number]>(rows: ReadonlyArray<Row>): Study<Row> => ({
  question: "What if a clock steps?",
  scene: '100 calls a second through tokenBucket({ limit: 50, window: "5 seconds" })',
  varied: { name: "second", of: ({ second }) => String(second) },
  rows,
  panels: [
    {
      title: "What the clock shows",
      lines: [
        { name: "a clock that steps", of: ({ shows }) => shows, unit: "s" },
        { name: "true time", of: ({ second }) => second, unit: "s", dashed: true }
      ]
    },
    {
      title: "Let through, in each second",
      lines: [
        { name: "through a shared store", of: ({ shared }) => shared, unit: "calls" },
        { name: "in a process", of: ({ local }) => local, unit: "calls" }
      ]
    }
  ]
})

export const study = Effect.map(simulate, makeStudy)

if (import.meta.main) console.log(table(await Effect.runPromise(study)))
