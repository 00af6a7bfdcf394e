/**
 * The laws of policies in one service, to run on one of your own.
 *
 * A policy that keeps them can stand beside any other: it takes nothing where another refuses, it gives back what was not
 * used, and it is told of every call exactly once, wherever the call is interrupted. They run on the memory store and on one
 * whose answers take a trip, in a world with its own time.
 *
 * **Example** (The laws of a policy of your own)
 *
 * ```ts
 * import { it } from "@effect/vitest"
 * import { Bulkhead } from "effect-resilience"
 * import { PolicyLaws } from "effect-resilience-testing"
 *
 * const mine = Bulkhead.policy({ maxConcurrent: 2, maxWait: "1 second" }) // yours
 * for (const { check, name } of PolicyLaws.laws({ policies: { policies: { mine } } })) it.effect(name, () => check)
 * ```
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Policies } from "effect-resilience/Policies"
import { type AnyPolicy, type Member, make as makePolicy, type Policy } from "effect-resilience/Policy"
import { isRefused, type Key, type Place, Stage } from "./internal/policyStage.ts"
import * as Law from "./Law.ts"

/**
 * Policies, and what the laws need to know of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Law.SearchOptions {
  /** What `Resilience.make` takes. Opened anew for each case. */
  readonly policies: Policies
  /** The keys of the calls. Default: two strings. Where a policy looks at a dimension, records that have it. */
  readonly keys?: ReadonlyArray<Key> | undefined
  /** What every call finds in its context. */
  readonly context?: Context.Context<never> | undefined
}

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const act = Arbitrary.all({ what: int(0, 11), key: int(0, 3), cost: int(1, 3), millis: int(0, 400), pick: int(0, 9) })
type Act = typeof act extends Arbitrary.Arbitrary<infer A> ? A : never

const acts = (most: number) => Arbitrary.array(act, { minLength: 1, maxLength: most })

/** How the effect of a call goes on and ends. */
const bodyOf = ({ millis, pick }: Act): Effect.Effect<unknown, unknown> => {
  const ends: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
    Effect.succeed(1),
    Effect.fail("down"),
    Effect.die("bug")
  ]
  const end = ends[pick % 3]!
  if (pick < 3) return end
  if (pick < 6) return Effect.andThen(Effect.sleep(millis), end)
  return pick < 8 ? Effect.andThen(Effect.yieldNow, end) : Effect.never
}

const play = (stage: Stage, all: ReadonlyArray<Act>): void => {
  for (const act of all) {
    if (act.what < 7) stage.call(act.key, bodyOf(act), act.cost)
    else if (act.what < 9) stage.made[act.pick % Math.max(1, stage.made.length)]?.fiber.interruptUnsafe()
    else stage.world.advance(act.millis)
    if (act.pick % 2 === 0) stage.world.settle()
    else stage.world.turn(stage.world.now)
  }
}

const must = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(what)
}

const places: ReadonlyArray<readonly [name: string, place: Place]> = [
  ["in this process", undefined],
  ["on a remote store", { there: 2, back: 2 }]
]

/**
 * The laws of some policies together.
 *
 * Each fails with a `LawViolation` that tells the smallest counter-example found and the seed to find it again.
 *
 * @category laws
 * @since 0.1.0
 */
export const laws = (options: Options): ReadonlyArray<Law.Law> => {
  const { context = Context.empty(), keys = ["ada", "bob"], policies } = options
  const search = { seed: options.seed, effort: options.effort }
  const stageOf = (place: Place, maxOps = 2048, extra: Policies = policies) =>
    new Stage({ policies: extra, keys, context, place, maxOps })
  return places.flatMap(([where, place]) => [
    Law.make(
      `record and release come once for each admission, and nothing is left when all calls have ended (${where})`,
      Arbitrary.all({ acts: acts(25), maxOps: int(3, 60) }),
      ({ acts, maxOps }) => {
        const stage = stageOf(place, maxOps)
        play(stage, acts)
        const faults = stage.end()
        must(faults.length === 0, faults.join("; "))
      },
      search
    ),
    Law.make(
      `whatever refuses, nothing is spent (${where})`,
      Arbitrary.all({ acts: acts(20), key: int(0, 3), cost: int(1, 3) }),
      ({ acts, cost, key }) => {
        const stage = stageOf(place)
        play(stage, acts)
        stage.world.settle()
        const before = stage.seen()
        const call = stage.call(key, Effect.succeed(1), cost)
        stage.world.settle()
        const exit = call.fiber.pollUnsafe()
        if (exit !== undefined && !call.started() && isRefused(exit)) {
          must(stage.seen() === before, `a refusal changed ${before} to ${stage.seen()}`)
        }
        stage.end()
      },
      search
    ),
    Law.make(
      `interrupted at any point, a call that did not start has changed nothing (${where})`,
      Arbitrary.all({ acts: acts(12), key: int(0, 3), cost: int(1, 3), maxOps: int(3, 12) }),
      ({ acts, cost, key, maxOps }) => {
        for (let turns = 0, ended = false; !ended; turns++) {
          const stage = stageOf(place, maxOps)
          play(stage, acts)
          stage.world.settle()
          const before = stage.seen()
          const call = stage.call(key, Effect.never, cost)
          for (let i = 0; i < turns; i++) ended = !stage.world.turn(stage.world.now)
          call.fiber.interruptUnsafe()
          stage.world.settle()
          if (!call.started()) must(stage.seen() === before, `turn ${turns}: ${before} became ${stage.seen()}`)
          const faults = stage.end()
          must(faults.length === 0, `turn ${turns}: ${faults.join("; ")}`)
        }
      },
      { ...search, runs: 20 }
    ),
    Law.make(
      `members stand in the order of their stages (${where})`,
      Arbitrary.array(int(1, 99), { minLength: 1, maxLength: 12 }),
      (stages) => {
        const seen: Array<number> = []
        const probes = Object.fromEntries(stages.map((stage, i) => [`probe${i}`, probe(stage, seen)]))
        const stage = stageOf(place, 2048, { ...policies, policies: { ...policies.policies, ...probes } })
        stage.call(0, Effect.succeed(1))
        stage.world.settle()
        must(
          seen.every((at, i) => i === 0 || seen[i - 1]! <= at),
          `the layers were passed in the order ${seen.join(", ")}`
        )
        stage.end()
      },
      search
    )
  ])
}

/** A layer that notes when it is passed. */
const probe = (stage: number, seen: Array<number>): AnyPolicy =>
  makePolicy<Policy>({
    kind: "probe",
    options: {},
    open: (): Member => ({
      kind: "probe",
      stage,
      around: (next) => (attempt, now) =>
        Effect.suspend(() => {
          if (attempt.n === 1) seen.push(stage)
          return next(attempt, now)
        })
    })
  })
