import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Schedule } from "effect"
import * as Backoff from "../src/Backoff.ts"
import { type Event, EventSink, type RetryScheduled } from "../src/Event.ts"
import { RetryExhausted } from "../src/Rejection.ts"
import * as Retry from "../src/Retry.ts"
import { Busy, busy, every100, finish, refused } from "./failing.ts"

class Patient extends Retry.Service<Patient>()(
  "test/Patient",
  Retry.policy({ maxAttempts: 4, ...every100, onExhausted: "wrap", while: (error: Busy) => error.n < 100 })
) {}
class Quick extends Retry.Service<Quick>()("test/Quick", Retry.policy({ maxAttempts: 2, ...every100 })) {}

describe("services", () => {
  it.effect("a named service carries its policy, its layer and exact types", () =>
    Effect.gen(function* () {
      const { at, effect } = busy()
      const executed: Effect.Effect<number, Busy | RetryExhausted<Busy>, Patient> = effect.pipe(
        Patient.execute("user:1")
      )
      const error = yield* Effect.flip(yield* finish(Effect.provide(executed, Patient.layer)))
      assert.instanceOf(error, RetryExhausted)
      assert.strictEqual(error.key, "user:1")
      assert.strictEqual(error.message, "user:1 failed after 4 attempts")
      assert.strictEqual(at.length, 4)
      const quick: Effect.Effect<number, Busy, Quick> = Quick.execute(busy().effect)
      assert.deepStrictEqual(yield* finish(Effect.provide(quick, Quick.layer)), Exit.fail(new Busy({ n: 2 })))
    })
  )

  it.effect("the key may be left out, data-first and in a pipe", () =>
    Effect.gen(function* () {
      const keys: Array<unknown> = []
      for (const executed of [
        Patient.execute(busy().effect),
        busy().effect.pipe(Patient.execute()),
        Patient.execute(busy().effect, "data-first"),
        busy().effect.pipe(Patient.execute("data-last"))
      ]) {
        const error = yield* Effect.flip(yield* finish(Effect.provide(executed, Patient.layer)))
        if (error._tag === "RetryExhausted") keys.push(error.key)
      }
      assert.deepStrictEqual(keys, ["test/Patient", "test/Patient", "data-first", "data-last"])
    })
  )

  it.effect("the service itself can be asked for, and swapped by a test", () =>
    Effect.gen(function* () {
      const { at, effect } = busy()
      const asked = Effect.flatMap(Quick, (quick) => quick.execute(effect))
      for (const program of [asked, Quick.execute(effect)]) {
        at.length = 0
        yield* finish(Effect.provide(program, Layer.effect(Quick, Retry.make(Retry.policy({ maxAttempts: 1 })))))
        assert.strictEqual(at.length, 1)
        yield* finish(Effect.provide(program, Quick.layer))
        assert.strictEqual(at.length, 3)
      }
    })
  )

  it.effect("the default service takes any call, and its error covers both ends", () =>
    Effect.gen(function* () {
      const { effect } = busy()
      const executed: Effect.Effect<number, Busy | RetryExhausted<Busy>, Retry.Retry> = Retry.Retry.execute(effect)
      const layer = Retry.layer(Retry.policy({ maxAttempts: 2, ...every100 }))
      assert.deepStrictEqual(yield* finish(Effect.provide(executed, layer)), Exit.fail(new Busy({ n: 2 })))
    })
  )

  it("an effect that cannot fail gains no error", () => {
    const executed: Effect.Effect<number, never, Patient> = Patient.execute(Effect.succeed(1))
    const alone: Effect.Effect<number> = Effect.succeed(1).pipe(Retry.execute(Retry.policy({ onExhausted: "wrap" })))
    assert.isTrue(Effect.isEffect(executed) && Effect.isEffect(alone))
  })

  it.effect("each backoff is told to the sink, with the attempt that failed", () =>
    Effect.gen(function* () {
      const events: Array<Event> = []
      const program = Patient.execute(busy().effect, "user:1").pipe(
        Effect.provideService(EventSink, (event) => events.push(event)),
        Effect.provide(Patient.layer)
      )
      yield* finish(program)
      assert.deepStrictEqual(
        events.filter((event) => event._tag === "RetryScheduled"),
        [1, 2, 3].map((attempt): RetryScheduled => ({
          _tag: "RetryScheduled",
          error: new Busy({ n: attempt }),
          service: "test/Patient",
          key: "user:1",
          attempt,
          delay: 100
        }))
      )
    })
  )
})

describe("bad input is refused by module and field", () => {
  // What no type lets through still arrives from JavaScript and from configuration.
  const never = (u: unknown) => u as never
  it("maxAttempts", () => {
    for (const bad of [NaN, -Infinity, -1, 0, 0.5, 2.5, 2 ** 53, "", "3", true]) {
      refused("Retry.policy", "maxAttempts", () => Retry.policy({ maxAttempts: never(bad) }))
    }
  })

  it("maxRetryAfter", () => {
    for (const bad of [NaN, Infinity, -Infinity, -1, 0, 0.5, "", "soon", true, 2 ** 53, "Infinity"]) {
      refused("Retry.policy", "maxRetryAfter", () => Retry.policy({ maxRetryAfter: never(bad) }))
      refused("Retry.fromSchedule", "maxRetryAfter", () =>
        Retry.fromSchedule(Schedule.forever, { maxRetryAfter: never(bad) })
      )
    }
  })

  it("onExhausted and backoff", () => {
    for (const bad of ["", "first", "__proto__", 1, true]) {
      refused("Retry.policy", "onExhausted", () => Retry.policy({ onExhausted: never(bad) }))
      refused("Retry.fromSchedule", "onExhausted", () =>
        Retry.fromSchedule(Schedule.forever, { onExhausted: never(bad) })
      )
    }
    for (const bad of ["", 100, NaN, {}, "1 second", Duration.seconds(1), { ...Backoff.constant(1), delay: NaN }]) {
      refused("Retry.policy", "backoff", () => Retry.policy({ backoff: never(bad) }))
    }
  })
})
