/**
 * Whole pipelines, inside one fiber and through `Effect.runPromise`.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { compare, EFFECT, FLOOR, OURS } from "../compare.ts"
import { awaited, inFiber, inSyncFiber, inSyncFiberWith } from "../loops.ts"
import type { Case, Result } from "../model.ts"
import * as effectParts from "../peers/effectParts.ts"
import { makeFloor } from "../peers/floor.ts"
import { key, limit, windowMillis } from "../peers/numbers.ts"
import * as ours from "../peers/ours.ts"
import * as promises from "../peers/promises.ts"
import { thorough } from "../sample.ts"

const COCKATIEL = "cockatiel + rate-limiter-flexible"
const OPOSSUM = "opossum + p-retry + rate-limiter-flexible"
const TAGGED = "effect-resilience, through a tag"

const one = (a: unknown): boolean => a === 1

const sync = Effect.sync(() => 1)
const async = Effect.promise(async () => 1)

/** Prebuilt, one effect runs again and again. Otherwise each call builds its own. */
const formed = <A>(prebuilt: boolean, build: () => A): (() => A) => {
  if (!prebuilt) return build
  const value = build()
  return () => value
}

const forms: ReadonlyArray<readonly [form: string, prebuilt: boolean]> = [
  ["prebuilt", true],
  ["built per call", false]
]

const tagged = Effect.runSync(Layer.buildWithScope(ours.Tagged.layer, Scope.makeUnsafe()))
/** Breaker, token bucket and retry inside one fiber. */
export const inside: Case = {
  id: "pipeline",
  run: async (effort) => {
    const ourPipeline = ours.makePipeline()
    const floor = makeFloor({ limit, windowMillis })
    const parts = effectParts.makePipeline()
    const results: Array<Result> = []
    for (const [form, prebuilt] of forms) {
      const contestants = [
        inSyncFiber(
          OURS,
          formed(prebuilt, () => ourPipeline(sync, key)),
          one
        ),
        inSyncFiber(
          FLOOR,
          formed(prebuilt, () => floor(sync, key)),
          one
        ),
        inSyncFiber(
          EFFECT,
          formed(prebuilt, () => parts(sync, key)),
          one
        ),
        inSyncFiberWith(
          TAGGED,
          tagged,
          formed(prebuilt, () => ours.Tagged.resilient(sync, key)),
          one
        )
      ]
      const title = `breaker + token bucket + retry, all pass, inside one fiber, ${form}`
      results.push(await compare(title, effort, contestants, { [FLOOR]: 1.9, [EFFECT]: 0.1 }))
    }
    return results
  }
}

/** All policies around an asynchronous effect, inside one fiber. */
export const insideFull: Case = {
  id: "full-pipeline",
  run: async (effort) => {
    const ourPipeline = ours.makeFullPipeline()
    const parts = effectParts.makeFullPipeline()
    const results: Array<Result> = []
    for (const [form, prebuilt] of forms) {
      const contestants = [
        inFiber(
          OURS,
          formed(prebuilt, () => ourPipeline(async, key)),
          one
        ),
        inFiber(
          EFFECT,
          formed(prebuilt, () => parts(async, key)),
          one
        )
      ]
      const title = `the same + bulkhead + call timeout + attempt timeout, around an asynchronous effect, ${form}`
      results.push(await compare(title, effort, contestants, { [EFFECT]: 0.2 }))
    }
    return results
  }
}

/** What is wrapped, for both worlds. `known`: bars that are missed by more than half; they grew with the promises to callers. */
const kinds = [
  { kind: "sync", effect: sync, f: () => 1, cockatiel: 1.25, known: { [FLOOR]: 1.77, [COCKATIEL]: 1.94 } },
  { kind: "async", effect: async, f: async () => 1, cockatiel: 1.9, known: {} }
] as const

const withKnown = (result: Result, known: Readonly<Record<string, number>>): Result => ({
  ...result,
  lines: result.lines.map((line) => ({ ...line, known: known[line.theirs?.name ?? ""] }))
})

/** Breaker, token bucket and retry through `Effect.runPromise`. */
export const outside: Case = {
  id: "promise",
  run: async () => {
    const ourPipeline = ours.makePipeline()
    const floor = makeFloor({ limit, windowMillis })
    const parts = effectParts.makePipeline()
    const cockatiel = promises.makeCockatiel()
    const opossum = promises.makeOpossumPipeline()
    const results: Array<Result> = []
    for (const { cockatiel: bar, effect, f, kind, known } of kinds) {
      const contestants = [
        awaited(OURS, () => Effect.runPromise(ourPipeline(effect, key)), one),
        awaited(FLOOR, () => Effect.runPromise(floor(effect, key)), one),
        awaited(COCKATIEL, () => cockatiel<number>(f, key), one),
        awaited(OPOSSUM, () => opossum<number>(f, key), one),
        awaited(EFFECT, () => Effect.runPromise(parts(effect, key)), one)
      ]
      const title = `breaker + token bucket + retry through \`Effect.runPromise\`, awaited, ${kind}`
      const result = await compare(title, thorough, contestants, { [FLOOR]: 1.15, [COCKATIEL]: bar })
      results.push(withKnown(result, known))
    }
    return results
  }
}

/** All policies through `Effect.runPromise`. */
export const outsideFull: Case = {
  id: "full-promise",
  run: async (effort) => {
    const ourPipeline = ours.makeFullPipeline()
    const parts = effectParts.makeFullPipeline()
    const cockatiel = promises.makeFullCockatiel()
    const opossum = promises.makeFullOpossum()
    const results: Array<Result> = []
    for (const { effect, f, kind } of kinds) {
      const contestants = [
        awaited(OURS, () => Effect.runPromise(ourPipeline(effect, key)), one),
        awaited(COCKATIEL, () => cockatiel<number>(f, key), one),
        awaited(OPOSSUM, () => opossum<number>(f, key), one),
        awaited(EFFECT, () => Effect.runPromise(parts(effect, key)), one)
      ]
      const title = `... + bulkhead + call timeout + attempt timeout through \`Effect.runPromise\`, awaited, ${kind}`
      results.push(await compare(title, effort, contestants, { [COCKATIEL]: 0.5 }))
    }
    return results
  }
}
