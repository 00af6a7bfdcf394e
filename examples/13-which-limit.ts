/** The same greedy caller meets each limit, 10 calls per 10 s: after 9 s of rest it takes all that it can get. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter } from "effect-resilience"

const rate = { limit: 10, window: "10 seconds" } as const

const limits = {
  tokenBucket: RateLimiter.tokenBucket(rate),
  "tokenBucket, burst 2": RateLimiter.tokenBucket({ ...rate, burst: 2 }),
  leakyBucket: RateLimiter.leakyBucket({ ...rate, capacity: 10 }),
  fixedWindow: RateLimiter.fixedWindow(rate),
  slidingWindow: RateLimiter.slidingWindow(rate),
  slidingLog: RateLimiter.slidingLog(rate)
}

/** The times, in seconds, at which a limit let a call through. */
const passes = (limit: RateLimiter.Limit) =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make(limit)
    const times: Array<number> = []
    yield* TestClock.adjust("9 seconds")
    for (let tenth = 90; tenth < 1_290; tenth++) {
      while (yield* limiter.allow("ada")) times.push(tenth / 10)
      yield* TestClock.adjust("100 millis")
    }
    return times
  }).pipe(Effect.provide(TestClock.layer()))

const program = Effect.gen(function* () {
  console.log("                      at once   worst 10 s   in 2 min")
  for (const [name, limit] of Object.entries(limits)) {
    const times = yield* passes(limit)
    const within = (from: number, span: number) => times.filter((time) => time >= from && time < from + span).length
    const figures = [within(9, 0.1), Math.max(...times.map((time) => within(time, 10))), times.length]
    console.log(name.padEnd(20), ...figures.map((figure) => String(figure).padStart(9)))
  }
})

Effect.runPromise(program)
