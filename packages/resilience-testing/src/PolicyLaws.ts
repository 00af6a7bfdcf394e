/**
 * The laws of policies in one service, to run on one of your own.
 *
 * A policy that keeps them can stand beside any other: it takes nothing where another refuses, it refunds what was not
 * used, and each of its admissions is recorded and released exactly once, wherever the call is interrupted. They run on the
 * memory store and on one whose answers take a trip, in a world with its own time, which begins at `startsAt`. Beside your policies stands a witness, which refuses now and then
 * and counts what it let through.
 *
 * A policy that refuses no call of the laws would keep most of them whatever it does. So one of them demands that each policy
 * in `policies.policies` refuses a call: give it small numbers, and a `startsAt` at which it refuses.
 *
 * What a policy holds is seen by its `inspect`, and by what the store has: give a policy with slots or counters in this
 * process an `inspect` that tells them.
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
import type * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type { Policies } from "effect-resilience/Policies"
import { layerMemory, type Store } from "effect-resilience/Store"
import * as distantStore from "./internal/distantStore.ts"
import { BUG, isRefused, type Key, Stage } from "./internal/policyStage.ts"
import { manyAt, probe, type Verdict } from "./internal/policyWitness.ts"
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
  /**
   * The time at which each case begins, in milliseconds, on both clocks: the monotonic one and the wall clock. Default: 2^39,
   * which is 21:56:53.888 UTC on 3 June 1987. The calls of a case come within a second or two, so a policy that looks at
   * the time of the day needs a time at which it refuses.
   */
  readonly startsAt?: number | undefined
  /** The labels of policies that are to refuse no call of these laws. Default: none. */
  readonly neverRefuse?: ReadonlyArray<string> | undefined
}

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const act = Arbitrary.all({ what: int(0, 11), key: int(0, 3), cost: int(1, 3), millis: int(0, 400), pick: int(0, 9) })
type Act = typeof act extends Arbitrary.Arbitrary<infer A> ? A : never

const acts = (most: number) => Arbitrary.array(act, { minLength: 1, maxLength: most })

/** How the effect of a call goes on and ends. */
const bodyOf = ({ millis, pick }: Act): Effect.Effect<unknown, unknown> => {
  const ends: ReadonlyArray<Effect.Effect<unknown, unknown>> = [Effect.succeed(1), Effect.fail("down"), Effect.die(BUG)]
  const end = ends[pick % 3]!
  if (pick < 3) return end
  if (pick < 6) return Effect.andThen(Effect.sleep(millis), end)
  return pick < 8 ? Effect.andThen(Effect.yieldNow, end) : Effect.never
}

/** One that says nothing about the dependency, or only good things, and takes no time. */
const goodBodyOf = ({ pick }: Act): Effect.Effect<unknown> => {
  if (pick < 4) return Effect.succeed(1)
  return pick < 7 ? Effect.andThen(Effect.yieldNow, Effect.succeed(1)) : Effect.never
}

const verdicts: ReadonlyArray<Verdict> = ["passes", "refused in this process", "refused by the store"]

/** Calls, interruptions and time, with or without rest between them. */
const play = (stage: Stage, all: ReadonlyArray<Act>, onlyGood = false): void => {
  for (const act of all) {
    if (act.what < 7) {
      stage.witness.verdict = verdicts[Math.max(0, act.what - 4)]!
      stage.call(act.key, onlyGood ? goodBodyOf(act) : bodyOf(act), act.cost)
    } else if (act.what < 9) stage.made[act.pick % Math.max(1, stage.made.length)]?.fiber.interruptUnsafe()
    else if (!onlyGood) stage.world.advance(act.millis)
    if (act.pick % 2 === 0) stage.world.settle()
    else stage.world.turn(stage.world.now)
  }
  stage.witness.verdict = "passes"
}

const must = (holds: boolean, what: () => string): void => {
  if (!holds) throw new Error(what())
}

const mustEnd = (stage: Stage, when = ""): void => {
  const faults = stage.end()
  must(faults.length === 0, () => `${when}${faults.join("; ")}`)
}

/**
 * The store of the laws that is not in this process: the memory store behind trips, for tests of your own.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerDistant: Layer.Layer<Store> = distantStore.layer

/** Milliseconds after which every limit and every circuit without failures is in its initial state, whatever its window. */
const AGES = 400 * 86_400_000

/**
 * The laws of some policies together.
 *
 * Each fails with a `LawViolation` that tells the smallest counter-example found and the seed to find it again.
 *
 * @category laws
 * @since 0.1.0
 */
export const laws = (options: Options): ReadonlyArray<Law.Law> => [
  ...lawsIn(options, "in this process", layerMemory),
  ...lawsIn(options, "on a remote store", layerDistant)
]

/** A law that some case is to hold for each label: fails where no case holds for one of them. */
const everyOne = <A>(
  name: string,
  cases: Arbitrary.Arbitrary<A>,
  heldBy: (value: A) => ReadonlyArray<string>,
  labels: ReadonlyArray<string>,
  options: Law.SearchOptions
): Law.Law => ({
  name,
  check: Effect.gen(function* () {
    const seed = options.seed ?? (yield* Random.nextInt)
    const missing = new Set(labels)
    const look = (value: A) => {
      if (missing.size > 0) for (const label of heldBy(value)) missing.delete(label)
    }
    yield* Law.make(name, cases, look, { ...options, seed }).check
    if (missing.size === 0) return
    const message =
      `${name}\nNo call was refused by ${[...missing].join(", ")}, so a mistake in its refusals would not be seen. ` +
      "Give it numbers so small, or a startsAt, that it refuses; or its label to neverRefuse, where it is to refuse none."
    return yield* new Law.LawViolation({ law: name, seed, message })
  })
})

const lawsIn = (options: Options, where: string, store: Layer.Layer<Store>): ReadonlyArray<Law.Law> => {
  const { context = Context.empty(), keys = ["ada", "bob"], neverRefuse = [], policies, startsAt } = options
  const search = { seed: options.seed, effort: options.effort }
  const stageOf = (witnessFirst: boolean, maxOps = 2048, all: Policies = policies) =>
    new Stage({ policies: all, keys, context, store, maxOps, startsAt, witnessFirst })
  const isFirst = Arbitrary.map(int(0, 1), (i) => i === 1)

  const once = Law.make(
    `each admission is recorded and released once, and nothing is left when all calls have ended (${where})`,
    Arbitrary.all({ acts: acts(25), maxOps: int(3, 60), isFirst }),
    ({ acts, isFirst, maxOps }) => {
      const stage = stageOf(isFirst, maxOps)
      play(stage, acts)
      mustEnd(stage)
    },
    search
  )

  const asNew = Law.make(
    `after calls that succeeded or were interrupted, and a long rest, all is as at first (${where})`,
    Arbitrary.all({ acts: acts(25), maxOps: int(3, 60), isFirst }),
    ({ acts, isFirst, maxOps }) => {
      const stage = stageOf(isFirst, maxOps)
      const before = stage.seen()
      play(stage, acts, true)
      mustEnd(stage)
      stage.world.advance(AGES)
      must(stage.seen() === before, () => `${before} became ${stage.seen()}`)
    },
    search
  )

  const nothingSpent = Law.make(
    `whatever refuses, nothing is spent (${where})`,
    Arbitrary.all({ acts: acts(20), key: int(0, 3), cost: int(1, 3), verdict: int(0, 2), isFirst }),
    ({ acts, cost, isFirst, key, verdict }) => {
      const stage = stageOf(isFirst)
      play(stage, acts)
      stage.world.advance(0) // all that is due now
      // the first call tells which keys it asks for: only then is it known what the store has of them
      for (let i = 0; i < 3; i++) {
        const known = stage.audit.known
        const all = () => stage.seen() + stage.kept(known)
        const before = all()
        stage.witness.verdict = verdicts[verdict]!
        const call = stage.call(key, Effect.succeed(1), cost)
        stage.world.settle()
        if (isRefused(call)) must(all() === before, () => `a refusal changed ${before} to ${all()}`)
      }
      mustEnd(stage)
    },
    search
  )

  const interrupted = Law.make(
    `interrupted at any point, a call that did not start has changed nothing (${where})`,
    Arbitrary.all({ acts: acts(12), key: int(0, 3), cost: int(1, 3), maxOps: int(3, 12), isFirst }),
    ({ acts, cost, isFirst, key, maxOps }) => {
      for (let turns = 0, ended = false; !ended; turns++) {
        const stage = stageOf(isFirst, maxOps)
        play(stage, acts)
        stage.world.advance(0) // all that is due now, or another call may end meanwhile
        const before = stage.seen()
        const call = stage.call(key, Effect.never, cost)
        for (let i = 0; i < turns; i++) ended = !stage.world.turn(stage.world.now)
        call.fiber.interruptUnsafe()
        stage.world.settle()
        if (call.starts() === 0) must(stage.seen() === before, () => `turn ${turns}: ${before} became ${stage.seen()}`)
        mustEnd(stage, `turn ${turns}: `)
      }
    },
    { ...search, runs: 20 }
  )

  const ordered = Law.make(
    `layers are passed in the order of their stages (${where})`,
    Arbitrary.array(int(1, 99), { minLength: 1, maxLength: 12 }),
    (given) => {
      const seen: Array<number> = []
      const stages = given.filter(manyAt)
      const probes = stages.map((stage, i) => [`probe ${i}`, probe(stage, (at) => seen.push(at))] as const)
      const all = { ...policies, policies: { ...policies.policies, ...Object.fromEntries(probes) } }
      const stage = stageOf(false, 2048, all)
      const call = stage.call(0, Effect.succeed(1))
      stage.world.settle()
      const due = call.starts() > 0 ? stages.toSorted((a, b) => a - b) : seen.toSorted((a, b) => a - b)
      must(String(seen) === String(due), () => `passed ${seen.join(", ")} and not ${due.join(", ")}`)
      mustEnd(stage)
    },
    search
  )

  const own = Object.keys(policies.policies ?? {}).filter((label) => !neverRefuse.includes(label))
  const refusing = everyOne(
    `each policy refuses a call, so that the laws are about its refusals as well (${where})`,
    Arbitrary.all({ acts: acts(25), isFirst }),
    ({ acts, isFirst }) => {
      const stage = stageOf(isFirst)
      play(stage, acts)
      const { gates, refused } = stage.audit
      return own.filter((label) => !gates.has(label) || refused.has(label))
    },
    own,
    search
  )

  return [once, asNew, nothingSpent, interrupted, ordered, refusing]
}
