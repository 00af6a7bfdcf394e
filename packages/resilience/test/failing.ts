/**
 * Calls that fail, for the tests of retries.
 */
import { assert } from "@effect/vitest"
import { Clock, Data, type Duration, Effect, Fiber, Option, Random } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../src/Backoff.ts"
import { InvalidPolicyError } from "../src/Rejection.ts"

export class Busy extends Data.TaggedError("Busy")<{ readonly n: number; readonly wait?: Duration.Input }> {
  // Assertions compare errors by name and message.
  override get message() {
    return `busy ${this.n}`
  }
}

/** A call that fails as often as `fail` says so, and remembers when it ran. */
export const call = <E>(fail: (n: number) => Effect.Effect<never, E> | undefined) => {
  const at: Array<number> = []
  const effect = Effect.flatMap(
    Clock.currentTimeMillis,
    (now): Effect.Effect<number, E> => fail(at.push(now)) ?? Effect.succeed(at.length)
  )
  return { at, effect }
}
export const busy = (failures = Infinity, wait?: Duration.Input) =>
  call((n) => (n <= failures ? Effect.fail(new Busy(wait === undefined ? { n } : { n, wait })) : undefined))

/** Runs to the end of a virtual day. */
export const finish = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust("1 day")
    return yield* Fiber.await(fiber)
  })

/** Every number that is drawn is `u`. */
export const drawing = (u: number) =>
  Effect.provideService(Random.Random, { nextDoubleUnsafe: () => u, nextIntUnsafe: () => 0 })

export const every100 = { backoff: Backoff.constant(100) }

/** A `retryAfter` for `Busy`. */
export const readWait = (error: Busy) =>
  error.wait === undefined ? Option.none<Duration.Input>() : Option.some<Duration.Input>(error.wait)

/** What no type lets through still arrives from JavaScript and from configuration: refused by module and field. */
export const refused = (module: string, parameter: string, build: () => unknown) => {
  try {
    build()
  } catch (error) {
    assert.instanceOf(error, InvalidPolicyError)
    assert.strictEqual(error.module, module)
    assert.strictEqual(error.parameter, parameter)
    assert.include(error.message, `${module}: ${parameter} `)
    return
  }
  assert.fail(`${module} accepted its ${parameter}`)
}
