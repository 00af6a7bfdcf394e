/**
 * A flood of new keys beside one that takes all it can get: whatever is forgotten for the new ones, the one never gets more
 * than its bound. The table holds at least the keys that come while a window repays one unit.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Exit, Schema } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, RateLimiter } from "../../src/index.ts"
import { breakerOn, limiterOn, spied } from "./support.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

interface Numbers {
  readonly limit: number
  readonly window: number
  readonly maxKeys: number
}

/** The most that may be taken from `from` to `to`, both included. */
type Bound = (numbers: Numbers, from: number, to: number) => number

const slices = 5
const trailing: Bound = ({ limit, window }, from, to) => (to - from < window ? limit : Infinity)
const kinds: Record<string, readonly [policy: (numbers: Numbers) => RateLimiter.Policy, bound: Bound, counts: number]> =
  {
    tokenBucket: [
      RateLimiter.tokenBucket,
      ({ limit, window }, from, to) => limit + Math.floor((limit * (to - from)) / window),
      1
    ],
    leakyBucket: [
      (numbers) => RateLimiter.leakyBucket({ ...numbers, capacity: numbers.limit }),
      ({ limit, window }, from, to) => limit + Math.floor((limit * (to - from)) / window),
      1
    ],
    fixedWindow: [
      RateLimiter.fixedWindow,
      ({ limit, window }, from, to) => limit * (Math.floor(to / window) - Math.floor(from / window) + 1),
      1
    ],
    slidingWindow: [(numbers) => RateLimiter.slidingWindow({ ...numbers, slices }), trailing, (slices + 1) / slices],
    slidingLog: [RateLimiter.slidingLog, trailing, 1]
  }

describe("beside a flood of new keys", () => {
  for (const [kind, [policyOf, bound, counts]] of Object.entries(kinds)) {
    let forgotten = 0
    it.effect.prop(
      `a key of a ${kind} gets no more than its bound`,
      { limit: int(2, 8), tenths: int(2, 20), step: int(7, 120), flood: int(1, 4) },
      ({ flood, limit, step, tenths }) =>
        Effect.gen(function* () {
          const window = tenths * 50 * slices
          const unit = Math.ceil((window * counts) / limit)
          const maxKeys = flood * (Math.ceil(unit / step) + 1) + 1
          const numbers = { limit, window, maxKeys }
          const { size, store } = yield* spied
          const limiter = yield* limiterOn(store, policyOf(numbers))
          const taken: Array<number> = []
          for (let now = 0, i = 0; now < 2.5 * window && i < 400; now += step, i++) {
            if (yield* limiter.allow("greedy")) taken.push(now)
            for (let n = 0; n < flood; n++) yield* limiter.allow(`new ${i} ${n}`)
            if (size() === maxKeys) forgotten++
            yield* TestClock.adjust(step)
          }
          for (let i = 0; i < taken.length; i++) {
            for (let j = i; j < taken.length; j++) {
              assert.isAtMost(j - i + 1, bound(numbers, taken[i]!, taken[j]!), `from ${taken[i]} to ${taken[j]}`)
            }
          }
          assert.isAtLeast(taken.length, limit)
        }),
      { arbitrary: { runs: 40 } }
    )
    it(`${kind}: and keys were forgotten meanwhile`, () => assert.isAbove(forgotten, 500))
  }

  it.effect.prop(
    "a circuit opens after as many failures as without, stays open as long, and one that is isolated stays so",
    { failures: int(2, 6), flood: int(1, 5), maxKeys: int(3, 6) },
    ({ failures, flood, maxKeys }) =>
      Effect.gen(function* () {
        const { store } = yield* spied
        const breaker = yield* breakerOn(
          store,
          CircuitBreaker.policy({
            tripPolicy: CircuitBreaker.consecutive(failures),
            openDuration: "1 second",
            by: "key",
            maxKeys
          })
        )
        const fail = (key: string) => Effect.map(Effect.exit(breaker.execute(Effect.fail("down"), key)), Exit.isFailure)
        yield* breaker.isolate("isolated")
        let n = 0
        const newcomers = Effect.suspend(() =>
          Effect.forEach(Array.from({ length: flood * maxKeys }), () => fail(`new ${n++}`), { discard: true })
        )
        yield* fail("bad")
        for (let i = 1; i < failures; i++) {
          yield* fail("bad") // with one failure it counts no more than a newcomer
          if (i < failures - 1) yield* newcomers
        }
        yield* newcomers
        assert.strictEqual((yield* breaker.state("bad")).state, "Open")
        yield* TestClock.adjust(999)
        yield* newcomers
        assert.strictEqual((yield* breaker.state("bad")).state, "Open")
        yield* TestClock.adjust(1)
        yield* newcomers
        assert.strictEqual((yield* breaker.state("bad")).state, "HalfOpen")
        yield* fail("bad")
        yield* newcomers
        assert.strictEqual((yield* breaker.state("bad")).state, "Open")
        assert.strictEqual((yield* breaker.state("isolated")).state, "Isolated")
      }),
    { arbitrary: { runs: 40 } }
  )

  it.effect("a key that is fresh goes before one that is not, however little that one owes", () =>
    Effect.gen(function* () {
      const { remembers, store } = yield* spied
      const limiter = yield* limiterOn(store, RateLimiter.slidingLog({ limit: 10, window: 1_000, maxKeys: 2 }))
      yield* limiter.allow("drained", { cost: 10 })
      yield* TestClock.adjust(500)
      yield* limiter.allow("one", { cost: 1 }) // repaid at 600, if evenly; forgotten at 1,500
      yield* TestClock.adjust(500)
      yield* limiter.allow("new")
      assert.deepStrictEqual(["drained", "one", "new"].filter(remembers), ["one", "new"])
    })
  )
})
