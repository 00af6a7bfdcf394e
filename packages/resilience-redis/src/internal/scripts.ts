/**
 * The scripts that Redis runs.
 *
 * A script holds the kernels that its steps need, and no other: Redis makes all functions of a script anew at each call.
 *
 * What a key holds is in `entries`. The key `cleared` of its tag says of each space which epoch it is in (0 where it does not
 * say): a value of an earlier one counts as absent.
 */
import * as Redis from "effect/persistence/Redis"
import type { Compiled } from "./compiled.ts"
import type { Head } from "./keys.ts"
import { lateReader, LuaCodec, luaCodecLibrary, policyReader } from "./luaCodec.ts"
import { entriesInLua, otherTypeInLua } from "./luaEntries.ts"

/** Whole milliseconds of the server's clock. */
const clock = `local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
`

interface Runnable {
  readonly compiled: Compiled
  readonly isWhole: boolean
}

const kernelOf = ({ compiled, isWhole }: Runnable, index: number): string => {
  const { id, input, lua, policy, state } = compiled
  const codec = new LuaCodec(`k${index}_`)
  const numbers = isWhole ? "whole" : "finite"
  const ways = [
    policyReader(policy),
    codec.reader(state, " ", numbers),
    codec.reader(input, " ", "trusted"),
    codec.writer(state, numbers),
    lateReader(policy, ",", "finite")
  ]
  return `do -- ${id}
${codec.definitions}local kernel = (function()
${lua}
end)()
kernels[${index}] = {kernel, ${ways.join(", ")}}
end
`
}

/**
 * Defines `kernels`: each a list of the kernel, how its policy, state and input are read, how its state is written, and how
 * the policy of another entry is read.
 */
export const kernelsInLua = (kernels: ReadonlyArray<Runnable>): string => {
  const lua = kernels.map((kernel, i) => kernelOf(kernel, i + 1)).join("")
  return `${luaCodecLibrary(lua)}local kernels = {}\n${lua}`
}

/**
 * Several commits, one after the other, at one time: each of them all or nothing, and each finds what those before it left.
 * What a state has become is written once. In one script, all questions to a key are of one policy.
 *
 * KEYS are those of the states, then those that say what was cleared. ARGV, in lines of words: how many policies, states and
 * kinds of question there are, then the commits, each as often as it comes in a row: how often, how many questions, and
 * each: of which state, of which kind; each policy, as entries name it; each kind: which kernel (below 0 if an endless state
 * is not kept for ever), which policy, what it is (`isOf` of `message`), the input. So what many calls ask at once is read
 * once. The last line is only read where it is needed, and has for each state: how long an endless one is kept, which of KEYS
 * says what was cleared, and how many characters of the state's own key name the space.
 *
 * An endless state is kept a quarter longer than it must, so that not every use of it is a write.
 */
const commit = `${clock}local held = redis.call("MGET", unpack(KEYS))
local nextWord = gmatch(ARGV[1], "%S+")
local policyLines = nextWord() + 0
local states = nextWord() + 0
local notes
local function note(i, which)
 if not notes then
  notes = {}
  for word in gmatch(ARGV[#ARGV], "%S+") do notes[#notes + 1] = word + 0 end
 end
 return notes[3 * i - 3 + which]
end
local isCleared = false
for i = states + 1, #KEYS do if held[i] then isCleared = true end end
local function epochOf(i)
 local cleared = held[note(i, 2)]
 if not cleared then return 0 end
 local _, last = find(cleared, " " .. sub(KEYS[i], 1, note(i, 3)) .. " ", 1, true)
 return last and (match(cleared, "^%d+", last + 1) or 0) + 0 or 0
end
local policies, cells, kinds = {}, {}, {}
for k = 1, nextWord() + 0 do
 local line = ARGV[1 + policyLines + k]
 local which, p, is, at = match(line, "^(%-?%d+) (%d+) (%d)()")
 which, p = which + 0, p + 0
 local ways, words = kernels[which < 0 and -which or which], ARGV[1 + p]
 local policy = policies[p]
 if not policy then
  policy = ways[2](words)
  policies[p] = policy
 end
 kinds[k] = {ends = which < 0, ways = ways, step = ways[1].step, isState = ways[1].isState, policy = policy, words = words, input = ways[4](line, at), is = is + 0}
end
${entriesInLua}
local allowed, after = {}, {}
for times in nextWord do
 local asked = {}
 for j = 1, nextWord() + 0 do
  local i, kind = nextWord() + 0, kinds[nextWord() + 0]
  local cell = cells[i] or cellOf(i, kind)
  local question = cell[kind]
  if not question then
   local step = not cell.entries and kind.is < 2 and kind.step or nil
   question = {cell = cell, kind = kind, step = step, policy = kind.policy, input = kind.input, still = nil, allowed = nil, after = nil}
   cell[kind] = question
  end
  asked[j] = question
 end
 for left = times + 0, 1, -1 do
  local all, isStill = 1, true
  for j = 1, #asked do
   local question = asked[j]
   local state, step = question.cell.state, question.step
   if question.still ~= state then
    if step then
     local result = step(question.policy, state, question.input, now)
     local next = result[2]
     question.allowed, question.after = result[1].allowed, next
     if next == state then question.still = state end
    else
     entries().ask(question)
    end
   end
   if not question.allowed then all = 0 end
   local next = question.after
   after[j] = next
   if next ~= state or not step and question.kind.is > 2 then isStill = false end
  end
  if isStill or all == 0 then
   allowed[#allowed + 1] = rep(all, left)
   break
  end
  allowed[#allowed + 1] = all
  for j = 1, #asked do
   local question = asked[j]
   local cell, isCommand = question.cell, not question.step and question.kind.is > 2
   if isCommand then cell.entries = nil end
   if isCommand or after[j] ~= cell.state then cell.state, cell.isOwn, cell.isChanged = after[j], true, true end
  end
 end
end
local out = {now, concat(allowed)}
for i = 1, states do
 local cell = cells[i]
 out[2 + i] = cell.shown or false
 if cell.entries then
  entries().write(i, cell)
 elseif cell.isChanged then
  local kind = cell.kind
  local ends = kind.ways[1].expiresAt(kind.policy, cell.state)
  if not ends and kind.ends then ends = now + math.floor(note(i, 1) * 1.25) end
  if not ends then
   redis.call("SET", KEYS[i], format("%d ;%d %s%s", cell.epoch, now, kind.words, kind.ways[5](cell.state)))
  elseif ends > now then
   if ends > LARGEST then ends = LARGEST end
   local value = format("%d %d;%d %s%s", cell.epoch, ends, now, kind.words, kind.ways[5](cell.state))
   redis.call("SET", KEYS[i], value, "PXAT", format("%d", ends))
  elseif held[i] or cell.shown then
   redis.call("UNLINK", KEYS[i])
  end
 end
end
return out`

/** The time, a digit for each commit (1: it was allowed), and what each state's key held; `null` where it counts as absent. */
export type CommitReply = readonly [now: number, allowed: string, ...held: ReadonlyArray<string | null>]

/** The keys of commits, and their lines. */
export const makeCommit = (kernels: ReadonlyArray<Runnable>) =>
  Redis.script((keys: ReadonlyArray<string>, lines: ReadonlyArray<string>) => [...keys, ...lines], {
    numberOfKeys: (keys) => keys.length,
    lua: kernelsInLua(kernels) + commit
  }).withReturnType<CommitReply>()

const heldInLua = `${otherTypeInLua}local held = redis.call("MGET", unpack(KEYS))
for i = 1, #KEYS do held[i] = held[i] or otherTypeOf(KEYS[i]) end
`

/** The time, and what the keys hold. */
export const look = Redis.script((keys: ReadonlyArray<string>) => [...keys], {
  numberOfKeys: (keys) => keys.length,
  lua: `${clock}${heldInLua}table.insert(held, 1, now)
return held`
}).withReturnType<readonly [now: number, ...held: ReadonlyArray<string | null>]>()

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
    lua: `${heldInLua}for i = 1, #KEYS do
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

/** Begins a new epoch of a space, in these tags of it. */
export const clear = Redis.script(
  (heads: ReadonlyArray<Head>) => [...heads.map(({ cleared }) => cleared), ...heads.map(({ space }) => space)],
  {
    numberOfKeys: (heads) => heads.length,
    // a note that is no list of names and numbers says nothing: it is begun anew, in an epoch that no state has yet
    lua: `${clock}for i = 1, #KEYS do
 local held = redis.pcall("GET", KEYS[i]) or " "
 local first = "1"
 if type(held) ~= "string" or not string.find(held, "^ ") or not string.find(held, " $") then
  held, first = " ", string.format("%.17g", now)
 end
 local name = " " .. ARGV[i] .. " "
 local _, last = string.find(held, name, 1, true)
 if last then
  local epoch = string.match(held, "^%d+", last + 1)
  held = string.sub(held, 1, last) .. string.format("%.17g", epoch + 1) .. string.sub(held, last + 1 + #epoch)
 else
  held = held .. ARGV[i] .. " " .. first .. " "
 end
 redis.call("SET", KEYS[i], held)
end`
  }
)

/** The epoch of a space, as `commit` reads it. */
export const epochIn = (cleared: string | null, space: string): number => {
  const at = cleared?.indexOf(` ${space} `) ?? -1
  return cleared === null || at < 0 ? 0 : Number.parseInt(cleared.slice(at + space.length + 2), 10)
}
