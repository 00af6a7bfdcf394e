/** The script reads, adopts, keeps and writes entries as `Cell` and `decide` say, and refuses what they cannot read. */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Random } from "effect"
import { Redis } from "effect/persistence"
import { type AnySpace, Command, Step, Store } from "effect-resilience/Store"
import { RedisStore } from "../src/index.ts"
import { Cell } from "../src/internal/cell.ts"
import { decide } from "../src/internal/decide.ts"
import { Home } from "../src/internal/home.ts"
import { Kernels } from "../src/internal/kernels.ts"
import { guests } from "./generated/guests.ts"
import { type Draw, drawsOf, pick, type Subject, subjects } from "./random.ts"
import { missing, skipped, startRedis } from "./servers.ts"

/** `ENTRIES_SEED` repeats a run. */
const seed = Number(process.env["ENTRIES_SEED"] ?? Effect.runSync(Random.nextIntBetween(0, 2 ** 31)))
const KEYS = 240

const kernels = new Kernels([guests])
const server = Layer.unwrap(
  Effect.map(startRedis(), ({ url }) =>
    Layer.provideMerge(RedisStore.layer({ prefix: "test", kernels: [guests] }), NodeRedis.layer({ url }))
  )
)

const now = Effect.gen(function* () {
  const [seconds, micros] = yield* (yield* Redis.Redis).send<readonly [string, string]>("TIME")
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
})

interface Side {
  readonly space: AnySpace
  readonly home: Home
  readonly answers: Array<never>
}

const isOfLimit = ({ kernel }: Subject): boolean => !/breaker|guests/.test(kernel.id)

/** One of several policies that share the keys of one space. */
const sideOf = (draw: Draw, subject: Subject): Side => {
  const space: AnySpace = {
    name: "test/space",
    kernel: subject.kernel,
    policy: subject.policy(draw),
    isLimit: isOfLimit(subject),
    keys: { maxKeys: undefined, overflow: "evict", idleTimeToLive: pick(draw, [Infinity, Infinity, 400, 100_000]) }
  }
  return { space, home: new Home(space, "test", kernels.find(space.kernel.id)), answers: [] }
}

const isControl = ({ op }: { readonly op?: string }): boolean => ["reset", "isolate", "close"].includes(op ?? "")

const stepOf = (draw: Draw, subject: Subject, { answers, space }: Side, key: string): Step => {
  const input = subject.input(draw, space.policy as never, answers) as { readonly op?: string }
  return isControl(input) && draw(3) > 0 ? new Command(space, key, input) : new Step(space, key, input)
}

/** What this process says that a key holds after a question. */
const played = (held: string | null, step: Step, { answers, home }: Side, now: number) => {
  const cell = new Cell(home, held, 0, now)
  const { committed, damage } = decide([step], [home], [cell], now)
  const [answer] = committed.answers
  if (damage === undefined) answers.push(answer as never) // of this very kernel
  const written = cell.written(now)
  if (written === undefined) return { value: held, expires: undefined, damage, isWritten: false }
  if (written === "unlink") return { value: null, expires: undefined, damage, isWritten: true }
  return { ...written, damage, isWritten: true }
}

/** What some policies leave where they ask a key by turns. */
const storied = (draw: Draw, subject: Subject, sides: ReadonlyArray<Side>, key: string, until: number) => {
  let held: string | null = null
  const pace = pick(draw, [1, 10, 200, 3_000])
  const count = draw(14)
  for (let i = 0; i < count; i++) {
    const side = pick(draw, sides)
    held = played(held, stepOf(draw, subject, side, key), side, until - (count - i) * draw(pace)).value
  }
  return held
}

const junk = [
  "nan",
  "inf",
  "-1",
  "+5",
  "1.5",
  "0x10",
  "1e3",
  "9007199254740993",
  "9007199254740992",
  "",
  "x",
  "|",
  ";",
  "'"
]

/** One word, or one character, that no version of this package wrote there. Policies stay: of another, nothing is known. */
const damaged = (draw: Draw, held: string): string => {
  const words = held.split(" ")
  const at = draw(words.length)
  if (words[at]!.includes(",") || words[at] === "-") return `${held} ${pick(draw, ["1", "|", "7 7"])}`
  const how = draw(5)
  if (how === 0) return pick(draw, ["", "garbage", "0", "0 1 2", "0 ;", "1;2 3 4", "0 |", `${held} `, ` ${held}`])
  if (how === 1) return words.filter((_, i) => i !== at).join(" ")
  if (how === 2) return [...words.slice(0, at), pick(draw, junk), ...words.slice(at)].join(" ")
  if (how === 3) return words.map((word, i) => (i === at ? pick(draw, junk) : word)).join(" ")
  const place = draw(held.length)
  return held.slice(0, place) + pick(draw, ["", "x", " ", "-", ";", "|", "\n", "é"]) + held.slice(place + 1)
}

describe.skipIf(missing !== undefined)(`entries of a value in Redis (ENTRIES_SEED=${seed})${skipped}`, () => {
  layer(server, { excludeTestServices: true })((it) => {
    for (const subject of subjects) {
      it.effect(`of ${subject.kernel.id}: what Redis makes of them is what this process does`, () =>
        Effect.gen(function* () {
          const redis = yield* Redis.Redis
          const store = yield* Store
          const draw = drawsOf(seed)
          const seen = { adopted: 0, damaged: 0, several: 0, unlinked: 0, repaired: 0, still: 0 }
          const sides = Array.from({ length: KEYS }, () =>
            Array.from({ length: 1 + draw(6) }, () => sideOf(draw, subject))
          )
          const until = yield* now
          const held = sides.map((sides, i) => {
            const value = storied(draw, subject, sides, `${i}`, until)
            return value !== null && draw(4) === 0 ? damaged(draw, value) : value
          })
          const places = sides.map(([side], i) => side!.home.places.of(`${i}`).state)
          const isList = (i: number) => i % 40 === 7
          for (let i = 0; i < KEYS; i++) {
            if (isList(i)) yield* redis.send("RPUSH", places[i]!, "x")
            else if (held[i] !== null) yield* redis.send("SET", places[i]!, held[i]!)
          }
          const asked = sides.map((sides, i) => {
            const side = pick(draw, sides)
            return { side, step: stepOf(draw, subject, side, `${i}`) }
          })
          const sent = yield* now
          const exits = yield* Effect.all(
            asked.map(({ step }) => Effect.exit(store.commit([step]))),
            { concurrency: "unbounded" }
          )
          for (let i = 0; i < KEYS; i++) {
            const { side, step } = asked[i]!
            const before = isList(i) ? "a value of type list" : held[i]!
            const exit = exits[i]!
            // a refusal to read does not say when it was
            const at = Exit.isSuccess(exit)
              ? exit.value.now
              : ([sent, yield* now].find((at) => new Cell(side.home, before, 0, at).damage !== undefined) ?? sent)
            const expected = played(before, step, side, at)
            const what = `key ${i}: ${before} asked ${JSON.stringify(step.input)} under ${side.home.policyWord} at ${at}`
            const error = Option.getOrUndefined(Exit.findErrorOption(exit))
            assert.strictEqual(error?.reason, expected.damage === undefined ? undefined : "damaged", what)
            const type = yield* redis.send<string>("TYPE", places[i]!)
            if (type !== "list") {
              const after = yield* redis.send<string | null>("GET", places[i]!)
              const from = yield* now
              const left = yield* redis.send<number>("PTTL", places[i]!)
              const to = yield* now
              if (left === -2 && expected.value !== null) {
                assert.isAtMost(expected.expires ?? Infinity, yield* now, `${what} is gone`)
              } else {
                assert.strictEqual(after, expected.value, what)
                const ends = expected.expires
                if (ends === undefined) assert.isBelow(left, 0, what)
                else assert.isTrue(from + left - 2 <= ends && ends <= to + left + 2, `${what}: ends in ${left}`)
              }
            } else assert.isFalse(expected.isWritten, what)
            if (expected.damage !== undefined) seen.damaged++
            else if (before?.includes(" | ") === true) seen.several++
            const isOwn = before?.includes(` ${side.home.policyWord} `) === true
            if (!isOwn && before !== null && expected.damage === undefined && expected.isWritten) seen.adopted++
            if (expected.isWritten && expected.value === null) seen.unlinked++
            if (!expected.isWritten && before !== null) seen.still++
            if (
              step.isCommand &&
              expected.damage === undefined &&
              new Cell(side.home, before, 0, at).damage !== undefined
            )
              seen.repaired++
          }
          // so that the comparison compares something
          assert.isAbove(seen.damaged, 15, JSON.stringify(seen))
          assert.isAbove(seen.several, 25, JSON.stringify(seen))
          assert.isAbove(seen.still, 5, JSON.stringify(seen))
          if (isOfLimit(subject)) assert.isAbove(seen.adopted, 10, JSON.stringify(seen))
        })
      )
    }
  })
})
