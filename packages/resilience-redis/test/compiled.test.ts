/** What Redis runs is the very kernel: the same decisions and the same states, to the last bit. */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Random } from "effect"
import { Redis } from "effect/persistence"
import { escape, wordOf, Words, wordsOf } from "../src/internal/codec.ts"
import { type Coded, Kernels } from "../src/internal/kernels.ts"
import { kernelsInLua } from "../src/internal/scripts.ts"
import { guests } from "./generated/guests.ts"
import { drawsOf, subjects } from "./random.ts"
import { missing, skipped, startRedis } from "./servers.ts"

/** `KERNEL_SEED` repeats a run. */
const seed = Number(process.env["KERNEL_SEED"] ?? Effect.runSync(Random.nextIntBetween(0, 2 ** 31)))
const RUNS = 40
const STEPS = 150

/** Plays the inputs of one run. What a step leaves is written and read again before the next, as a store does. */
const play = (coded: Coded) =>
  Redis.script((policy: string, lines: ReadonlyArray<string>) => [policy, ...lines], {
    numberOfKeys: 0,
    lua: `${kernelsInLua([coded])}
local function say(value)
 if type(value) == "number" then return format("%.17g", value) end
 if type(value) == "string" then
  return "'" .. gsub(value, "[^A-Za-z0-9_.:/@-]", function(one) return format("%%%02X", string.byte(one)) end)
 end
 if type(value) ~= "table" then return tostring(value) end
 local fields = {}
 for name, field in pairs(value) do fields[#fields + 1] = name .. "=" .. say(field) end
 table.sort(fields)
 return "{" .. concat(fields, ",") .. "}"
end
local kernel, readPolicy, readState, readInput, writeState = unpack(kernels[1])
local policy = readPolicy(ARGV[1], 1)
local held = writeState(kernel.initial(policy))
local out = {held}
for i = 2, #ARGV do
 local now, at = match(ARGV[i], "^(%d+)()")
 now = tonumber(now)
 local before, last = readState(held, 1)
 if last ~= #held + 1 then error("more was written than is read") end
 local result = kernel.step(policy, before, readInput(ARGV[i], at), now)
 if not result[1].allowed and result[2] ~= before then error("a refusal changed the state") end
 held = writeState(result[2])
 out[i] = {held, format("%.17g", kernel.expiresAt(policy, result[2]) or -1), say(result[1])}
end
return out`
  }).withReturnType<readonly [string, ...ReadonlyArray<readonly [after: string, end: string, answer: string]>]>()

/** How many of the words are not the quotients of 1 to `n` by `n`. */
const quotients = Redis.script((n: number, words: ReadonlyArray<string>) => [String(n), ...words], {
  numberOfKeys: 0,
  lua: `local missed = 0
for k = 1, #ARGV - 1 do if k / tonumber(ARGV[1]) ~= tonumber(ARGV[k + 1]) then missed = missed + 1 end end
return missed`
}).withReturnType<number>()

/** An answer as `say` of the script has it, but for how many digits a number has: what a list holds is named from 1 on. */
const say = (value: unknown): string => {
  if (typeof value === "number") return wordOf(value)
  if (typeof value === "string") return `'${escape(value)}`
  if (typeof value !== "object" || value === null) return String(value)
  const entries = Array.isArray(value) ? value.map((one, i) => [i + 1, one] as const) : Object.entries(value)
  return `{${entries
    .map(([name, field]) => `${name}=${say(field)}`)
    .sort()
    .join(",")}}`
}

const server = Layer.unwrap(Effect.map(startRedis(), ({ url }) => NodeRedis.layer({ url })))

describe.skipIf(missing !== undefined)(`kernels in Redis (KERNEL_SEED=${seed})${skipped}`, () => {
  layer(server, { excludeTestServices: true })((it) => {
    it.effect("a threshold of k / n is the very quotient that it has there, for every n up to 1,000", () =>
      Effect.gen(function* () {
        const redis = yield* Redis.Redis
        const run = redis.eval(quotients)
        for (let n = 1; n <= 1_000; n++) {
          const missed = yield* run(
            n,
            Array.from({ length: n }, (_, i) => wordOf((i + 1) / n))
          )
          assert.strictEqual(missed, 0, `of ${n}`)
        }
      })
    )

    const kernels = new Kernels([guests])
    for (const { input, kernel, policy: policyOf } of subjects) {
      it.effect(`${kernel.id} decides as it does here, ${RUNS * STEPS} times`, () =>
        Effect.gen(function* () {
          const redis = yield* Redis.Redis
          const coded = kernels.find(kernel.id)!
          const run = redis.eval(play(coded))
          const read = (words: string) => coded.state.read(new Words(words.split(" ").slice(1), coded.isWhole))
          const draw = drawsOf(seed)
          for (let i = 0; i < RUNS; i++) {
            const policy = policyOf(draw)
            const asked: Array<string> = []
            const told: Array<unknown> = []
            const answers: Array<never> = []
            let state: unknown = kernel.initial(policy)
            let now = 1_800_000_000_000 + draw(1_000_000)
            for (let step = 0; step < STEPS; step++) {
              // mostly a little time passes, sometimes none or much, and sometimes the clock is set back, a little or far
              const pace = draw(100)
              const back = draw(3) === 0 ? 1_000_000 : 500
              now +=
                pace < 40 ? 0 : pace < 85 ? draw(20) : pace < 95 ? draw(2_000) : pace < 97 ? draw(200_000) : -draw(back)
              const next = input(draw, policy as never, answers) // this kernel's own policy
              asked.push([now, ...wordsOf(coded.input, next)].join(" "))
              const [answer, after] = kernel.step(policy, state, next, now)
              told.push({ answer: say(answer), after, end: kernel.expiresAt(policy, after) ?? -1 })
              answers.push(answer as never) // this kernel's own answer
              state = after
            }
            const [initial, ...lines] = yield* run(`${wordsOf(coded.policy, policy).join(",")}`, asked)
            const heard = lines.map(([after, end, answer]) => ({
              answer: answer.replaceAll(/=(-?\d[^,}]*)/g, (_, digits) => `=${wordOf(Number(digits))}`),
              after: read(after),
              end: Number(end)
            }))
            assert.deepStrictEqual(read(initial), kernel.initial(policy))
            // one by one: the first that differs is what to look at
            for (let step = 0; step < told.length; step++) {
              const at = `run ${i}, step ${step}: ${asked[step]} with ${JSON.stringify(policy)}`
              assert.deepStrictEqual(heard[step], told[step], at)
            }
          }
        })
      )
    }
  })
})
