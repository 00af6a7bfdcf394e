/**
 * The scripts that Redis runs.
 *
 * A script holds the kernels that its steps need, and no other: Redis makes all functions of a script anew at each call.
 *
 * A state's key holds `<epoch> <state>`. The key `cleared` of its tag says of each space which epoch it is in (0 where it
 * does not say): a state of an earlier one is as good as absent.
 */
import * as Redis from "effect/persistence/Redis"
import type { Compiled } from "./compiled.ts"
import { LuaCodec, luaCodecLibrary } from "./luaCodec.ts"

/** Whole milliseconds of the server's clock. */
const clock = `local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
`

const kernelOf = ({ id, input, lua, policy, state }: Compiled, index: number): string => {
  const codec = new LuaCodec(`k${index}_`)
  const ways = [codec.lazyReader(policy), codec.lazyReader(state), codec.reader(input), codec.writer(state)]
  return `do -- ${id}
${codec.definitions}local kernel = (function()
${lua}
end)()
kernels[${index}] = {kernel, ${ways.join(", ")}}
end
`
}

/** Defines `kernels`: each a list of the kernel, how its policy, state and input are read, and its state written. */
export const kernelsInLua = (kernels: ReadonlyArray<Compiled>): string => {
  const lua = kernels.map((kernel, i) => kernelOf(kernel, i + 1)).join("")
  return `${luaCodecLibrary(lua)}local kernels = {}\n${lua}`
}

/**
 * Several commits, one after the other, at one time: each of them all or nothing, and each finds what those before it left.
 * What a state has become is written once.
 *
 * KEYS are those of the states, then those that say what was cleared. ARGV, in lines of words: how many policies, states and
 * kinds of question there are, then the commits, each as often as it comes in a row: how often, how many questions, and
 * each: of which state, of which kind; each policy; each kind: which kernel (below 0 if an endless state is not kept for
 * ever), which policy, the input. So what many calls ask at once is read once. The last line is only read where it is needed, and has
 * for each state: how long an endless one is kept, which of KEYS says what was cleared, and how many characters of the
 * state's own key name the space.
 *
 * An endless state is kept a quarter longer than it must, so that not every use of it is a write.
 */
const commit = `${clock}local held = redis.call("MGET", unpack(KEYS))
local nextWord = gmatch(ARGV[1], "%S+")
local policyLines = tonumber(nextWord())
local states = tonumber(nextWord())
local notes
local function note(i, which)
 if not notes then
  notes = {}
  for word in gmatch(ARGV[#ARGV], "%S+") do notes[#notes + 1] = tonumber(word) end
 end
 return notes[3 * i - 3 + which]
end
local isCleared = false
for i = states + 1, #KEYS do if held[i] then isCleared = true end end
local function epochOf(i)
 local cleared = held[note(i, 2)]
 if not cleared then return 0 end
 local _, last = string.find(cleared, " " .. sub(KEYS[i], 1, note(i, 3)) .. " ", 1, true)
 return last and tonumber(string.match(cleared, "^%d+", last + 1)) or 0
end
local policies, cells, kinds = {}, {}, {}
for k = 1, tonumber(nextWord()) do
 local next = gmatch(ARGV[1 + policyLines + k], "%S+")
 local which, p = tonumber(next()), tonumber(next())
 local ends = which < 0
 local kernel = kernels[ends and -which or which]
 local policy = policies[p]
 if not policy then
  policy = kernel[2](gmatch(ARGV[1 + p], "%S+"))
  policies[p] = policy
 end
 kinds[k] = {ends = ends, kernel = kernel, policy = policy, step = kernel[1].step, input = kernel[4](next)}
end
local function cellOf(i, kind)
 local cell = {epoch = isCleared and epochOf(i) or 0, ends = kind.ends, found = false, questions = {}}
 if held[i] then
  local more = gmatch(held[i], "%S+")
  if tonumber(more()) >= cell.epoch then
   cell.state = kind.kernel[3](more)
   cell.found = true
  end
 end
 if not cell.state then cell.state = kind.kernel[1].initial(kind.policy) end
 cells[i] = cell
 return cell
end
local allowed, after = {}, {}
for times in nextWord do
 local asked = {}
 for j = 1, tonumber(nextWord()) do
  local i, kind = tonumber(nextWord()), kinds[tonumber(nextWord())]
  local cell = cells[i] or cellOf(i, kind)
  cell.last = kind
  local question = cell.questions[kind]
  if not question then
   question = {cell = cell, policy = kind.policy, step = kind.step, input = kind.input}
   cell.questions[kind] = question
  end
  asked[j] = question
 end
 for left = tonumber(times), 1, -1 do
  local all, isStill = 1, true
  for j = 1, #asked do
   local question = asked[j]
   local state = question.cell.state
   if question.still ~= state then
    local result = question.step(question.policy, state, question.input, now)
    question.allowed, question.after = result[1].allowed, result[2]
    if result[2] == state then question.still = state end
   end
   if not question.allowed then all = 0 end
   after[j] = question.after
   if after[j] ~= state then isStill = false end
  end
  if isStill or all == 0 then
   allowed[#allowed + 1] = string.rep(all, left)
   break
  end
  allowed[#allowed + 1] = all
  for j = 1, #asked do
   local cell = asked[j].cell
   if after[j] ~= cell.state then
    cell.state = after[j]
    cell.changed = true
   end
  end
 end
end
local out = {now, concat(allowed)}
for i, cell in ipairs(cells) do
 out[2 + i] = cell.found and held[i]
 local kernel, policy, state = cell.last.kernel, cell.last.policy, cell.state
 if cell.changed then
  local expires = kernel[1].expiresAt(policy, state)
  if not expires and cell.ends then expires = now + math.floor(note(i, 1) * 1.25) end
  if not expires then
   redis.call("SET", KEYS[i], cell.epoch .. " " .. kernel[5](state))
  elseif expires > now then
   redis.call("SET", KEYS[i], cell.epoch .. " " .. kernel[5](state), "PXAT", format("%.17g", expires))
  elseif held[i] then
   redis.call("UNLINK", KEYS[i])
  end
 elseif cell.ends and cell.found and not kernel[1].expiresAt(policy, state) and redis.call("PTTL", KEYS[i]) < note(i, 1) then
  redis.call("PEXPIREAT", KEYS[i], format("%.17g", now + math.floor(note(i, 1) * 1.25)))
 end
end
return out`

/** The time, a digit for each commit (1: it was allowed), and what each state's key held; `null` where it was as good as absent. */
export type CommitReply = readonly [now: number, allowed: string, ...held: ReadonlyArray<string | null>]

/** The keys of commits, and their lines. */
export const makeCommit = (kernels: ReadonlyArray<Compiled>) =>
  Redis.script((keys: ReadonlyArray<string>, lines: ReadonlyArray<string>) => [...keys, ...lines], {
    numberOfKeys: (keys) => keys.length,
    lua: kernelsInLua(kernels) + commit
  }).withReturnType<CommitReply>()

/** The time, and what the keys hold. */
export const look = Redis.script((keys: ReadonlyArray<string>) => [...keys], {
  numberOfKeys: (keys) => keys.length,
  lua: `${clock}local held = redis.call("MGET", unpack(KEYS))
table.insert(held, 1, string.format("%.17g", now))
return held`
}).withReturnType<readonly [now: string, ...held: ReadonlyArray<string | null>]>()

/**
 * Writes if every key holds what was seen there. ARGV has for each key what it held, then for each of the first keys what
 * it is to hold and until when; `=` before a value, and "" for absent, for no change, and for no end.
 */
export const swap = Redis.script(
  (keys: ReadonlyArray<string>, seen: ReadonlyArray<string>, next: ReadonlyArray<string>) => [
    ...keys,
    ...seen,
    ...next
  ],
  {
    numberOfKeys: (keys) => keys.length,
    lua: `local held = redis.call("MGET", unpack(KEYS))
for i = 1, #KEYS do
 local is = held[i] and "=" .. held[i] or ""
 if is ~= ARGV[i] then return 0 end
end
for i = 1, (#ARGV - #KEYS) / 2 do
 local value, expires = ARGV[#KEYS + 2 * i - 1], ARGV[#KEYS + 2 * i]
 if value == "-" then
  redis.call("UNLINK", KEYS[i])
 elseif value ~= "" and expires == "" then
  redis.call("SET", KEYS[i], string.sub(value, 2))
 elseif value ~= "" then
  redis.call("SET", KEYS[i], string.sub(value, 2), "PXAT", expires)
 end
end
return 1`
  }
).withReturnType<number>()

/** Begins a new epoch of a space, in one tag. */
export const clear = Redis.script((cleared: string, space: string) => [cleared, space], {
  numberOfKeys: 1,
  lua: `local held = redis.call("GET", KEYS[1]) or " "
local name = " " .. ARGV[1] .. " "
local _, last = string.find(held, name, 1, true)
if last then
 local epoch = string.match(held, "^%d+", last + 1)
 held = string.sub(held, 1, last) .. string.format("%.17g", epoch + 1) .. string.sub(held, last + 1 + #epoch)
else
 held = held .. ARGV[1] .. " 1 "
end
redis.call("SET", KEYS[1], held)`
})

/** The epoch of a space, as `commit` reads it. */
export const epochIn = (cleared: string | null, space: string): number => {
  const at = cleared?.indexOf(` ${space} `) ?? -1
  return cleared === null || at < 0 ? 0 : Number.parseInt(cleared.slice(at + space.length + 2), 10)
}
