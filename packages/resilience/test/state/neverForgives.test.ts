/** What the memory store forgets, it forgets without forgiving: a store that never forgets decides the same. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, type RateLimiter } from "../../src/index.ts"
import { breakerOn, limiterKinds as kinds, limiterOn, neverForgets, settle, spied, traffic } from "./support.ts"

describe("dropping never forgives", () => {
  const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
  const Roll = Schema.Struct({ key: int(0, 2), cost: int(1, 4), gap: int(0, 9), what: int(0, 9), sweep: int(0, 3) })
  const rolls = Arbitrary.array(Arbitrary.schema(Roll), { minLength: 25, maxLength: 50 })
  /** Gaps around a limiter's edges: none, a token's time, a window, beyond it. */
  const gaps = [0, 0, 0, 1, 100, 333, 334, 999, 1_000, 5_000]

  for (const [kind, policy] of Object.entries(kinds)) {
    let dropped = 0
    it.effect.prop(
      `a ${kind} that is swept hard admits what one admits that never forgets`,
      { rolls },
      ({ rolls }) =>
        Effect.gen(function* () {
          const { remembers, store } = yield* spied
          const forgetful = yield* limiterOn(store, policy)
          const exact = yield* limiterOn(neverForgets(), policy)
          const ask = (limiter: RateLimiter.RateLimiterService<string>, { cost, key, what }: typeof Roll.Type) =>
            what === 0
              ? limiter.reset(`${key}`)
              : what === 1
                ? Effect.as(Effect.exit(Effect.interrupt.pipe(limiter.execute(`${key}`, { cost }))), "ran") // keeps what it spent
                : limiter.allow(`${key}`, { cost })
          for (const roll of rolls) {
            yield* TestClock.adjust(gaps[roll.gap]!)
            const known = remembers(`${roll.key}`)
            if (roll.sweep > 0) yield* traffic(forgetful, 150)
            if (known && !remembers(`${roll.key}`)) dropped++
            assert.deepStrictEqual(yield* ask(forgetful, roll), yield* ask(exact, roll))
            const [one, two] = [yield* forgetful.peek(`${roll.key}`), yield* exact.peek(`${roll.key}`)]
            assert.deepStrictEqual(
              [one.remaining, one.resetAfterMillis, one.waitFor(1)],
              [two.remaining, two.resetAfterMillis, two.waitFor(1)]
            )
          }
        }),
      { arbitrary: { runs: 60 } }
    )
    it(`and keys of the ${kind} were dropped meanwhile`, () => assert.isAbove(dropped, 20))
  }

  const trips = {
    consecutive: CircuitBreaker.consecutive(2, { within: "1 second" }),
    failureRate: CircuitBreaker.failureRate({ threshold: 0.5, window: "1 second", minimumCalls: 2 }),
    slowCallRate: CircuitBreaker.slowCallRate({ slowAfter: 1, threshold: 0.5, window: "1 second", minimumCalls: 2 })
  }
  for (const [kind, tripPolicy] of Object.entries(trips)) {
    let dropped = 0
    it.effect.prop(
      `circuits that trip by ${kind} and are swept hard refuse what those refuse that are never forgotten`,
      { rolls },
      ({ rolls }) =>
        Effect.gen(function* () {
          const policy = CircuitBreaker.policy({ tripPolicy, openDuration: 333, by: "key" })
          const { remembers, store } = yield* spied
          const forgetful = yield* breakerOn(store, policy)
          const exact = yield* breakerOn(neverForgets(), policy)
          const sweep = Effect.forEach(
            Array.from({ length: 150 }),
            (_, i) => forgetful.execute(Effect.void, `traffic ${i % 3}`),
            { discard: true }
          )
          const ask = (breaker: CircuitBreaker.CircuitBreakerService, { key, what }: typeof Roll.Type) =>
            what === 0
              ? breaker.reset(`${key}`)
              : what === 1
                ? breaker.close(`${key}`)
                : Effect.exit(breaker.execute(what < 6 ? Effect.fail("down") : Effect.succeed("up"), `${key}`))
          const running: Array<Fiber.Fiber<unknown, unknown>> = []
          for (const roll of rolls) {
            yield* TestClock.adjust(gaps[roll.gap]!)
            const known = remembers(`${roll.key}`)
            if (roll.sweep > 0) yield* sweep
            if (known && !remembers(`${roll.key}`)) dropped++
            if (roll.cost === 4) {
              // a call that outlives what follows
              for (const breaker of [forgetful, exact]) {
                running.push(
                  yield* Effect.forkChild(
                    Effect.exit(breaker.execute(Effect.andThen(Effect.sleep(700), Effect.fail("down")), `${roll.key}`))
                  )
                )
              }
              yield* settle
            } else {
              assert.deepStrictEqual(yield* ask(forgetful, roll), yield* ask(exact, roll))
            }
            const [one, two] = [yield* forgetful.state(`${roll.key}`), yield* exact.state(`${roll.key}`)]
            assert.deepStrictEqual(
              [one.state, one.retryAfterMillis, one.windows],
              [two.state, two.retryAfterMillis, two.windows]
            )
          }
          yield* Fiber.interruptAll(running)
        }),
      { arbitrary: { runs: 60 } }
    )
    it(`and circuits that trip by ${kind} were dropped meanwhile`, () => assert.isAbove(dropped, 20))
  }
})
