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

const kernelOf = ({ answer, id, input, lua, policy, state }: Compiled, index: number): string => {
  const codec = new LuaCodec(`k${index}_`)
  const readers = [policy, state, input].map((shape) => codec.reader(shape))
  const writers = [codec.writer(state), codec.replier(answer)]
  return `do -- ${id}
${codec.definitions}local kernel = (function()
${lua}
end)()
kernels[${index}] = {kernel, ${[...readers, ...writers].join(", ")}, ${JSON.stringify(policy).includes('"list"')}}
end
`
}

/**
 * Defines `kernels`: each a list of the kernel, how its policy, state and input are read, its state written and its answer
 * replied, and whether its policy is long.
 */
export const kernelsInLua = (kernels: ReadonlyArray<Compiled>): string =>
  `${luaCodecLibrary}local kernels = {}\n${kernels.map((kernel, i) => kernelOf(kernel, i + 1)).join("")}`

/**
 * One commit. KEYS are those of the states, then those that say what was cleared.
 *
 * ARGV has one line of words for each step: which kernel, the place of `cleared` among KEYS, how many characters of the
 * key name the space, how long an endless state is kept (-1: for ever), the input, the policy. A long policy is only read
 * once the kernel looks at it: a closed circuit does not.
 *
 * An endless state is kept a quarter longer than it must, so that not every use of it is a write.
 */
const commit = `local steps = #ARGV
${clock}local held = redis.call("MGET", unpack(KEYS))
local allowed, words = true, 2
local out, found, before, after, policies, idles, ends, epochs = {}, {}, {}, {}, {}, {}, {}, {}
for i = 1, steps do
 local next = gmatch(ARGV[i], "%S+")
 local kernel = kernels[tonumber(next())]
 local cleared, length = held[tonumber(next())], tonumber(next())
 local epoch = 0
 if cleared then
  local _, last = string.find(cleared, " " .. sub(KEYS[i], 1, length) .. " ", 1, true)
  if last then epoch = tonumber(string.match(cleared, "^%d+", last + 1)) end
 end
 idles[i] = tonumber(next())
 local input = kernel[4](next)
 local policy
 if kernel[7] then
  policy = setmetatable({}, {__index = function(self, field)
   setmetatable(self, nil)
   for name, value in pairs(kernel[2](next)) do self[name] = value end
   return self[field]
  end})
 else
  policy = kernel[2](next)
 end
 local state
 if held[i] then
  local more = gmatch(held[i], "%S+")
  if tonumber(more()) >= epoch then
   state = kernel[3](more)
   found[i] = true
  end
 end
 if not state then state = kernel[1].initial(policy) end
 local result = kernel[1].step(policy, state, input, now)
 if not result[1].allowed then allowed = false end
 words = kernel[6](result[1], out, words)
 before[i], after[i], policies[i], ends[i], epochs[i] = state, result[2], policy, kernel, epoch
end
for i = 1, steps do
 local state = before[i]
 if allowed then state = after[i] end
 if state ~= before[i] then
  local kernel = ends[i]
  local expires = kernel[1].expiresAt(policies[i], state)
  if not expires and idles[i] >= 0 then expires = now + math.floor(idles[i] * 1.25) end
  if not expires then
   redis.call("SET", KEYS[i], epochs[i] .. " " .. kernel[5](state))
  elseif expires > now then
   redis.call("SET", KEYS[i], epochs[i] .. " " .. kernel[5](state), "PXAT", format("%.17g", expires))
  elseif held[i] then
   redis.call("UNLINK", KEYS[i])
  end
 elseif found[i] and idles[i] >= 0 and not ends[i][1].expiresAt(policies[i], state) then
  if redis.call("PTTL", KEYS[i]) < idles[i] then
   redis.call("PEXPIREAT", KEYS[i], format("%.17g", now + math.floor(idles[i] * 1.25)))
  end
 end
end
out[1] = now
out[2] = allowed and 1 or 0
return out`

/** The keys of a commit, and its lines. */
export const makeCommit = (kernels: ReadonlyArray<Compiled>) =>
  Redis.script((keys: ReadonlyArray<string>, lines: ReadonlyArray<string>) => [...keys, ...lines], {
    numberOfKeys: (keys) => keys.length,
    lua: kernelsInLua(kernels) + commit
  }).withReturnType<ReadonlyArray<string | number>>()

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
