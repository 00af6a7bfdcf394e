/**
 * In Lua, what `entries` and `Cell` say: the entries of a value, what a policy begins with, and what is written.
 *
 * It stands in a script that has `now`, `held`, `note` and the library of `luaCodec`.
 */
import { MOST } from "./entries.ts"

/** A key of another type holds no string: what is said of it instead is no value of ours either. */
export const otherType = `local function otherTypeOf(key)
 local kind = redis.pcall("TYPE", key).ok
 return kind and kind ~= "none" and "a value of type " .. kind
end
`

export const entriesInLua = `${otherType}local HUGE, LARGEST = math.huge, 9007199254740992
local NONE, LOOK = {}, {op = "take", cost = 0, most = 0}
local function whole(word)
 local number = word + 0
 if number > LARGEST then error() end
 return number
end
local function entriesOf(value, from)
 local entries = {}
 while from do
  local bar = find(value, " | ", from, true)
  local text = bar and sub(value, from, bar - 1) or sub(value, from)
  local ends, at, words, rest = match(text, "^(%d*);(%d+) ([^ ]+)()")
  entries[#entries + 1] = {ends = ends == "" and HUGE or whole(ends), at = whole(at), words = words, text = text, rest = rest}
  from = bar and bar + 3
 end
 return entries
end
local function read(way, text, at)
 local value, last = way(text, at)
 if last ~= #text + 1 then error() end
 return value
end
local function adopted(kind, entry)
 local kernel, policy, at = kind.kernel, kind.policy, entry.at
 local state = read(kind.ways[3], entry.text, entry.rest)
 if kernel.adopt then return kernel.adopt(policy, state) end
 local from = entry.words == "-" and read(kind.ways[6], "", 1) or read(kind.ways[6], "," .. entry.words, 1)
 local function remaining(policy, state) return kernel.step(policy, state, LOOK, at)[1].remaining end
 local fresh = kernel.initial(policy)
 local cost = math.min(remaining(from, kernel.initial(from)) - remaining(from, state), remaining(policy, fresh))
 return cost > 0 and kernel.step(policy, fresh, {op = "take", cost = cost, most = cost}, at)[2] or fresh
end
local function load(cell, value)
 local kind = cell.kind
 local epoch, from = match(value, "^(%d+) ()")
 if whole(epoch) < cell.epoch then return end
 cell.shown = value
 local others, own, source = {}
 for _, entry in ipairs(entriesOf(value, from)) do
  if entry.words ~= kind.words then
   others[#others + 1] = entry
   if not source and entry.ends > now then source, cell.place = entry, #others end
  elseif not own then
   own, cell.before = entry, #others
  end
 end
 cell.others = others
 if own then
  cell.own, cell.isOwn, cell.place, cell.at = own, true, cell.before, own.at
  cell.state = read(kind.ways[3], own.text, own.rest)
 elseif source and (kind.isLimit or kind.kernel.adopt) then
  cell.source, cell.at = source, source.at
  cell.state = adopted(kind, source)
 end
end
local function isToBeRenewed(i, cell)
 local kind, own = cell.kind, cell.own
 if not kind.ends or not own or own.ends < HUGE and own.ends - now >= note(i, 1) then return false end
 return not kind.kernel.expiresAt(kind.policy, cell.state)
end
local function write(i, cell)
 local kind, others = cell.kind, cell.others
 local ends = kind.kernel.expiresAt(kind.policy, cell.state)
 if not ends and kind.ends then ends = now + math.floor(note(i, 1) * 1.25) end
 ends = ends and math.max(0, math.min(ends, LARGEST)) or HUGE
 local kept, last, place = {}, ends, 0
 for k, entry in ipairs(others) do
  if #kept < ${MOST - 1} and now < entry.ends + math.max(0, entry.ends - entry.at) then
   kept[#kept + 1] = entry.text
   last = math.max(last, entry.ends)
   if not cell.isChanged and k <= cell.place then place = #kept end
  end
 end
 local at = cell.isChanged and now or cell.at
 local head = ends == HUGE and format(";%d ", at) or format("%d;%d ", ends, at)
 table.insert(kept, place + 1, head .. kind.words .. kind.ways[5](cell.state))
 local value = cell.epoch .. " " .. concat(kept, " | ")
 if last == HUGE then
  redis.call("SET", KEYS[i], value)
 elseif last > now then
  redis.call("SET", KEYS[i], value, "PXAT", format("%d", last))
 elseif held[i] or cell.shown then
  redis.call("UNLINK", KEYS[i])
 end
end`
