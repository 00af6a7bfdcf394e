/**
 * Laws as values: a name, and an Effect that fails with a counter-example where the law does not hold.
 *
 * They know no test framework. With `@effect/vitest`, one line registers them all:
 *
 *     for (const { name, check } of KernelLaws.limiter({ ... })) it.effect(name, () => check)
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/**
 * One law.
 *
 * @category models
 * @since 0.1.0
 */
export interface Law<out R = never> {
  /** A plain sentence that is true where the law holds. */
  readonly name: string
  /** Looks for a counter-example, and shrinks the one that it finds. */
  readonly check: Effect.Effect<void, LawViolation, R>
}

/**
 * A law does not hold, and this is why: the smallest counter-example found, and the `seed` that finds it again.
 *
 * @category errors
 * @since 0.1.0
 */
export class LawViolation extends Data.TaggedError("LawViolation")<{
  readonly law: string
  readonly seed: string | number
  readonly message: string
}> {}

/**
 * Where and how hard to look for counter-examples.
 *
 * @category models
 * @since 0.1.0
 */
export interface SearchOptions {
  /** Repeats a search. Default: drawn anew for each check, and named in the violation. */
  readonly seed?: string | number | undefined
  /** A factor on the number of random cases of each law. Default: 1. */
  readonly effort?: number | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface CheckOptions extends SearchOptions {
  /** How many random cases, before `effort`. Default: 100. */
  readonly runs?: number | undefined
  /** How large a random case grows. Default: 40. */
  readonly size?: number | undefined
}

/**
 * Makes a law of a property. The property fails by throwing (an assertion of any library) or by failing.
 *
 * **Example** (A law of addition)
 *
 * ```ts
 * import { Arbitrary, Effect, Schema } from "effect"
 * import { Law } from "effect-resilience-testing"
 *
 * const commutes = Law.make("a + b is b + a", Arbitrary.all([Arbitrary.schema(Schema.Int), Arbitrary.schema(Schema.Int)]), ([a, b]) => {
 *   if (a + b !== b + a) throw new Error("no")
 * })
 *
 * Effect.runPromise(commutes.check)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A, E = never, R = never>(
  name: string,
  cases: Arbitrary.Arbitrary<A>,
  property: (value: A) => Effect.Effect<void, E, R> | void,
  options: CheckOptions = {}
): Law<R> => ({
  name,
  check: Effect.gen(function* () {
    const seed = options.seed ?? (yield* Random.nextInt)
    const evaluate = (value: A) =>
      Effect.catchDefect(
        Effect.suspend(() => Effect.as(property(value) ?? Effect.void, true)),
        (defect) => Effect.fail(defect instanceof Error ? defect.message : defect)
      )
    const result = yield* Arbitrary.checkEffect(cases, evaluate, {
      seed,
      runs: Math.ceil((options.runs ?? 100) * (options.effort ?? 1)),
      size: options.size ?? 40
    })
    const failure = Arbitrary.formatCheckFailure(result)
    if (failure !== undefined) return yield* new LawViolation({ law: name, seed, message: `${name}\n${failure}` })
  })
})
