/**
 * The laws of keys: none is another, and each holds exactly what was left in it, as long as it must.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type AnySpace, Step } from "effect-resilience/Store"
import { int } from "./limiterTraffic.ts"
import { AGES, type Content, keeper, ledger, limiters, nothing, rolls } from "./storeKernels.ts"
import { type Draft, draft, type Lab } from "./storeLab.ts"
import { must, mustEqual, show } from "./storeModel.ts"

const long = "x".repeat(10_000)

/** Strings that some store, somewhere, took for something else. */
const hostile: ReadonlyArray<string> = [
  ["", " ", "  ", "a", "A", "a ", " a", "a\u0000", "\u0000", "\u0000a", "\n", "\r\n", "\t", "\u0085", "\u2028"],
  ["é", "e\u0301", "ﬁ", "fi", "ß", "ss", "İ", "i", "١", "1", "\ufeffa", "\ufffd", "\ud800", "\udfff", "\ud83d\ude00"],
  ["__proto__", "constructor", "toString", "hasOwnProperty", "null", "undefined", "true", "NaN", "[object Object]"],
  ["0", "-0", "00", "1.0", "1e0", "[]", "{}", '""', '"', "\\", "\\\\", "'", "''", "`", "$1", "${a}", "%", "_", "a%"],
  ["*", "a*", "?", "[a]", "[^a]", "{a}", "{a}b", "{}a", "}{", "a:b", "a/b", "a~b", "a|b", "a,b", "a.b", "../a", "a~1b"],
  ["'; DROP TABLE keys; --", "KEYS[1]", "]] return 1 --", "\\u0061", "%61", "&amp;", "<a>", `${long}1`, `${long}2`]
].flat()

const text = Arbitrary.schema(Schema.String)

/** All different: each key is then told from every other. */
const several = Arbitrary.map(Arbitrary.array(text, { maxLength: 20 }), (more) => [...new Set([...hostile, ...more])])

const ownKeys = draft(
  "no two keys of a space are one, however strange",
  several,
  4,
  Effect.fnUntraced(function* (lab: Lab, keys) {
    const space = lab.space(ledger, { initial: 0, limit: 1_000 }, "keys")
    for (const [i, key] of keys.entries()) {
      const { count } = yield* lab.ask(space, key, { add: i + 1 })
      must(count === i + 1, () => `${show(key)} was new, and yet holds what was left in ${show(keys[count - i - 2])}`)
    }
    for (const [i, key] of keys.entries()) {
      mustEqual((yield* lab.read(space, key)).state?.count, i + 1, `what is in ${show(key)}`)
    }
  })
)

const separators = ["", ":", "/", "~", "|", "\u0000", ".", ",", "{", "}", "@1", "%"]

const ownSpaces = draft(
  "no two spaces share a key, whatever their names and kernels are",
  several,
  4,
  Effect.fnUntraced(function* (lab: Lab, strange) {
    const policy = { initial: 0, limit: 10_000 }
    const { id } = ledger
    const named = (name: string) => lab.space(ledger, policy, name)
    const [a, b, d] = [named("a"), named("b"), named("d")]
    const places = separators.flatMap((s): ReadonlyArray<readonly [AnySpace, string]> => {
      const other = lab.space({ ...ledger, id: `${id}${s}b` }, policy, "a")
      return [
        [a, `b${s}c`],
        [named(`a${s}b`), "c"],
        [b, `b${s}c`],
        [other, `b${s}c`],
        [other, "c"],
        [named(`d${s}${id}`), "c"],
        [d, `${id}${s}c`]
      ]
    })
    for (const name of strange) places.push([named(`strange/${name}`), "c"])
    for (const [i, [space, key]] of places.entries()) yield* lab.ask(space, key, { add: i + 1 })
    for (const [i, [space, key]] of places.entries()) {
      const { state } = yield* lab.read(space, key)
      mustEqual(state, { count: i + 1 }, `what is in ${show(key)} of ${show(space.name)}, ${space.kernel.id}`)
    }
  })
)

const clears = draft(
  "clear forgets all of a space, and nothing of another",
  Arbitrary.all({
    chosen: int(0, 99),
    keys: int(1, 120),
    strange: Arbitrary.array(int(0, hostile.length - 1), { maxLength: 6 })
  }),
  20,
  Effect.fnUntraced(function* (lab: Lab, { chosen, keys, strange }) {
    const policy = { initial: 0, limit: 1_000 }
    const names = ["a", "a*", "*", "a?", "[a]", "a/b", "a:b", "aa", "A", "", "%", "_", "a'"]
    const spaces = [
      ...names.map((name) => lab.space(ledger, policy, name)),
      lab.space({ ...ledger, id: "laws-ledger@2" }, policy, "a")
    ]
    const cleared = spaces[chosen % spaces.length]!
    const used = [...new Set(["ada", ...strange.map((i) => hostile[i]!)])]
    for (const space of spaces) for (const key of used) yield* lab.ask(space, key, { add: 1 })
    for (let i = 0; i < keys; i++) yield* lab.ask(cleared, `key ${i}`, { add: 1 })
    yield* lab.clear(cleared)
    for (const space of spaces) {
      for (const key of used) {
        const count = (yield* lab.read(space, key)).state?.count ?? 0
        const after = `${show(key)} of ${show(space.name)} after ${show(cleared.name)} was cleared`
        mustEqual(count, space === cleared ? 0 : 1, after)
      }
    }
    for (let i = 0; i < keys; i++) {
      mustEqual((yield* lab.read(cleared, `key ${i}`)).state?.count ?? 0, 0, `key ${i} of ${keys} that were cleared`)
    }
    mustEqual((yield* lab.ask(cleared, "ada", { add: 1 })).count, 1, "1 added to a key that was cleared")
  })
)

const wholes: ReadonlyArray<number> = [
  [0, 1, -1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, 10 ** 15 + 1, 123_456_789_012_347, 2 ** 52 + 1],
  [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1, Number.MIN_SAFE_INTEGER]
].flat()
const whole = Arbitrary.map(int(0, 99), (i) => wholes[i % wholes.length]!)
const words = Arbitrary.map(Arbitrary.all({ i: int(0, 999), text }), ({ i, text }) => hostile[i] ?? text)
const flag = Arbitrary.map(int(0, 1), (i) => i === 1)

const content: Arbitrary.Arbitrary<Content> = Arbitrary.all({
  whole,
  text: words,
  flag,
  numbers: Arbitrary.array(whole, { maxLength: 4 }),
  texts: Arbitrary.array(words, { maxLength: 3 }),
  rows: Arbitrary.array(Arbitrary.all({ id: whole, flag }), { maxLength: 3 })
})

const exact = draft(
  "states come back exactly as they were left",
  Arbitrary.array(content, { minLength: 1, maxLength: 4 }),
  100,
  Effect.fnUntraced(function* (lab: Lab, contents) {
    const space = lab.space(keeper, contents[0]!, "contents")
    mustEqual(
      (yield* lab.ask(space, "ada", { keep: false, content: nothing })).content,
      contents[0],
      "the initial state"
    )
    for (const content of contents) {
      const { content: answered } = yield* lab.ask(space, "ada", { keep: true, content })
      mustEqual(answered, content, "the answer")
      mustEqual((yield* lab.read(space, "ada")).state ?? contents[0], content, "the state")
      const seen = (yield* lab.ask(space, "ada", { keep: false, content: nothing })).content
      mustEqual(seen, content, "what the kernel is given")
    }
  })
)

const forgets = draft(
  "a state is kept until it may be forgotten, and then behaves as new",
  Arbitrary.all({ limiter: int(0, limiters.length - 1), calls: rolls(4, 1) }),
  20,
  Effect.fnUntraced(function* (lab: Lab, { calls, limiter }) {
    const { kernel, policy } = limiters[limiter]!
    const space: AnySpace = lab.space(kernel, policy(4, 60), "limit")
    const endless = lab.space(ledger, { initial: 0, limit: 1 }, "endless")
    yield* lab.ask(endless, "ada", { add: 1 })
    for (const [i, { pick, size }] of calls.entries()) {
      const key = `call ${i}`
      const step = new Step(space, key, { op: "take", cost: 1 + (size % 3) } as never) // a limiter's input
      const { now: start } = yield* lab.commit([step])
      const [, left] = kernel.step(space.policy, kernel.initial(space.policy), step.input, start)
      const end = kernel.expiresAt(space.policy, left) ?? Infinity
      // half of the time the last millisecond, else any before
      const last = Math.max(0, end - start - 1)
      const part = pick % 2 === 0 ? last : Math.floor((last * size) / 999)
      if (part > 0) yield* lab.advance(part)
      const { now, state } = yield* lab.read(space, key)
      if (now < end)
        mustEqual(state, left, `the state at ${now}, left at ${start} and not to be forgotten before ${end}`)
      yield* lab.advance(Math.max(1, end - now))
      const late = yield* lab.commit([new Step(space, key, { op: "take", cost: 4 } as never)]) // a limiter's input
      if (late.now >= end)
        mustEqual(late.allowed, true, `whether all is free at ${late.now}, when it was to be at ${end}`)
    }
    mustEqual((yield* lab.read(endless, "ada")).state, { count: 1 }, "a state that may never be forgotten")
  })
)

/** Only where the store says that it keeps to `maxKeys`. */
export const boundedKeys: Draft = draft(
  "a space remembers at most maxKeys keys, and forgets the one nearest to fresh",
  int(1, 6),
  10,
  Effect.fnUntraced(function* (lab: Lab, maxKeys) {
    const { kernel, policy } = limiters[0]!
    const fresh = (overflow: "evict" | "reject"): AnySpace =>
      lab.space(kernel, policy(10, AGES), overflow, { maxKeys, overflow, idleTimeToLive: Infinity })
    // the later a key, the less is taken of it and the sooner it is fresh; but for the one too many
    const use = (space: AnySpace, i: number) =>
      lab.commit([new Step(space, `key ${i}`, { op: "take", cost: i < maxKeys ? 8 - i : 9 } as never)]) // a limiter's input
    const remembered = (space: AnySpace) =>
      Effect.map(
        Effect.forEach(Array.from({ length: maxKeys + 1 }).keys(), (i) => lab.read(space, `key ${i}`)),
        (all) => all.flatMap(({ state }, i) => ((state as unknown) === undefined ? [] : [i]))
      )
    const known = Array.from(Array.from({ length: maxKeys }).keys())
    const rejects = fresh("reject")
    for (const i of known) yield* use(rejects, i)
    const { allowed, answers } = yield* use(rejects, maxKeys)
    mustEqual(
      { allowed, answers: [...answers] },
      { allowed: false, answers: [undefined] },
      "the answer to one key too many"
    )
    mustEqual(yield* remembered(rejects), known, "the keys that are remembered where the new one is rejected")
    const evicts = fresh("evict")
    for (const i of [...known, maxKeys]) mustEqual((yield* use(evicts, i)).allowed, true, `whether key ${i} is let in`)
    mustEqual(
      yield* remembered(evicts),
      [...known.slice(0, -1), maxKeys],
      "the keys that are remembered where the one nearest to fresh is evicted"
    )
  })
)

export const lawsOfKeys: ReadonlyArray<Draft> = [ownKeys, ownSpaces, clears, exact, forgets]
